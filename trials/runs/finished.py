"""Finished runs of methods, as their output folders tell."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from trials.errors import EvaluationError
from trials.evaluation.decisions import Decision
from trials.runs.folder import failure, is_done, read_json
from trials.runs.layout import METRICS, PREDICTIONS, RECORD, VALIDATION_PREDICTIONS
from trials.runs.predictions import Classes, Predicted, classes_of, frozen, read_predictions

NEEDED = (
    "method",
    "label",
    "data_digest",
    "fold",
    "folds",
    "positive",
    "threshold",
)  # of every run's metrics
NESTED = ("part", "member")  # of a run that is one training of several, in its metrics and its identity


@dataclass(frozen=True)
class Failed:
    """A run that did not come to its end: whose, of which fold and seed, and why; None: of all data."""

    method: str
    fold: int | None
    seed: int
    reason: str

    @property
    def place(self) -> str:
        """Say which of the method's runs this is."""
        return named(self.method, self.fold, self.seed)


def warned(runs: Sequence[Run], name: Callable[[Run], str]) -> list[str]:
    """Return each warning of runs once, after the names of those that it is of; of all runs without names."""
    of_runs: dict[str, list[str]] = {}
    for run in runs:
        for warning in run.warnings:
            of_runs.setdefault(warning, []).append(name(run))
    everyone = len(runs) if len(runs) > 1 else 0
    return [
        warning if len(names) == everyone else f"{'; '.join(names)}: {warning}"
        for warning, names in of_runs.items()
    ]


def named(method: str, fold: int | None, seed: int) -> str:
    """Say which of a method's runs one is; seed 0 goes without saying."""
    return method + ("" if fold is None else f", fold {fold}") + (f", seed {seed}" if seed else "")


UNKNOWN_REASON = "no reason is recorded: it was killed, or never began; the log of its trial may say why"


@dataclass(frozen=True, eq=False)
class Run:
    """What a run has left: what it says of its test images and, where known, of its validation images.

    `decision` says which class an image is called; `temperature` is None where it has none.
    """

    folder: Path
    metrics: Mapping[str, Any]
    record: Mapping[str, Any]
    tested: Predicted
    validation: Predicted | None
    decision: Decision
    temperature: float | None

    @property
    def classes(self) -> Classes:
        """The classes, of which one may be positive."""
        return self.tested.classes

    @property
    def cutoff(self) -> float:
        """The log odds from which up an image is called positive; of two classes."""
        return float(self.decision.cutoff)

    @property
    def positive(self) -> np.ndarray:
        """Which test images are positive, bool [n]."""
        return self.tested.positive

    @property
    def log_odds(self) -> np.ndarray:
        """The log odds of the test images [n]."""
        return self.tested.log_odds

    @property
    def method(self) -> str:
        """The name of the method that was trained."""
        return str(self.metrics["method"])

    @property
    def label(self) -> str:
        """The method's name for a reader."""
        return str(self.metrics["label"])

    @property
    def architecture(self) -> Mapping[str, Any] | None:
        """The cells that it is made of, as a sample of the search space; None: of other layers."""
        return (self.record.get("network") or {}).get("architecture")

    @property
    def seed(self) -> int:
        """The seed of its training, and of its search where it made one."""
        return int(self.metrics.get("seed") or 0)

    @property
    def fold(self) -> int | None:
        """The outer fold that tested it; None: it was trained on all the data."""
        return None if self.metrics["fold"] is None else int(self.metrics["fold"])

    @property
    def refit(self) -> bool:
        """Whether it learned once more from the validation images too, before it was tested."""
        return bool(self.metrics.get("refit"))

    @property
    def warnings(self) -> list[str]:
        """What a reader of its results must know."""
        return list(self.metrics.get("warnings") or [])

    @property
    def is_candidate(self) -> bool:
        """Whether it trained a search's candidate alone, to see how well the search ranks."""
        return "candidate" in self.metrics

    @property
    def is_part(self) -> bool:
        """Whether it is one training of a cross-fit or a set, which takes part in what all say together."""
        return any(name in self.metrics for name in NESTED)

    @property
    def for_tuning(self) -> bool:
        """Whether it is a tuning's trial, judged by its validation images alone."""
        return self.fold is not None and not len(self.tested.files) and not self.is_candidate

    @property
    def own_split(self) -> bool:
        """Whether the data's own split, as the only outer fold, has tested it."""
        return bool(self.metrics["folds"] == 1)


