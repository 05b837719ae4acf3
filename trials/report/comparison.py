"""What a comparison's folders hold: methods with their predictions, searches, and what is missing.

A method may have runs of several seeds. Its figures are then those of one model, mean over the seeds, and
not of the seeds' models together, which do better than any of them and cost as many times as much.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from trials.data.findings import findings_of
from trials.errors import EvaluationError
from trials.evaluation.calibration import mean_log_odds
from trials.evaluation.metrics import score
from trials.runs.finished import Failed, Run, named, read_run, warned
from trials.runs.folder import failure, is_done, read_json
from trials.runs.layout import (
    ARCHITECTURE,
    EXTERNAL_PREDICTIONS,
    METRICS,
    PREDICTIONS,
    RUN_FILE,
    SEARCH_FILE,
    TUNING,
)
from trials.runs.predictions import frozen, read_predictions


@dataclass(frozen=True, eq=False)
class Predictions:
    """Images with their truth and what was said of them, one entry each [n].

    `log_odds` are what ranks and decides, against the `cutoffs`, log odds too, of the models that said it;
    `calibrated` the probabilities after temperature scaling, None where a run brings no temperature; `folds`
    -1 outside of folds. `seeds` are what each seed's models say of the same images, where there are several;
    log odds and cutoffs are then those of their mean probabilities and thresholds, for what needs one score
    an image, such as a curve.
    """

    data: str
    files: np.ndarray
    groups: np.ndarray
    folds: np.ndarray
    positive: np.ndarray
    probabilities: np.ndarray
    log_odds: np.ndarray
    cutoffs: np.ndarray
    calibrated: np.ndarray | None
    seeds: tuple[Predictions, ...] = ()

    @property
    def each(self) -> tuple[Predictions, ...]:
        """The predictions seed by seed."""
        return self.seeds or (self,)

    @property
    def called(self) -> np.ndarray:
        """Which images are called positive."""
        called: np.ndarray = self.log_odds >= self.cutoffs
        return called

    @property
    def thresholds(self) -> np.ndarray:
        """The cutoffs as probabilities."""
        thresholds: np.ndarray = expit(self.cutoffs)
        return thresholds

    @property
    def certainty(self) -> np.ndarray:
        """How far the log odds are from those of the threshold, on either side."""
        distance: np.ndarray = np.abs(self.log_odds - self.cutoffs)
        return distance

    def at(self, index: np.ndarray) -> Predictions:
        """Return the entries at `index`."""
        return Predictions(
            self.data,
            self.files[index],
            self.groups[index],
            self.folds[index],
            self.positive[index],
            self.probabilities[index],
            self.log_odds[index],
            self.cutoffs[index],
            None if self.calibrated is None else self.calibrated[index],
            tuple(part.at(index) for part in self.seeds),
        )


@dataclass(frozen=True, eq=False)
class MethodRuns:
    """All runs of one method, by fold and seed, every seed with the same folds.

    And what it says of the test folds, pooled, and of external images.
    """

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
    def seeds(self) -> list[int]:
        """The seeds of its runs."""
        return sorted({run.seed for run in self.runs})

    def place(self, run: Run) -> str:
        """Say which of its runs this is: its label, fold and, where there are several, seed."""
        fold = "" if run.fold is None or run.own_split else f", fold {run.fold}"
        return self.label + fold + (f", seed {run.seed}" if len(self.seeds) > 1 else "")

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
    """One finished search: its record, and the methods that it found the cells of, by label and fold."""

    folder: Path
    record: Mapping[str, Any]
    found: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its folder, fold and, other than 0, seed."""
        seed = f", seed {self.record['seed']}" if self.record.get("seed") else ""
        return f"{self.folder.parent.name}/{self.folder.name}{seed}"


