"""Imports run one way: each package knows only the packages before it.

The order is that of a run: errors and files, settings, figures, the host, the run folder, data, models,
training, methods, pipeline, what is made of finished runs, and the entry points. `trials.runs` stands before
`trials.data`, as the record of a search, which data are checked against, is a file of a run. The report asks
models for maps and predictions, so that it stands behind `trials.inference`; the export asks the report for a
model's figures. Imports within functions count as all others do. The conformance suites, modules called
`testing`, put a whole run together, and `trials/__init__.py` names what users import: no package asks these.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ORDER = (
    *("search_space", "strategies"),
    *("trials.errors", "trials.files", "trials.settings", "trials.evaluation", "trials.nni_host"),
    *("trials.runs", "trials.data", "trials.models", "trials.training", "trials.methods", "trials.pipeline"),
    *(
        "trials.inference",
        "trials.report",
        "trials.export",
        "trials.studies",
        "trials.commands",
        "trials.stage",
        "trials.cli",
    ),
    *("trials", "testing"),
)
MODULES = sorted(
    path for name in ("search_space", "strategies", "trials") for path in (ROOT / name).rglob("*.py")
)


def package(module: str) -> str:
    """Return which of `ORDER` a module is in; of another project's module its name."""
    parts = module.split(".")
    if parts[-1] == "testing":
        return "testing"
    return ".".join(parts[:2]) if parts[0] == "trials" else parts[0]


def imports(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def backward(module: str, source: str) -> list[str]:
    """Return the packages that a module imports though they stand behind its own."""
    place = ORDER.index(package(module))
    known = {package(name) for name in imports(source)} & set(ORDER)
    return sorted(name for name in known if ORDER.index(name) > place)


def named(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_packages_before_its_own(path: Path) -> None:
    assert backward(named(path), path.read_text(encoding="utf-8")) == []


def test_every_package_has_its_place() -> None:
    assert {package(named(path)) for path in MODULES} == set(ORDER)


def test_a_backward_import_is_found_wherever_it_stands() -> None:
    source = (
        "import trials.data.split\nfrom trials.runs import folder\ndef late():\n    from trials import cli\n"
    )
    assert backward("trials.runs.folder", source) == ["trials", "trials.data"]
    assert backward("trials.data.load", source) == ["trials"]
