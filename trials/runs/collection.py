"""A collection: the runs and searches of one comparison, and what its methods say of external images.

Run folders and published tables are read into the same types, so that a report is made of either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from trials.errors import EvaluationError
from trials.evaluation.decisions import (
    Decision,
    behind_one_another,
    log_odds_of,
    mean_logits,
    probabilities,
    together,
)
from trials.runs.finished import Failed, Run, refuse_mixture
from trials.runs.predictions import Classes, Predicted


@dataclass(frozen=True, eq=False)
class BinaryPredictions:
    """Images with what is said of one class, the positive one, against all others, one entry each [n].

    `log_odds` rank and decide, against the `cutoffs` (log odds) of their models; `calibrated` are the
    probabilities after temperature scaling, None where a run has no temperature; `folds` are -1 outside of
    folds. Where there are several seeds, `seeds` are the predictions of each for the same images; log odds
    and cutoffs are then those of the mean probabilities and thresholds, for what needs one score an image,
    such as a curve.
    """

    data: str
    files: np.ndarray
    groups: np.ndarray
    folds: np.ndarray
    positive: np.ndarray
    log_odds: np.ndarray
    cutoffs: np.ndarray
    calibrated: np.ndarray | None
    seeds: tuple[BinaryPredictions, ...] = ()

    @property
    def each(self) -> tuple[BinaryPredictions, ...]:
        """The predictions seed by seed."""
        return self.seeds or (self,)

    @property
    def probabilities(self) -> np.ndarray:
        """The probabilities of the positive class."""
        probabilities: np.ndarray = expit(self.log_odds)
        return probabilities

    @property
    def labels(self) -> np.ndarray:
        """Which images are positive, as `Predictions.labels` says which class they are of."""
        return self.positive

    @property
    def scores(self) -> np.ndarray:
        """What ranks the images, as the logits of `Predictions` do."""
        return self.log_odds

    @property
    def called(self) -> np.ndarray:
        """Which images are called positive."""
        called: np.ndarray = self.log_odds >= self.cutoffs
        return called

    @property
    def right(self) -> np.ndarray:
        """Which images are called what they are."""
        right: np.ndarray = self.called == self.positive
        return right

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

    def at(self, index: np.ndarray) -> BinaryPredictions:
        """Return the entries at `index`."""
        return BinaryPredictions(
            self.data,
            self.files[index],
            self.groups[index],
            self.folds[index],
            self.positive[index],
            self.log_odds[index],
            self.cutoffs[index],
            None if self.calibrated is None else self.calibrated[index],
            tuple(part.at(index) for part in self.seeds),
        )


@dataclass(frozen=True, eq=False)
class Predictions:
    """Images with their labels and predictions of all classes, one entry each [n].

    `labels` index the `classes`. Canonical `logits` [n, k] rank, and the `decision` of their models calls;
    `calibrated` are the classes' probabilities [n, k] after temperature scaling, None where a run has no
    temperature; `folds` and `seeds` are as those of `BinaryPredictions`.
    """

    data: str
    classes: Classes
    files: np.ndarray
    groups: np.ndarray
    folds: np.ndarray
    labels: np.ndarray
    logits: np.ndarray
    decision: Decision
    calibrated: np.ndarray | None
    seeds: tuple[Predictions, ...] = ()

    @property
    def each(self) -> tuple[Predictions, ...]:
        """The predictions seed by seed."""
        return self.seeds or (self,)

    @property
    def scores(self) -> np.ndarray:
        """What ranks the images [n, k]."""
        return self.logits

    @property
    def called(self) -> np.ndarray:
        """The index of the class that each image is called: int64 [n]."""
        return self.decision.call(self.logits)

    @property
    def right(self) -> np.ndarray:
        """Which images are called what they are: bool [n]."""
        right: np.ndarray = self.called == self.labels
        return right

    @property
    def certainty(self) -> np.ndarray:
        """How far each call is from another one [n]."""
        return self.decision.certainty(self.logits)

    @property
    def probabilities(self) -> np.ndarray:
        """The classes' probabilities [n, k]."""
        return probabilities(self.logits)

    @cached_property
    def binary(self) -> BinaryPredictions:
        """What is said of the positive class; raises ValueError where none is."""
        if self.classes.positive is None:
            raise ValueError(f"no class of {', '.join(self.classes.names)} is positive; name one")
        return self.against(self.classes.positive)

    def against(self, name: str) -> BinaryPredictions:
        """Return what is said of the class `name` against all others."""
        index = self.classes.names.index(name)
        return BinaryPredictions(
            self.data,
            self.files,
            self.groups,
            self.folds,
            self.labels == index,
            log_odds_of(self.logits, index),
            self.decision.cutoff_of(self.logits, index),
            None if self.calibrated is None else self.calibrated[:, index],
            tuple(seed.against(name) for seed in self.seeds),
        )

    def at(self, index: np.ndarray) -> Predictions:
        """Return the entries at `index`."""
        return replace(
            self,
            files=self.files[index],
            groups=self.groups[index],
            folds=self.folds[index],
            labels=self.labels[index],
            logits=self.logits[index],
            decision=self.decision.at(index),
            calibrated=None if self.calibrated is None else self.calibrated[index],
            seeds=tuple(part.at(index) for part in self.seeds),
        )


