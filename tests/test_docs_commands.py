"""The commands and the Python of README and docs run as written, only smaller."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from search_space import EnasNetwork
from strategies.testing.searches import UserSpace, evaluator
from tests.helpers.figures import leave_blank
from tests.helpers.images import rings
from tests.helpers.pages import README, ROOT, blocks, commands
from trials.cli import main
from trials.data.phantoms import make_phantoms

STEPS = ROOT / "docs" / "tutorial" / "step-by-step.md"
GUIDES = [  # in this order, in one folder: a page uses what the pages before it made
    ROOT / "docs" / "how-to" / f"{name}.md"
    for name in ("own-images", "classes", "settings", "use-a-model", "compare-methods")
]
SMALLER = {
    "search": [
        *("search.epochs=1", "search.filters=2", "search.nodes=2", "search.final_samples=3"),
        "search.normal_cells=3",  # the profile cpu's, whose cells are those of enas7 too
    ],
    "retrain": ["retrain.epochs=1", "retrain.filters=2"],
    "train": ["retrain.epochs=1"],
}
STUDY = ["--methods", "hog", "--seeds", "2", "--folds", "2"]  # of the README's study, which is run under NNI


def smaller(arguments: list[str]) -> list[str]:
    changes = SMALLER.get(arguments[0], [])
    profile = [] if "--profile" in arguments or not changes else ["--profile", "quick"]
    size = ["--set", "data.image_size=16"] if changes else []
    return [*arguments, *profile, *size, *(word for change in changes for word in ("--set", change))]


def stand_in(arguments: list[str]) -> list[str]:
    """A command, or in place of an experiment one run of it; tests/trials/nni_host runs experiments."""
    if arguments[0] == "study":
        return [*arguments, *STUDY]
    if arguments[0] != "launch":
        return arguments
    options = dict(zip(arguments[2::2], arguments[3::2], strict=True))
    run = f"{options['--out']}/fold0/hog"
    return ["train", "--data", options["--data"], "--fold", "0", "--method", "hog", "--out", run]


def run_commands(page: Path, done: set[str]) -> None:
    """Run a page's commands, smaller, each once."""
    for command, *arguments in commands(page):
        words = smaller(stand_in(arguments))
        if command == "lesion-nas" and str(words) not in done:
            assert main(words) == 0, shlex.join(words)
            done.add(str(words))


def make_frames(folder: Path) -> None:
    """Full frames with masks, as BUSI has them."""
    random = np.random.default_rng(0)
    for name in ("benign", "malignant"):
        (folder / name).mkdir(parents=True)
        for number in range(1, 7):
            mask = np.zeros((64, 80), np.uint8)
            mask[20:44, 30 - number : 60] = 255
            frame = random.integers(1, 255, mask.shape, np.uint8)
            Image.fromarray(frame).save(folder / name / f"{name} ({number}).png")
            Image.fromarray(mask).save(folder / name / f"{name} ({number})_mask.png")


@pytest.fixture(scope="module")
def toured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which every command of the README's tour has been run."""
    folder = tmp_path_factory.mktemp("tour")
    make_phantoms(folder / "my-lesions", count=40, side=32)
    shutil.copy(next((folder / "my-lesions").glob("*.png")), folder / "my-lesions" / "a.png")
    make_phantoms(folder / "others", count=20, seed=1, side=32)
    make_phantoms(folder / "their-lesions", count=40, seed=2, side=32)
    make_frames(folder / "busi")
    rings(folder / "my-grades", ["low", "middle", "high"], 12)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("NNI_PLATFORM", raising=False)
        leave_blank(patch, "pdf", "svg")
        for page in (README, STEPS):
            run_commands(page, set())
    return folder


def test_the_tour_leaves_what_it_names(toured: Path) -> None:
    for name in ("runs/search/architecture.json", "runs/enas7/model.onnx", "runs/evaluation/evaluation.csv"):
        assert (toured / name).stat().st_size > 0
    heading, *_ = (toured / "runs" / "evaluation" / "evaluation.txt").read_text().splitlines()
    assert heading in STEPS.read_text(encoding="utf-8")  # the output that it shows
    assert (toured / "report" / "report.html").exists() and (toured / "enas7-model" / "model.onnx").exists()


def test_the_study_leaves_a_report_and_a_model_that_loads_as_the_readme_says(
    toured: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(toured)
    study = toured / "experiments" / "study"
    assert (study / "report" / "report.html").exists() and (study / "model" / "model.onnx").exists()
    names: dict[str, Any] = {}
    exec(blocks(README, "python")[0], names)
    assert names["probabilities"].shape == (1, 2) and 0 < names["threshold"] < 1


def test_the_strategy_runs_in_nnis_experiment_as_the_readme_says(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    names: dict[str, Any] = {"space": UserSpace(), "evaluator": evaluator(epochs=1)}
    exec(blocks(README, "python")[1], names)
    assert len(names["best"]) == 3 and "first" in names["best"][0]
    names["experiment"].stop()


def test_a_model_and_an_architecture_load_as_the_page_about_models_says(
    toured: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(toured)
    page = ROOT / "docs" / "how-to" / "use-a-model.md"
    names: dict[str, Any] = {}
    for kind in ("model", "sample", "architecture"):
        [block] = blocks(page, f"python {kind}")
        exec(block.replace("classes=2", "classes=2, nodes=2"), names)  # the tour's search was made smaller
    assert isinstance(names["network"], EnasNetwork) and names["network"].architecture is not None
    assert set(names["architecture"].fixed_arc) == {"normal", "reduce"}


def test_the_commands_of_the_how_to_guides_run(toured: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(toured)
    done = {str(smaller(words)) for program, *words in commands(STEPS) if program == "lesion-nas"}
    for page in GUIDES:
        run_commands(page, done)
