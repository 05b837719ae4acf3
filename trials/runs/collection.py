"""A collection: the runs and searches of one comparison, and what its methods say of external images.

Run folders and published tables are read into the same types, so that a report is made of either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from trials.errors import EvaluationError
from trials.evaluation.calibration import MeanOfModels
from trials.runs.finished import Failed, Run, refuse_mixture
from trials.runs.predictions import Predicted


@dataclass(frozen=True, eq=False)
class Predictions:
    """Images with their labels and predictions, one entry each [n].

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
    seeds: tuple[Predictions, ...] = ()

    @property
    def each(self) -> tuple[Predictions, ...]:
        """The predictions seed by seed."""
        return self.seeds or (self,)

    @property
    def probabilities(self) -> np.ndarray:
        """The probabilities of the positive class."""
        probabilities: np.ndarray = expit(self.log_odds)
        return probabilities

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
            self.log_odds[index],
            self.cutoffs[index],
            None if self.calibrated is None else self.calibrated[index],
            tuple(part.at(index) for part in self.seeds),
        )


def predictions_of(run: Run, predicted: Predicted, data: str, fold: int | None) -> Predictions:
    """Return what a run says of images, with its frozen cutoff and temperature."""
    n = len(predicted.files)
    return Predictions(
        data,
        predicted.files,
        predicted.groups,
        np.full(n, -1 if fold is None else fold),
        predicted.positive,
        predicted.log_odds,
        np.full(n, run.cutoff),
        None if run.temperature is None else predicted.calibrated(run.temperature),
    )


def pooled(parts: Sequence[Predictions]) -> Predictions:
    """Return the predictions of several folds' images behind one another."""
    calibrated = [part.calibrated for part in parts if part.calibrated is not None]
    return Predictions(
        parts[0].data,
        files=np.concatenate([part.files for part in parts]),
        groups=np.concatenate([part.groups for part in parts]),
        folds=np.concatenate([part.folds for part in parts]),
        positive=np.concatenate([part.positive for part in parts]),
        log_odds=np.concatenate([part.log_odds for part in parts]),
        cutoffs=np.concatenate([part.cutoffs for part in parts]),
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
    models = MeanOfModels([part.cutoffs for part in parts])
    return replace(
        parts[0],
        log_odds=models.log_odds([part.log_odds for part in parts]),
        cutoffs=models.cutoff,
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