def predictions_of(run: Run, predicted: Predicted, data: str, fold: int | None) -> Predictions:
    """Return what a run says of images, with its frozen decision and temperature."""
    n, temperature = len(predicted.files), run.temperature
    return Predictions(
        data,
        predicted.classes,
        predicted.files,
        predicted.groups,
        np.full(n, -1 if fold is None else fold),
        predicted.labels,
        predicted.logits,
        run.decision,
        None if temperature is None else probabilities(predicted.logits, temperature),
    )


def pooled(parts: Sequence[Predictions]) -> Predictions:
    """Return the predictions of several folds' images behind one another."""
    calibrated = [part.calibrated for part in parts if part.calibrated is not None]
    return replace(
        parts[0],
        files=np.concatenate([part.files for part in parts]),
        groups=np.concatenate([part.groups for part in parts]),
        folds=np.concatenate([part.folds for part in parts]),
        labels=np.concatenate([part.labels for part in parts]),
        logits=np.concatenate([part.logits for part in parts]),
        decision=behind_one_another([part.decision for part in parts], [len(part.files) for part in parts]),
        calibrated=np.concatenate(calibrated) if len(calibrated) == len(parts) else None,
    )


def mean_predictions(by_place: Mapping[Path, Predictions]) -> Predictions:
    """Return the decision of several models: mean probability against mean threshold.

    Raises `EvaluationError` where they are of different images.
    """
    (first, *others), parts = by_place, list(by_place.values())
    if not others:
        return parts[0]
    for place in others:
        if not np.array_equal(by_place[place].files, parts[0].files):
            raise EvaluationError(
                f"{place}: is of other images than {first}; test all folds' and seeds' models on the same"
            )
    calibrated = [part.calibrated for part in parts if part.calibrated is not None]
    return replace(
        parts[0],
        logits=mean_logits([part.logits for part in parts], parts[0].classes.index),
        decision=together([part.decision for part in parts]),
        calibrated=np.mean(calibrated, axis=0) if len(calibrated) == len(parts) else None,
    )


@dataclass(frozen=True, eq=False)
class Search:
    """One finished search: its record, and the cells that it found as a sample, where they are known."""

    folder: Path
    record: Mapping[str, Any]
    architecture: Mapping[str, Any] | None

    @property
    def name(self) -> str:
        """Its folder, fold and, other than 0, seed."""
        seed = f", seed {self.record['seed']}" if self.record.get("seed") else ""
        return f"{self.folder.parent.name}/{self.folder.name}{seed}"


@dataclass(frozen=True, eq=False)
class Collection:
    """Finished runs that belong together, their searches, and the runs that did not finish.

    `external` holds, by method and seed, what the model of all data, else the mean of the folds' models, says
    of external images. `unfinished` says which runs take no part, and why.
    Raises `EvaluationError` for runs that do not belong together.
    """

    runs: tuple[Run, ...]
    searches: tuple[Search, ...]
    external: Mapping[tuple[str, int], Predictions]
    failed: tuple[Failed, ...] = ()
    unfinished: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        refuse_mixture([run for run in self.runs if not run.for_tuning])
