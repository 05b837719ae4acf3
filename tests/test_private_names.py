"""Tests use what the packages offer, and no private name of theirs."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parent
OURS = ("search_space", "strategies", "trials", "benchmarks")


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def private_names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield line and name of what a module takes from another one, or from an object that is not its own."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(OURS):
            yield from ((node.lineno, alias.name) for alias in node.names if is_private(alias.name))
        elif isinstance(node, ast.Attribute) and is_private(node.attr):
            owner = node.value.id if isinstance(node.value, ast.Name) else ""
            if owner not in ("self", "cls", "sys"):
                yield node.lineno, node.attr


def test_no_test_reaches_for_a_private_name() -> None:
    found = [
        f"{path.relative_to(TESTS)}:{line}: {name}"
        for path in sorted(TESTS.rglob("*.py"))
        for line, name in private_names(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert found == []


def test_a_private_name_is_found() -> None:
    source = "from trials.errors import _hidden, shown\nshown._attribute\nself._own\n_local = 1\n"
    assert list(private_names(ast.parse(source))) == [(1, "_hidden"), (2, "_attribute")]
