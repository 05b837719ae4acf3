"""The packages of trials import downwards only, in the order of the flow."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

TRIALS = Path(__file__).parents[2] / "trials"
ORDER = (
    *("errors", "files", "settings", "evaluation", "nni_host", "runs", "data", "models", "training"),
    *("methods", "pipeline", "inference", "report", "export", "commands", "stage", "cli"),
)


def imports() -> Iterator[tuple[str, str, str]]:
    """Yield file, its part of trials, and the part that it imports from."""
    for file in sorted(TRIALS.rglob("*.py")):
        place = file.relative_to(TRIALS)
        if place == Path("__init__.py") or place.name == "testing.py":
            continue  # the Python API and conformance suites use all parts
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("trials."):
                yield str(place), place.parts[0].removesuffix(".py"), str(node.module).split(".")[1]


def test_no_part_imports_from_one_above_it() -> None:
    found = list(imports())
    assert len(found) > 300
    assert [one for one in found if ORDER.index(one[2]) > ORDER.index(one[1])] == []


def test_the_packages_below_import_nothing_of_trials() -> None:
    for package in ("search_space", "strategies"):
        for file in (TRIALS.parent / package).rglob("*.py"):
            text = file.read_text(encoding="utf-8")
            assert "from trials" not in text and "import trials" not in text, file