@dataclass(frozen=True, eq=False)
class Comparison:
    """What `read_comparison` finds; `warnings` are what a reader must know before the figures.

    `failed` are the runs that ended in an error, also of methods and searches that have no finished one.
    `ranked` are the runs of architectures trained alone, whose places in a search's ranking are known.
    """

    methods: tuple[MethodRuns, ...]
    searches: tuple[Search, ...]
    ranked: tuple[Run, ...]
    failed: tuple[Failed, ...]
    warnings: tuple[str, ...]

    @property
    def first(self) -> Run:
        """Any of the runs: what they have in common can be read from it."""
        return self.methods[0].runs[0]

    @property
    def findings(self) -> list[tuple[str, list[str]]]:
        """What was found in the data, and in the external data, each with its name."""
        runs = [run for one in self.methods for run in one.runs]
        described = [(self.first.metrics["data"], self.first.record.get("data"))]
        external = next((found for run in runs if (found := run.record.get("external_data"))), None)
        described += [(f"external {external['name']}", external)] if external else []
        return [(name, findings_of(found)) for name, found in described]


def read_comparison(places: Sequence[Path]) -> Comparison:
    """Read the finished runs at or below `places`, and the searches there or beside a run that is named.

    Runs that tuning has judged by their validation images alone are left out, and counted in the warnings.
    Raises `EvaluationError` where there are none, and where runs are of different data, folds or positive
    classes, or two of the same method, fold and seed.
    """
    for place in places:
        if not place.is_dir():
            raise EvaluationError(f"{place}: no such folder; name the output folder of a comparison or a run")
    folders = sorted({file.parent for place in places for file in place.rglob(METRICS)})
    finished = [read_run(folder) for folder in folders if is_done(folder)]
    everything = [run for run in finished if not _for_tuning(run)]
    ranked = [run for run in everything if "candidate" in run.metrics]
    runs = [run for run in everything if run not in ranked]
    if not runs:
        names = ", ".join(map(str, places))
        reasons = "".join(f"; {one.place}, failed: {one.reason}" for one in _failed(places))
        raise EvaluationError(
            f"{names}: no finished run there; finish one, or name the folder above the runs{reasons}"
        )
    _refuse_mixture(everything)
    found = [list(group) for _, group in groupby(sorted(runs, key=_order), key=lambda run: run.method)]
    methods = [_method(_of_whole_seeds(group)) for group in found]
    _refuse_other_folds(methods)
    halves = [warning for group in found for warning in _left_out_seeds(group)]
    return Comparison(
        tuple(methods),
        tuple(_searches(places, methods)),
        tuple(ranked),
        tuple(_failed(places)),
        tuple(
            [
                *_missing(methods),
                *halves,
                *_untested(len(finished) - len(everything)),
                *_unfinished(places),
                *warned(
                    everything, lambda run: named(_label(run), None if run.own_split else run.fold, run.seed)
                ),
                *_doubts(everything),
            ]
        ),
    )


def _for_tuning(run: Run) -> bool:
    return run.fold is not None and not len(run.positive) and "candidate" not in run.metrics


def _untested(count: int) -> Iterable[str]:
    if count:
        yield f"{count} runs for tuning, judged by their validation images alone, take no part"


def _label(run: Run) -> str:
    return str(run.metrics.get("label") or re.sub(r"^enas(\d+)$", r"ENAS-\1", run.method))


def _order(run: Run) -> tuple[str, int, int]:
    return run.method, run.seed, -1 if run.fold is None else run.fold


def _refuse_mixture(runs: Sequence[Run]) -> None:
    for what, key in (("data", "data_digest"), ("positive classes", "positive")):
        _refuse_if_different(what, [(run.metrics[key], run) for run in runs])
    tested = [run for run in runs if "candidate" not in run.metrics]
    _refuse_if_different("values of protocol.refit", [(run.refit, run) for run in tested])
    in_folds = [run for run in runs if run.fold is not None]
    _refuse_if_different("numbers of folds", [(run.metrics["folds"], run) for run in in_folds])
    met: dict[tuple[str, int | None, int], Path] = {}
    for run in runs:
        key_ = run.method, run.fold, run.seed
        if key_ in met:
            raise EvaluationError(
                f"{met[key_]} and {run.folder} are of the same method, fold and seed "
                f"({', '.join(map(str, key_))}); leave one of them out"
            )
        met[key_] = run.folder


