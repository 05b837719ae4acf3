"""What a comparison's folders hold: contestants with their predictions, searches, and what is missing."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from trials.contestants.protocol import METRICS, PREDICTIONS
from trials.leaks import SEARCH_FILE
from trials.metrics import score
from trials.run_folder import RUN_FILE, is_done, read_json
from trials.runs import EvaluationError, Run, read_run
from trials.statistics.calibration import apply_temperature

EXTERNAL = "external_predictions.csv"


@dataclass(frozen=True, eq=False)
class Predictions:
    """Images with their truth and what was said of them, one entry each [n].

    `thresholds` are the frozen ones of the models that said it; `calibrated` the probabilities after
    temperature scaling, None where a run brings no temperature; `folds` -1 outside of folds.
    """

    data: str
    files: np.ndarray
    groups: np.ndarray
    folds: np.ndarray
    positive: np.ndarray
    probabilities: np.ndarray
    thresholds: np.ndarray
    calibrated: np.ndarray | None

    @property
    def called(self) -> np.ndarray:
        """Which images are called positive."""
        called: np.ndarray = self.probabilities >= self.thresholds
        return called

    def at(self, index: np.ndarray) -> Predictions:
        """Return the entries at `index`."""
        return Predictions(
            self.data,
            self.files[index],
            self.groups[index],
            self.folds[index],
            self.positive[index],
            self.probabilities[index],
            self.thresholds[index],
            None if self.calibrated is None else self.calibrated[index],
        )


@dataclass(frozen=True, eq=False)
class Contestant:
    """All runs of one contestant, by fold; what it says of the test folds, pooled, and of external images."""

    name: str
    label: str
    runs: tuple[Run, ...]
    tested: Predictions | None
    external: Predictions | None

    @property
    def saw_other_data(self) -> bool:
        """Whether its weights come from other images, so that it is shown apart."""
        return bool(self.runs[0].metrics.get("saw_other_data", False))

    @property
    def layout(self) -> str | None:
        """The layout that its cells stand in; None: it is not made of cells."""
        return self.runs[0].metrics.get("layout")

    @property
    def missing_folds(self) -> list[int]:
        """The outer folds of the comparison that no run of it has tested."""
        count = next((run.metrics["folds"] for run in self.runs if run.fold is not None), 0)
        return sorted(set(range(count)) - {run.fold for run in self.runs if run.fold is not None})


@dataclass(frozen=True, eq=False)
class Search:
    """One finished search: its record, and the contestants that it found the cells of, by label and fold."""

    folder: Path
    record: Mapping[str, Any]
    found: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Comparison:
    """What `read_comparison` finds; `warnings` are what a reader must know before the figures."""

    contestants: tuple[Contestant, ...]
    searches: tuple[Search, ...]
    warnings: tuple[str, ...]

    @property
    def first(self) -> Run:
        """Any of the runs: what they have in common can be read from it."""
        return self.contestants[0].runs[0]


def read_comparison(places: Sequence[Path]) -> Comparison:
    """Read the finished runs at or below `places`, and the searches there or beside a run that is named.

    Raises `EvaluationError` where there are none, and where runs are of different data, folds or positive
    classes, or two of the same contestant and fold.
    """
    for place in places:
        if not place.is_dir():
            raise EvaluationError(f"{place}: no such folder; name the output folder of a comparison or a run")
    folders = sorted({file.parent for place in places for file in place.rglob(METRICS)})
    runs = [read_run(folder) for folder in folders if is_done(folder)]
    if not runs:
        names = ", ".join(map(str, places))
        raise EvaluationError(
            f"{names}: no finished run there; finish one, or name the folder above the runs"
        )
    _refuse_mixture(runs)
    contestants = [
        _contestant(name, list(group))
        for name, group in groupby(sorted(runs, key=_order), key=lambda run: run.contestant)
    ]
    _refuse_other_folds(contestants)
    return Comparison(
        tuple(contestants),
        tuple(_searches(places, runs)),
        tuple([*_missing(contestants), *_unfinished(places), *_doubts(runs)]),
    )


def _label(run: Run) -> str:
    return str(run.metrics.get("label") or re.sub(r"^enas(\d+)$", r"ENAS-\1", run.contestant))


def _order(run: Run) -> tuple[str, int, str]:
    return run.contestant, -1 if run.fold is None else run.fold, str(run.folder)


def _refuse_mixture(runs: Sequence[Run]) -> None:
    for what, key in (("data", "data_digest"), ("positive classes", "positive")):
        _refuse_if_different(what, [(run.metrics[key], run) for run in runs])
    in_folds = [run for run in runs if run.fold is not None]
    _refuse_if_different("numbers of folds", [(run.metrics["folds"], run) for run in in_folds])
    met: dict[tuple[str, int | None], Path] = {}
    for run in runs:
        key_ = run.contestant, run.fold
        if key_ in met:
            raise EvaluationError(
                f"{met[key_]} and {run.folder} are of the same contestant and fold ({key_[0]}, {key_[1]}); "
                "leave one of them out, or report each seed apart"
            )
        met[key_] = run.folder


def _refuse_if_different(what: str, values: Iterable[tuple[object, Run]]) -> None:
    examples = {value: run for value, run in values}
    if len(examples) > 1:
        found = "; ".join(
            f"{value} ({run.metrics.get('data')}) in {run.folder}" for value, run in examples.items()
        )
        raise EvaluationError(f"the runs are of different {what}: {found}; report them apart")


def _contestant(name: str, runs: list[Run]) -> Contestant:
    tested = [_read(run, PREDICTIONS, run.metrics["data"]) for run in runs if run.fold is not None]
    return Contestant(name, _label(runs[0]), tuple(runs), _pooled(tested), _external(runs))


def _read(run: Run, name: str, data: str) -> Predictions:
    with (run.folder / name).open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    probabilities = np.array([float(row["probability"]) for row in rows])
    temperature = run.metrics.get("temperature")
    return Predictions(
        data,
        np.array([row["file"] for row in rows], dtype=object),
        np.array([row["group"] for row in rows], dtype=str),
        np.full(len(rows), -1 if run.fold is None else run.fold),
        np.array([row["label"] == run.metrics["positive"] for row in rows], dtype=bool),
        probabilities,
        np.full(len(rows), float(run.metrics["threshold"])),
        None if temperature is None else apply_temperature(probabilities, temperature),
    )


def _pooled(parts: Sequence[Predictions]) -> Predictions | None:
    """Put parts of different images behind one another."""
    if not parts:
        return None
    calibrated = [part.calibrated for part in parts if part.calibrated is not None]
    return Predictions(
        parts[0].data,
        files=np.concatenate([part.files for part in parts]),
        groups=np.concatenate([part.groups for part in parts]),
        folds=np.concatenate([part.folds for part in parts]),
        positive=np.concatenate([part.positive for part in parts]),
        probabilities=np.concatenate([part.probabilities for part in parts]),
        thresholds=np.concatenate([part.thresholds for part in parts]),
        calibrated=np.concatenate(calibrated) if len(calibrated) == len(parts) else None,
    )


def _external(runs: Sequence[Run]) -> Predictions | None:
    """Return what the model of all data, else the mean of the folds' models, says of external images."""
    having = [run for run in runs if (run.folder / EXTERNAL).is_file()]
    chosen = [run for run in having if run.fold is None] or having
    if not chosen:
        return None
    parts = [_read(run, EXTERNAL, str(run.metrics.get("external_data") or "external")) for run in chosen]
    for run, part in zip(chosen[1:], parts[1:], strict=True):
        if not np.array_equal(part.files, parts[0].files):
            raise EvaluationError(
                f"{run.folder / EXTERNAL}: is of other images than {chosen[0].folder / EXTERNAL}; "
                "test all folds' models on the same external data"
            )
    calibrated = [part.calibrated for part in parts if part.calibrated is not None]
    return Predictions(
        parts[0].data,
        parts[0].files,
        parts[0].groups,
        np.full(len(parts[0].files), -1),
        parts[0].positive,
        np.mean([part.probabilities for part in parts], axis=0),
        np.mean([part.thresholds for part in parts], axis=0),
        np.mean(calibrated, axis=0) if len(calibrated) == len(parts) else None,
    )


