"""Retraining: one architecture in one layout, trained from scratch, tested on a fold that it never saw."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trials.data.task import Task
from trials.pipeline.cells import from_file
from trials.pipeline.train import Title, plan, train_and_test
from trials.settings.schema import Settings


def run_retrain(
    data_path: Path,
    architecture_path: Path,
    *,
    layout: str,
    out: Path,
    settings: Settings,
    folds: int = 5,
    fold: int | None = None,
    seed: int = 0,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Retrain an architecture; test it on outer fold `fold` of `folds`, or, without one, train on all data.

    Writes to `out` what `trials.pipeline.train` and `model_file` name, and returns the content of
    `metrics.json`. The same arguments again resume an interrupted run, or report a finished one. With
    `dry_run` nothing is written, and the settings in force, the data found and an estimate of the cost are
    returned. Raises ValueError (`DataError`, `LeakError`, `RunFolderError`, ...) before any work starts.
    """
    task = Task(data_path, settings, folds=folds, fold=fold, seed=seed)
    network = from_file(task, architecture_path, layout)
    if dry_run:
        return plan(task, network)
    title = Title(name=layout, label=layout.replace("enas", "ENAS-"), layout=layout)
    return train_and_test(task, network, title, out, "retrain")