def _refuse_if_different(what: str, values: Iterable[tuple[object, Run]]) -> None:
    examples = {value: run for value, run in values}
    if len(examples) > 1:
        found = "; ".join(
            f"{value} ({run.metrics.get('data')}) in {run.folder}" for value, run in examples.items()
        )
        raise EvaluationError(f"the runs are of different {what}: {found}; report them apart")


def _of_whole_seeds(runs: Sequence[Run]) -> list[Run]:
    """Return the runs of a method's seeds that have all folds which any of its seeds has.

    Else its seeds would be measured on different images. Where no seed has them all, one that has most.
    """
    folds = {run.seed: _folds_of(runs, run.seed) for run in runs}
    most = max(folds.values(), key=len)
    return [run for run in runs if folds[run.seed] == most]


def _folds_of(runs: Sequence[Run], seed: int) -> set[int | None]:
    return {run.fold for run in runs if run.seed == seed}


def _left_out_seeds(runs: Sequence[Run]) -> Iterable[str]:
    kept = _of_whole_seeds(runs)
    for seed in sorted({run.seed for run in runs} - {run.seed for run in kept}):
        lacking = _folds_of(kept, kept[0].seed) - _folds_of(runs, seed)
        names = ", ".join(sorted("of all data" if fold is None else str(fold) for fold in lacking))
        yield f"{_label(runs[0])}: seed {seed} has no finished run of fold {names} and takes no part"


def _method(runs: list[Run]) -> MethodRuns:
    return MethodRuns(
        runs[0].method,
        _label(runs[0]),
        tuple(runs),
        tested=_over_seeds(runs, _tested),
        external=_over_seeds(runs, _external),
    )


def _over_seeds(
    runs: Sequence[Run], side: Callable[[Sequence[Run]], Predictions | None]
) -> Predictions | None:
    """Return what `side` reads of each seed's runs, and the seeds' mean where there are several."""
    of_seeds = [list(part) for _, part in groupby(runs, key=lambda run: run.seed)]
    known = {part[0].folder: found for part in of_seeds if (found := side(part)) is not None}
    if len(known) < 2:
        return next(iter(known.values()), None)
    return replace(_mean(known), seeds=tuple(known.values()))


def _mean(by_place: Mapping[Path, Predictions]) -> Predictions:
    """Return the mean of what is said of the same images; raises `EvaluationError` for different ones."""
    (first, *others), parts = by_place, list(by_place.values())
    if not others:
        return parts[0]
    for place in others:
        if not np.array_equal(by_place[place].files, parts[0].files):
            raise EvaluationError(
                f"{place}: is of other images than {first}; test all folds' and seeds' models on the same"
            )
    calibrated = [part.calibrated for part in parts if part.calibrated is not None]
    odds = mean_log_odds([part.log_odds for part in parts])
    return replace(
        parts[0],
        probabilities=expit(odds),
        log_odds=odds,
        cutoffs=mean_log_odds([part.cutoffs for part in parts]),
        calibrated=np.mean(calibrated, axis=0) if len(calibrated) == len(parts) else None,
    )


def _read(run: Run, name: str, data: str, fold: int | None) -> Predictions:
    found = read_predictions(run.folder / name, str(run.metrics["positive"]))
    cutoff, temperature = frozen(run.metrics, run.folder / METRICS)
    return Predictions(
        data,
        found.files,
        found.groups,
        np.full(len(found.files), -1 if fold is None else fold),
        found.positive,
        found.probabilities,
        found.log_odds,
        np.full(len(found.files), cutoff),
        None if temperature is None else found.calibrated(temperature),
    )


