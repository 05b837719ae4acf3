"""Every error of ours has one base class, by which it is told from a defect."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator
from pathlib import Path

from search_space.errors import LesionNasError
from strategies.divergence import DivergedError
from trials.errors import SettingsError, in_words

ROOT = Path(__file__).parents[1]


def classes() -> Iterator[tuple[str, list[str]]]:
    """Yield the name and bases of every class that the packages derive from a built-in exception."""
    for package in ("search_space", "strategies", "trials"):
        for file in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef):
                    bases = [ast.unparse(base) for base in node.bases]
                    kinds = [getattr(builtins, base, None) for base in bases]
                    if any(isinstance(kind, type) and issubclass(kind, BaseException) for kind in kinds):
                        yield node.name, bases


def test_every_error_derives_from_the_base_of_ours() -> None:
    found = dict(classes())
    assert found.pop("LesionNasError") == ["Exception"]
    assert len(found) > 15
    assert {name: bases for name, bases in found.items() if bases[0] != "LesionNasError"} == {}


def test_an_error_of_ours_is_said_as_it_is_and_any_other_as_a_defect() -> None:
    class OfAnotherPackage(LesionNasError):
        """Such as a data reader that somebody else has written."""

    assert in_words(OfAnotherPackage("manifest.csv: no column file; add it")) == (
        "manifest.csv: no column file; add it"
    )
    assert in_words(DivergedError(3, "loss is nan")) == "the training diverged in epoch 3: loss is nan"
    assert in_words(SettingsError("seed = -1: expected 0 or more")) == "seed = -1: expected 0 or more"
    assert "a defect of lesion-nas" in in_words(KeyError("fold"))
