"""Ensembles: one mean of what members say, of their own images and of new ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from trials.data.dataset import LesionData
from trials.data.load import load_external
from trials.data.phantoms import make_phantoms
from trials.data.split import Split
from trials.data.task import Task
from trials.evaluation.decisions import canonical, mean_logits
from trials.methods.base import Method
from trials.methods.build import build
from trials.methods.cells import random_cells
from trials.methods.registry import METHODS
from trials.pipeline.ensemble import Ensemble, Member
from trials.runs.folder import RunFolder
from trials.runs.reporter import Reporter
from trials.settings.load import load_settings

TINY = {"data.image_size": 24, "retrain.epochs": 1, "retrain.filters": 2}


@pytest.fixture(scope="module")
def task(lesions: Path) -> Task:
    settings = load_settings("quick", TINY)
    return Task(Split.load(lesions, settings, folds=2, fold=0), settings)


def made(task: Task, home: Path, *names: str) -> Ensemble:
    entries = [METHODS[name] for name in names]
    members = [build(task, one, random_cells(task) if one.cells else None) for one in entries]
    return Ensemble(
        task,
        [
            Member(one.title.name, one.title, member, task, home / one.title.name)
            for one, member in zip(entries, members, strict=True)
        ],
    )


def fit(ensemble: Ensemble, out: Path) -> None:
    with RunFolder(out, {}) as folder, Reporter(out) as reporter:
        ensemble.fit(folder, reporter)


def test_a_fitted_ensemble_predicts_new_images_by_its_members(task: Task, tmp_path: Path) -> None:
    make_phantoms(tmp_path / "new", count=12, side=40, seed=7)
    new = load_external(tmp_path / "new", task.settings, task.data)
    everything = np.arange(len(new.files))
    ensemble = made(task, tmp_path, "cells7", "hog_geometry")
    with pytest.raises(ValueError, match="call fit before"):
        ensemble.logits(new, everything)
    fit(ensemble, tmp_path / "mean")
    said = [canonical(member.method.logits(new, everything), 1) for member in ensemble.members]
    expected = mean_logits(said, 1)
    assert ensemble.logits(new, everything).tolist() == expected.tolist()

    again = made(task, tmp_path, "cells7", "hog_geometry")  # whose members are only reported
    fit(again, tmp_path / "mean again")
    for part in ("validation", "test"):
        images = task.parts[part]
        assert again.logits(*images).tolist() == ensemble.logits(*images).tolist()
    assert again.logits(new, everything) == pytest.approx(expected, abs=1e-5)  # by their model files


def test_members_that_were_finished_before_predict_new_images_by_their_model_files(
    task: Task, tmp_path: Path
) -> None:
    make_phantoms(tmp_path / "new", count=6, side=40, seed=7)
    new = load_external(tmp_path / "new", task.settings, task.data)
    everything = np.arange(len(new.files))
    answers = []
    for out in ("mean", "mean again"):
        ensemble = made(task, tmp_path, "cells7", "cnn3")
        fit(ensemble, tmp_path / out)
        answers.append(ensemble.logits(new, everything))
    assert answers[0] == pytest.approx(answers[1], abs=1e-5)


def test_an_ensemble_has_seen_what_a_member_has_seen(task: Task, tmp_path: Path) -> None:
    ensemble = made(task, tmp_path, "hog", "hog_geometry")
    first = ensemble.members[0]
    ensemble.members = [
        replace(first, title=replace(first.title, saw_other_data=True)),
        *ensemble.members[1:],
    ]
    fit(ensemble, tmp_path / "mean")
    assert ensemble.facts["saw_other_data"] is True
    alone = made(task, tmp_path / "alone", "hog", "hog_geometry")
    fit(alone, tmp_path / "alone" / "mean")
    assert alone.facts["saw_other_data"] is False


class Priced(Method):
    """Nothing but a price."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def fit(self, folder: RunFolder, reporter: Reporter, *, refit: bool = False) -> float:
        return self._seconds

    def logits(self, data: LesionData, indices: np.ndarray) -> np.ndarray:
        return np.zeros((len(indices), 2))

    def estimate(self) -> dict[str, float] | None:
        return {"seconds": self._seconds, "memory_bytes": 7, "disk_bytes": 5} if self._seconds else None


def test_an_ensembles_estimate_is_of_all_its_trainings(task: Task, tmp_path: Path) -> None:
    def costing(*seconds: float) -> Ensemble:
        title = METHODS["hog"].title
        return Ensemble(task, [Member("hog", title, Priced(one), task, tmp_path) for one in seconds])

    assert costing(20, 0, 10).estimate() == {"seconds": 30, "memory_bytes": 7, "disk_bytes": 10}
    assert costing(0).estimate() is None


def test_a_network_of_cells_is_not_built_without_them(task: Task) -> None:
    with pytest.raises(ValueError, match="enas7: a searched network needs an architecture"):
        build(task, METHODS["enas7"])
