"""ENAS-B: what its trials choose, by what, and how the choice is tested and reported."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from search_space import Architecture
from tests.helpers.runs import train_on
from trials.data.folds import assign_folds
from trials.data.load import load
from trials.errors import LeakError, SettingsError, TuningError
from trials.pipeline.tuning import Tuning
from trials.report.report import run_report
from trials.runs.folder import RunFolder
from trials.runs.layout import RUN_FILE, TUNING

TINY: dict[str, Any] = {
    "data.image_size": 32,
    "retrain.epochs": 1,
    "retrain.max_steps": 3,
    "search.filters": 2,
    "search.nodes": 2,
    "search.epochs": 1,
    "search.final_samples": 3,
    "search.controller_updates": 1,
    "search.controller_samples": 2,
}
FIRST = {"enas_b.cells": 3, "retrain.filters": 2, "data.augmentation_strength": 0.5}
SECOND = {"enas_b.cells": 4, "retrain.filters": 2, "retrain.learning_rate": 0.01}


def train(data: Path, out: Path, **more: Any) -> dict[str, Any]:
    arguments: dict[str, Any] = {"folds": 2, "fold": 0, "profile": "quick", "overrides": TINY}
    return train_on(data, arguments.pop("name", "enas_b"), out=out, **(arguments | more))


@pytest.fixture(scope="module")
def tuned(lesions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of fold 0 after a search and two trials; never written to."""
    home = tmp_path_factory.mktemp("tuned") / "fold0"
    for name, choices in (("first", FIRST), ("second", SECOND)):
        out = home / TUNING / name / "enas_b"
        train(lesions, out, overrides=TINY | choices, home=home, tested=False)
    return home


def copied(tuned: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tuned, tmp_path / "fold0"))


