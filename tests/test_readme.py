"""What the README says is what happens: its commands and its Python run as they stand, only smaller."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from benchmarks.table import table
from search_space import EnasSpace
from tests.helpers.small_searches import UserSpace, evaluator
from trials.cli import main
from trials.data.phantoms import make_phantoms
from trials.report.readme import renewed

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
SMALLER = {
    "search": ["search.epochs=1", "search.filters=2", "search.nodes=2", "search.final_samples=3"],
    "retrain": ["retrain.epochs=1", "retrain.filters=2"],
    "train": ["retrain.epochs=1"],
}


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def smaller(arguments: list[str]) -> list[str]:
    changes = SMALLER.get(arguments[0], [])
    return [*arguments, *(["--profile", "quick", "--set", "data.image_size=16"] if changes else [])] + [
        word for change in changes for word in ("--set", change)
    ]


@pytest.fixture(scope="module")
def toured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which every command of the tour has been run."""
    folder = tmp_path_factory.mktemp("tour")
    make_phantoms(folder / "my-lesions", count=40, side=32)
    shutil.copy(next((folder / "my-lesions").glob("*.png")), folder / "my-lesions" / "a.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("NNI_PLATFORM", raising=False)
        for line in "".join(blocks("bash tour")).splitlines():
            command, *arguments = shlex.split(line)
            assert command == "lesion-nas"
            assert main(smaller(arguments)) == 0, line
    return folder


def test_the_tour_leaves_what_it_names(toured: Path) -> None:
    for name in ("runs/search/architecture.json", "runs/enas7/model.onnx", "runs/evaluation/evaluation.csv"):
        assert (toured / name).stat().st_size > 0
    assert (toured / "cells.svg").read_text().startswith("<?xml")


def test_what_was_found_loads_as_the_readme_says(toured: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(toured)
    in_nni, in_torch, _ = blocks("python")
    names: dict[str, Any] = {}
    exec(in_nni.replace("classes=2", "classes=2, nodes=2"), names)  # the tour's search was made smaller
    assert isinstance(names["network"], EnasSpace) and names["network"].architecture is not None
    exec(in_torch, names)
    assert isinstance(names["network"], nn.Module) and 0 <= names["threshold"] <= 1


def test_the_strategy_runs_in_nnis_experiment_as_the_readme_says(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    names: dict[str, Any] = {"space": UserSpace(), "evaluator": evaluator(epochs=1)}
    exec(blocks("python")[2], names)
    assert len(names["best"]) == 3 and "first" in names["best"][0]
    names["experiment"].stop()


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))], ids=lambda page: page.stem
)
def test_files_and_folders_that_a_page_names_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert (page.parent / name).exists(), name
    for name in re.findall(
        r"`((?:nni_config|results|docs|benchmarks|strategies|search_space|trials|tests)/[\w./-]+)`", text
    ):
        assert (ROOT / name).exists(), name


def test_every_page_is_named_in_the_readme() -> None:
    for page in ROOT.glob("docs/**/*.md"):
        assert str(page.relative_to(ROOT)) in README


def test_tables_in_the_readme_are_those_in_results() -> None:
    # python -m trials.report.readme README.md renews them
    assert renewed(README, ROOT) == README


def test_the_speeds_in_the_readme_are_those_in_results() -> None:
    for line in table():
        assert line in README