def _way_out(folder: Path) -> str:
    if below := sorted(folder.rglob(METRICS)):
        return f"name the runs in it, such as {below[0].parent}"
    if not folder.exists():
        return "there is nothing there; check the name"
    return "finish it by the command that began it, or leave it out"


def read_run(folder: Path) -> Run:
    """Read a finished run; raises `EvaluationError` for a folder that holds none.

    And `PredictionsError` for predictions, a threshold or a temperature that cannot be.
    """
    if not is_done(folder) or not (folder / METRICS).is_file():
        reason = failure(folder)
        failed = "" if reason is None else f", it failed ({reason})"
        raise EvaluationError(f"{folder}: holds no finished run{failed}; {_way_out(folder)}")
    metrics, record = read_json(folder / METRICS), read_json(folder / RECORD)
    if missing := [name for name in NEEDED if name not in metrics]:
        raise EvaluationError(
            f"{folder / METRICS}: no {missing[0]}; put back what was there, or repeat the run in a new folder"
        )
    classes, validation = classes_of(metrics), folder / VALIDATION_PREDICTIONS
    chosen = frozen(metrics, folder / METRICS)
    return Run(
        folder,
        metrics,
        record,
        read_predictions(folder / PREDICTIONS, classes),
        read_predictions(validation, classes) if validation.is_file() else None,
        chosen.decision,
        chosen.temperature,
    )


def by_method(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Sort runs by method and fold; raises `EvaluationError` for runs that do not belong together.

    All have one seed, and either a fold each or none.
    """
    if not runs:
        raise EvaluationError("no runs to evaluate; name the output folders of runs")
    refuse_mixture(runs)
    _refuse_if_different("numbers of folds", [(run.metrics["folds"], run) for run in runs])
    ordered = sorted(runs, key=lambda run: (run.method, run.fold or 0))
    for one, other in pairwise(ordered):
        if (one.method, one.fold) == (other.method, other.fold):
            raise EvaluationError(
                f"{one.folder} and {other.folder} are of the same method and fold, of seeds {one.seed} and "
                f"{other.seed}; evaluate one seed, or report all"
            )
    return {name: list(group) for name, group in groupby(ordered, key=lambda run: run.method)}


def refuse_mixture(runs: Sequence[Run]) -> None:
    """Raise `EvaluationError` for runs that do not belong together.

    They are of different data, folds or classes, or were tested on different images in the same fold, or are
    of the same method, fold and seed.
    """
    _refuse_if_different("data", [(run.metrics["data_digest"], run) for run in runs])
    _refuse_if_different("positive classes", [(run.classes.positive, run) for run in runs])
    _refuse_if_different("orders of classes (data.ordered)", [(_order(run.classes), run) for run in runs])
    tested = [run for run in runs if not run.is_candidate]
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
    _refuse_other_images(in_folds)


def _order(classes: Classes) -> object:
    """Return what logits of these classes have in common; of two the other class may have no name."""
    return classes.index if classes.are_two else classes.names


def _refuse_other_images(runs: Sequence[Run]) -> None:
    tested: dict[int | None, tuple[frozenset[str], Run]] = {}
    for run in (run for run in runs if len(run.tested.files)):
        files = frozenset(run.tested.files)
        known, other = tested.setdefault(run.fold, (files, run))
        if files != known:
            raise EvaluationError(
                f"{other.folder} and {run.folder} tested fold {run.fold} on different images "
                f"(such as {min(files ^ known)}); run all methods on the same folds"
            )


def _refuse_if_different(what: str, values: Iterable[tuple[object, Run]]) -> None:
    examples = {value: run for value, run in values}
    if len(examples) > 1:
        found = "; ".join(
            f"{value} ({run.metrics.get('data')}) in {run.folder}" for value, run in examples.items()
        )
        raise EvaluationError(f"the runs are of different {what}: {found}; take them apart")