def rewritten(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    state = json.loads(file.with_name(RUN_FILE).read_text())
    file.with_name(RUN_FILE).write_text(json.dumps(state | {"sha256": {}}))  # so that it is read at all


def test_trials_share_one_search_that_no_choice_touches(tuned: Path) -> None:
    assert [path.parent.relative_to(tuned) for path in tuned.rglob("search.json")] == [Path("search")]
    asked = json.loads((tuned / "search" / "search.json").read_text())["settings"]
    assert asked["data"]["augmentation_strength"] == 1.0
    found = Architecture.load(tuned / "search" / "architecture.json").to_sample()
    for name, choices in (("first", FIRST), ("second", SECOND)):
        network = json.loads((tuned / TUNING / name / "enas_b" / "model.json").read_text())["network"]
        assert (network["architecture"], network["layout"]) == (found, f"enas{choices['enas_b.cells']}")
        assert network["filters"] == 2


def test_trials_look_at_no_test_image(tuned: Path, lesions: Path) -> None:
    data = load(lesions)
    tested = {data.image_digests[i] for i in assign_folds(data, 2).split(0)[1]}
    for name in ("first", "second"):
        folder = tuned / TUNING / name / "enas_b"
        assert json.loads((folder / "metrics.json").read_text())["test"] is None
        assert (folder / "predictions.csv").read_text().count("\n") == 1  # its header
        record = json.loads((folder / "retrain.json").read_text())
        assert not tested & set(record["seen"]["image_digests"])


def test_the_best_trials_choice_is_tested_once_and_is_a_row_like_all_others(
    tuned: Path, lesions: Path, tmp_path: Path
) -> None:
    home = copied(tuned, tmp_path)
    aucs = {
        name: json.loads((home / TUNING / name / "enas_b" / "metrics.json").read_text())["validation"]["auc"]
        for name in ("first", "second")
    }
    best, choices = max((("first", FIRST), ("second", SECOND)), key=lambda one: aucs[one[0]])
    metrics = train(lesions, home / "enas_b")
    assert metrics["tuning"]["trials"] == 2 and metrics["tuning"]["validation_auc"] == aucs[best]
    assert choices.items() <= metrics["tuning"]["chosen"].items()
    record = json.loads((home / "enas_b" / "retrain.json").read_text())
    assert record["settings"]["enas_b"]["cells"] == choices["enas_b.cells"]
    assert record["settings"]["retrain"]["filters"] == 2
    # The same seed trains the same network again; only now is it shown the test fold.
    again, trial = (
        (folder / "enas_b" / "validation_predictions.csv").read_bytes()
        for folder in (home, home / TUNING / best)
    )
    assert again == trial and metrics["test"]["n"] == 20
    train_on(
        lesions,
        "cells7",
        out=home / "cells7",
        folds=2,
        fold=0,
        profile="quick",
        overrides=TINY | {"retrain.filters": 2},
    )
    shutil.copytree(home / TUNING / "first", home / TUNING / "third")
    rewritten(home / TUNING / "third" / "enas_b" / RUN_FILE, done=False)  # as the assessor leaves it
    result = run_report([home], tmp_path / "report")
    assert {row["method"]: row["n"] for row in result["results"]} == {"enas_b": 20, "cells7": 20}
    warnings = " ".join(result["warnings"])
    assert "2 runs for tuning" in warnings and "1 trials of a tuning were ended early" in warnings


@pytest.fixture
def trial(tmp_path: Path) -> Any:
    """Write a literal trial of some AUC."""

    def write(
        name: str, auc: float, macs: int = 10, test: Any = None, done: bool = True, **more: Any
    ) -> None:
        with RunFolder(tmp_path / TUNING / name / "enas_b", {}) as folder:
            metrics = {"validation": {"auc": auc}, "macs": macs, "test": test}
            folder.write_json("metrics.json", metrics | more)
            folder.write_json("retrain.json", {"settings": {"retrain": {"filters": auc}}})
            if done:
                folder.finish()

    return write


def chosen(home: Path) -> str:
    return Tuning(home, "enas_b", {"retrain.filters"}).best.folder.parent.name


def test_of_equal_trials_the_cheapest_is_chosen_then_the_first_by_name(trial: Any, tmp_path: Path) -> None:
    trial("e", 0.7)
    assert chosen(tmp_path) == "e"
    trial("d", 0.9, macs=30)
    trial("c", 0.9, macs=20)
    trial("b", 0.9, macs=20)
    trial("a", 0.95, done=False)
    assert chosen(tmp_path) == "b"
    assert Tuning(tmp_path, "enas_b", {"retrain.filters"}).chosen == {"retrain.filters": 0.9}


def test_of_more_than_two_classes_the_macro_auc_chooses(trial: Any, tmp_path: Path) -> None:
    for name, area in (("a", 0.7), ("b", 0.8)):
        trial(name, area, validation={"auc_macro": area}, classes=["low", "middle", "high"], positive=None)
    assert chosen(tmp_path) == "b"
    assert Tuning(tmp_path, "enas_b", {"retrain.filters"}).to_dict()["validation_auc"] == 0.8


def test_a_trial_that_was_tested_chooses_nothing(trial: Any, tmp_path: Path) -> None:
    trial("a", 0.7)
    trial("b", 0.6, test={"auc": 0.9})
    with pytest.raises(TuningError, match="tuning/b/enas_b: has looked at test images"):
        chosen(tmp_path)


def test_without_a_tuning_the_way_to_one_is_named(lesions: Path, tmp_path: Path) -> None:
    with pytest.raises(TuningError, match=r"no finished trial of enas_b.* has enas_b as method"):
        train(lesions, tmp_path / "fold0" / "enas_b")
    assert not (tmp_path / "fold0").exists()


@pytest.mark.parametrize(
    ("more", "error", "words"),
    [
        ({"overrides": TINY | {"retrain.epochs": 2}}, TuningError, "retrain.epochs: 1, not 2"),
        ({"fold": 1}, TuningError, "fold: 0, not 1"),
        ({"seed": 1}, TuningError, "seed: 0, not 1"),
        ({"overrides": TINY | {"retrain.filters": 8}}, SettingsError, "retrain.filters: enas_b takes it"),
    ],
)
def test_a_tuning_of_something_else_is_refused(
    more: dict[str, Any], error: type[Exception], words: str, tuned: Path, lesions: Path
) -> None:
    with pytest.raises(error, match=words):
        train(lesions, tuned / "enas_b", **more)
    assert not (tuned / "enas_b").exists()


def test_a_tuning_that_has_seen_a_test_image_is_refused(tuned: Path, lesions: Path, tmp_path: Path) -> None:
    home = copied(tuned, tmp_path)
    data = load(lesions)
    stolen = data.image_digests[assign_folds(data, 2).split(0)[1][0]]
    for name in ("first", "second"):
        file = home / TUNING / name / "enas_b" / "retrain.json"
        seen = json.loads(file.read_text())["seen"]
        rewritten(file, seen=seen | {"image_digests": [*seen["image_digests"], stolen]})
    with pytest.raises(LeakError, match="the tuning has seen 1 of the 20 test images"):
        train(lesions, home / "enas_b")
