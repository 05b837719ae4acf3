"""What covariates add is worked out as a run would, from what published runs have said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.covariates import gain, joined
from trials.data.load import load_data
from trials.data.phantoms import make_phantoms
from trials.data.split import Split
from trials.evaluation.decisions import Decision, of_two
from trials.runs.finished import Run
from trials.runs.predictions import Predicted
from trials.settings.load import load_settings

SETTINGS = load_settings("cpu", {"data.covariates": "width,height"})


def a_run(split: Split, strength: float) -> Run:
    """A network whose log odds know a little of the truth, on validation and test images."""
    data = split.data

    def said(indices: np.ndarray) -> Predicted:
        noise = np.random.default_rng(split.fold).normal(size=len(data.files))[indices]
        odds = noise + strength * (data.labels[indices] - 0.5)
        files, groups = (np.array(names, dtype=object)[indices] for names in (data.files, data.groups))
        return Predicted(files, groups.astype(str), data.labels[indices], of_two(odds, 1), data.known)

    metrics = {"method": "net", "fold": split.fold, "folds": 2, "seed": 0}
    return Run(Path("net"), metrics, {}, said(split.test), said(split.validation), Decision(1), 1.0)


def test_a_box_that_tells_the_class_is_a_gain_and_other_images_are_refused(tmp_path: Path) -> None:
    make_phantoms(tmp_path / "lesions", count=80, side=64)
    data = load_data(tmp_path / "lesions", SETTINGS)
    splits = [Split.of(data, SETTINGS, folds=2, fold=fold) for fold in (0, 1)]
    runs = [a_run(split, 0.5) for split in splits]
    row = gain(runs, data, SETTINGS)
    assert row["n"] == 80 and row["gain"] > 0.02 and row["low"] < row["pooled_gain"] < row["high"]
    assert row["auc_with"] == pytest.approx(row["auc"] + row["gain"], abs=2e-4)
    other = replace(runs[0], metrics={**runs[0].metrics, "seed": 1})
    with pytest.raises(ValueError, match="other images than those of fold 0, seed 1"):
        joined(other, data, SETTINGS)