def _tested(runs: Sequence[Run]) -> Predictions | None:
    """Put what one seed's models say of their test folds behind one another."""
    parts = [_read(run, PREDICTIONS, run.metrics["data"], run.fold) for run in runs if run.fold is not None]
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
        log_odds=np.concatenate([part.log_odds for part in parts]),
        cutoffs=np.concatenate([part.cutoffs for part in parts]),
        calibrated=np.concatenate(calibrated) if len(calibrated) == len(parts) else None,
    )


def _external(runs: Sequence[Run]) -> Predictions | None:
    """Return what the model of all data, else the mean of the folds' models, says of external images."""
    having = [run for run in runs if (run.folder / EXTERNAL_PREDICTIONS).is_file()]
    chosen = [run for run in having if run.fold is None] or having
    if not chosen:
        return None
    parts = [
        _read(run, EXTERNAL_PREDICTIONS, str(run.metrics.get("external") or "external"), None)
        for run in chosen
    ]
    return _mean({run.folder / EXTERNAL_PREDICTIONS: part for run, part in zip(chosen, parts, strict=True)})


def _refuse_other_folds(methods: Sequence[MethodRuns]) -> None:
    """Raise `EvaluationError` where two methods were tested on different images in the same fold."""
    images: dict[int, tuple[frozenset[str], Run]] = {}
    for method in methods:
        for run in method.runs:
            if run.fold is None or method.tested is None:
                continue
            files = frozenset(method.tested.files[method.tested.folds == run.fold])
            known, other = images.setdefault(run.fold, (files, run))
            if files != known:
                raise EvaluationError(
                    f"{other.folder} and {run.folder} tested fold {run.fold} on different images "
                    f"(such as {min(files ^ known)}); run all methods on the same folds"
                )


def _searches(places: Sequence[Path], methods: Sequence[MethodRuns]) -> Iterable[Search]:
    runs = [run for method in methods for run in method.runs]
    beside = {run.folder.parent for run in runs if run.folder in places}
    files = {file for place in places for file in place.rglob(SEARCH_FILE)}
    files |= {file for folder in beside for file in folder.glob(f"*/{SEARCH_FILE}")}
    for file in sorted(files):
        if not is_done(file.parent):
            continue
        architecture = file.with_name(ARCHITECTURE)
        sample = read_json(architecture) if architecture.is_file() else None
        found = [
            method.place(run)
            for method in methods
            for run in method.runs
            if sample is not None and _architecture(run) == sample
        ]
        yield Search(file.parent, read_json(file), tuple(found))


def _architecture(run: Run) -> Any:
    """Return the cells of a run; runs of a time before there were other networks name them directly."""
    return (run.record.get("network") or run.record).get("architecture")


def _missing(methods: Sequence[MethodRuns]) -> Iterable[str]:
    for method in methods:
        if method.missing_folds:
            folds = ", ".join(map(str, method.missing_folds))
            yield f"{method.label}: no finished run of fold {folds}; its figures are of the others only"


def _not_done(places: Sequence[Path]) -> list[Path]:
    states = sorted({file for place in places for file in place.rglob(RUN_FILE)})
    return [state.parent for state in states if not is_done(state.parent)]


def _is_trial(folder: Path) -> bool:
    return folder.parents[1].name == TUNING


def _failed(places: Sequence[Path]) -> Iterable[Failed]:
    for folder in _not_done(places):
        reason = failure(folder)
        identity = read_json(folder / RUN_FILE).get("identity")
        asked: dict[str, Any] = identity if isinstance(identity, dict) else {}
        if reason is None or _is_trial(folder) or asked.get("verb") in ("evaluate", "report"):
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


def _doubts(runs: Sequence[Run]) -> Iterable[str]:
    """Say where a run's files contradict each other, and where code was not what a commit holds."""
    for run in runs:
        recorded = run.metrics.get("test")
        if recorded and len(run.positive):
            found = score(run.positive, run.log_odds, run.cutoff)
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
