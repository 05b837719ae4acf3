"""Contending: one contestant of the registry on one outer fold, under the protocol of all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trials.contestants.protocol import compete, plan
from trials.contestants.registry import contestant
from trials.task import Task


def run_contend(
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
    dry_run: bool = False,
) -> dict[str, Any]:
    """Let the contestant `name` learn, be tested on outer fold `fold` of `folds`, and on `external` data.

    Writes to `out` what `trials.contestants.protocol` names, and returns the content of `metrics.json`. A
    contestant that is searched makes its search beside `out`, once for all layouts. Not `tested`, it is
    judged by its validation images alone, so that something may be chosen by it. The same arguments again
    resume an interrupted run, or report a finished one. With `dry_run` nothing is written, and settings, data
    and an estimate, without the search's share, are returned. Raises ValueError (`SettingsError`,
    `DataError`, `LeakError`, `RunFolderError`, ...) before any work starts.
    """
    entry = contestant(name)
    settings = entry.settings(profile, overrides or {})
    task = Task(data_path, settings, folds=folds, fold=fold, seed=seed, external=external, tested=tested)
    if dry_run:
        return plan(task, entry.make(task, None))
    return compete(task, entry.make(task, out.absolute().parent), entry.title, out, "contend")