def _refuse_other_folds(contestants: Sequence[Contestant]) -> None:
    """Raise `EvaluationError` where two contestants were tested on different images in the same fold."""
    images: dict[int, tuple[frozenset[str], Run]] = {}
    for contestant in contestants:
        for run in contestant.runs:
            if run.fold is None or contestant.tested is None:
                continue
            files = frozenset(contestant.tested.files[contestant.tested.folds == run.fold])
            known, other = images.setdefault(run.fold, (files, run))
            if files != known:
                raise EvaluationError(
                    f"{other.folder} and {run.folder} tested fold {run.fold} on different images "
                    f"(such as {min(files ^ known)}); run all contestants on the same folds"
                )


def _searches(places: Sequence[Path], runs: Sequence[Run]) -> Iterable[Search]:
    beside = {run.folder.parent for run in runs if run.folder in places}
    files = {file for place in places for file in place.rglob(SEARCH_FILE)}
    files |= {file for folder in beside for file in folder.glob(f"*/{SEARCH_FILE}")}
    for file in sorted(files):
        if not is_done(file.parent):
            continue
        architecture = file.with_name("architecture.json")
        sample = read_json(architecture) if architecture.is_file() else None
        found = [run for run in runs if sample is not None and run.record.get("architecture") == sample]
        yield Search(file.parent, read_json(file), tuple(f"{_label(run)}, fold {run.fold}" for run in found))


def _missing(contestants: Sequence[Contestant]) -> Iterable[str]:
    for contestant in contestants:
        if contestant.missing_folds:
            folds = ", ".join(map(str, contestant.missing_folds))
            yield f"{contestant.label}: no finished run of fold {folds}; its figures are of the others only"


def _unfinished(places: Sequence[Path]) -> Iterable[str]:
    states = sorted({file for place in places for file in place.rglob(RUN_FILE)})
    for state in states:
        if not is_done(state.parent):
            yield f"{state.parent}: is not finished and takes no part"


def _doubts(runs: Sequence[Run]) -> Iterable[str]:
    """Say where a run's files contradict each other, and where code was not what a commit holds."""
    for run in runs:
        recorded = run.metrics.get("test")
        if recorded and len(run.positive):
            found = score(run.positive, run.probabilities, run.metrics["threshold"])
            if abs(found.accuracy - recorded["accuracy"]) > 1e-9:
                yield (
                    f"{run.folder}: {PREDICTIONS} gives an accuracy of {found.accuracy:.4f}, {METRICS} says "
                    f"{recorded['accuracy']:.4f}; the figures here are those of {PREDICTIONS}"
                )
    commits = {str(run.metrics.get("commit")) for run in runs}
    if len(commits) > 1:
        yield f"the runs are of different commits: {', '.join(sorted(commits))}"
    elif any(commit.endswith("-dirty") for commit in commits):
        yield f"the runs are of changed files: commit {', '.join(commits)} does not hold what was run"
