"""Collecting: read the runs and searches below some folders, from run folders and from published tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from search_space.progress import progress
from trials.errors import EvaluationError
from trials.runs.collection import Collection, Predictions, Search, mean_predictions, predictions_of
from trials.runs.finished import NESTED, Failed, Run, read_run
from trials.runs.folder import failure, is_done, read_json
from trials.runs.layout import (
    ARCHITECTURE,
    EXTERNAL_PREDICTIONS,
    METRICS,
    PUBLISHED_RUNS,
    RUN_FILE,
    SEARCH_FILE,
    TUNING,
)
from trials.runs.predictions import read_predictions
from trials.runs.published import read_published


def collect(places: Sequence[Path]) -> Collection:
    """Read the finished runs and searches at or below `places`, and the searches beside a run that is named.

    Raises `EvaluationError` where a place is no folder, and for runs that do not belong together.
    """
    for place in places:
        if not place.is_dir():
            raise EvaluationError(f"{place}: no such folder; name the output folder of a comparison or a run")
    folders = {file.parent for place in places for file in place.rglob(METRICS)}
    found = [read_run(folder) for folder in progress(sorted(folders), "runs read") if is_done(folder)]
    runs = [run for run in found if not run.is_part]
    tables = {file.parent for place in places for file in place.rglob(PUBLISHED_RUNS)}
    published = [read_published(folder) for folder in sorted(tables)]
    return Collection(
        (*runs, *(run for one in published for run in one.runs)),
        (*_searches(places, runs), *(search for one in published for search in one.searches)),
        _external(runs) | {key: value for one in published for key, value in one.external.items()},
        tuple(_failed(places)),
        tuple(_unfinished(places)),
    )


def _external(runs: Sequence[Run]) -> dict[tuple[str, int], Predictions]:
    having = [run for run in runs if (run.folder / EXTERNAL_PREDICTIONS).is_file()]
    ordered = sorted(having, key=lambda run: (run.method, run.seed, -1 if run.fold is None else run.fold))
    return {key: _decided(list(part)) for key, part in groupby(ordered, lambda run: (run.method, run.seed))}


def _decided(runs: Sequence[Run]) -> Predictions:
    """Return what the model of all data, else the mean of the folds' models, says of external images."""
    parts = {
        run.folder / EXTERNAL_PREDICTIONS: predictions_of(
            run,
            read_predictions(run.folder / EXTERNAL_PREDICTIONS, run.classes),
            str(run.metrics.get("external") or "external"),
            None,
        )
        for run in [run for run in runs if run.fold is None] or runs
    }
    return mean_predictions(parts)


def _searches(places: Sequence[Path], runs: Sequence[Run]) -> Iterable[Search]:
    beside = {run.folder.parent for run in runs if run.folder in places}
    files = {file for place in places for file in place.rglob(SEARCH_FILE)}
    files |= {file for folder in beside for file in folder.glob(f"*/{SEARCH_FILE}")}
    for file in sorted(files):
        if is_done(file.parent):
            architecture = file.with_name(ARCHITECTURE)
            sample = read_json(architecture) if architecture.is_file() else None
            yield Search(file.parent, read_json(file), sample)


def _not_done(places: Sequence[Path]) -> list[Path]:
    states = sorted({file for place in places for file in place.rglob(RUN_FILE)})
    return [state.parent for state in states if not is_done(state.parent)]


def _is_trial(folder: Path) -> bool:
    return folder.parents[1].name == TUNING


def _failed(places: Sequence[Path]) -> Iterable[Failed]:
    for folder in _not_done(places):
        reason = failure(folder)
        identity = read_json(folder / RUN_FILE).get("identity")
        asked: Mapping[str, Any] = identity if isinstance(identity, dict) else {}
        of_others = asked.get("verb") in ("evaluate", "report", "finalist")
        apart = of_others or any(map(asked.get, NESTED))
        if reason is None or _is_trial(folder) or apart:
            continue
        yield Failed(
            str(asked.get("method") or folder.name), asked.get("fold"), asked.get("seed") or 0, reason
        )


def _unfinished(places: Sequence[Path]) -> Iterable[str]:
    unfinished = _not_done(places)
    for folder in unfinished:
        if not _is_trial(folder):
            reason = failure(folder)
            ended = "is not finished" if reason is None else f"failed ({reason})"
            yield f"{folder}: {ended} and takes no part"
    trials = [folder for folder in unfinished if _is_trial(folder)]
    if trials:
        yield f"{len(trials)} trials of a tuning were ended early, or are not finished, and take no part"
