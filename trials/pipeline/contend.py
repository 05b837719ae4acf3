"""Contending: one method of the registry on one outer fold, under the protocol of all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trials.data.task import Task
from trials.errors import RunFolderError, SettingsError
from trials.methods.registry import METHODS, find_method
from trials.pipeline.train import plan, train_and_test
from trials.pipeline.tuning import Tuning
from trials.settings.load import flat


def run_train(
    data_path: Path,
    name: str,
    *,
    out: Path,
    profile: str = "cpu",
    overrides: Mapping[str, object] | None = None,
    folds: int = 5,
    fold: int | None = None,
    seed: int = 0,
    external: Path | None = None,
    tested: bool = True,
    home: Path | None = None,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Let the method `name` learn, be tested on outer fold `fold` of `folds`, and on `external` data.

    Writes to `out` what `trials.pipeline.train` names, and returns the content of `metrics.json`. A
    method that is searched makes its search beside `out`, once for all layouts, and those that one is the
    mean of contend there. Not `tested`, it is
    judged by its validation images alone, so that something may be chosen by it. One with choices takes
    those of the best trial of its tuning, which lies beside `out` too; in such a trial, not `tested`, they
    are among the `overrides`, and `home` is the folder in which all trials share the search.
    The same arguments again resume an interrupted run, or report a finished one. With `dry_run` nothing is
    written, and settings, data and an estimate, without the search's share, are returned. Raises ValueError
    (`SettingsError`, `DataError`, `LeakError`, `TuningError`, `RunFolderError`, ...) before any work starts.
    """
    entry = find_method(name)
    if out.name in METHODS and out.name != name:  # a mean's members contend beside it, by their names
        raise RunFolderError(f"{out}: there contends {out.name}, not {name}; name another folder")
    changes, beside = dict(flat(overrides or {})), out.absolute().parent
    tuning = Tuning(beside, name, entry.choices) if entry.choices and tested else None
    if tuning:
        if named := sorted(entry.choices & changes.keys()):
            raise SettingsError(f"{named[0]}: {name} takes it from its tuning; leave it out")
        changes |= tuning.chosen
    settings = entry.settings(profile, changes)
    task = Task(data_path, settings, folds=folds, fold=fold, seed=seed, external=external, tested=tested)
    if tuning:
        tuning.check(task)
    if dry_run:
        return plan(task, entry.make(task, None))
    shared = home if home and entry.choices else beside
    facts = {"tuning": tuning.to_dict()} if tuning else {}
    return train_and_test(task, entry.make(task, shared), entry.title, out, "train", facts)
