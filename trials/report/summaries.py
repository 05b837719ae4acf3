"""The figures of a method on one set of images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from trials.evaluation.bootstrap import GroupBootstrap, Interval, Measure, mean_of
from trials.evaluation.calibration import expected_calibration_error, mean_log_odds_of_groups
from trials.evaluation.measures import (
    DECISION,
    Calls,
    Roc,
    accuracy_of_decided,
    auc,
    brier,
    log_loss,
    weighted_mean,
)
from trials.evaluation.metrics import mean_and_std
from trials.report.methods import MethodRuns
from trials.runs.collection import BinaryPredictions, Predictions
from trials.runs.finished import Run

PREVALENCE = 0.1
FEW = 3  # groups of a class; ours
UNDECIDED = (10, 25, 50)  # % of the images, for the accuracy of the others
_NOWHERE = Interval(float("nan"), float("nan"), float("nan"))

Said = TypeVar("Said", BinaryPredictions, Predictions)
"""What a method says: of one class against all others, or of all classes."""


@dataclass(frozen=True, eq=False)
class Summary(Generic[Said]):
    """A method on one set of images: the AUC of each fold, and measures of all images together by name.

    Of several seeds all are means over the seeds: what one model does, not what the seeds' models would do
    together. The intervals are those of such a mean over other images, for models as they are; what another
    seed would change is `auc_sd_seeds`. `headline` is the measure that is an AUC here, `seed_aucs` are each
    seed's headline, `seed_accuracies` its accuracy; `auc_together` is the headline of the seeds' models
    together, by the mean of their probabilities, None for one seed. `calibration_error` and
    `calibration_error_scaled` have no interval: resampling itself adds to them.
    """

    method: MethodRuns
    predictions: Said
    headline: str
    fold_aucs: Mapping[int, float]
    seed_aucs: Sequence[float]
    seed_accuracies: Sequence[float]
    auc_together: float | None
    measures: Mapping[str, Interval]

    @property
    def runs(self) -> list[Run]:
        """Those of the seeds whose models are measured here."""
        method, measured_seeds = self.method, len(self.predictions.each)
        seeds = method.seeds if measured_seeds == len(method.seeds) else method.external_seeds
        return [run for run in method.runs if run.seed in seeds]

    @property
    def n(self) -> int:
        """Images."""
        return len(self.predictions.files)

    @property
    def groups(self) -> int:
        """Groups of images, such as patients."""
        return len(np.unique(self.predictions.groups))

    @property
    def few(self) -> str | None:
        """What an interval stands on where that is `FEW` groups of a class at most, or none; else None.

        A bootstrap draws only from the groups that are there: of so few its interval is too narrow.
        """
        labels = np.asarray(self.predictions.labels).astype(int)
        groups = [len(np.unique(self.predictions.groups[labels == label])) for label in np.unique(labels)]
        return f"{min(groups)} groups of a class" if groups and min(groups) <= FEW else None

    @property
    def auc(self) -> float:
        """The headline: the mean of the folds' AUCs; outside of folds the AUC of all images."""
        mean = mean_and_std(list(self.fold_aucs.values()))["mean"]
        return self.pooled_auc.estimate if mean is None else mean

    @property
    def auc_sd(self) -> float | None:
        """The sample standard deviation of the folds' AUCs."""
        return mean_and_std(list(self.fold_aucs.values()))["sd"]

    @property
    def auc_sd_seeds(self) -> float | None:
        """The sample standard deviation of the seeds' headlines; None for one seed."""
        return mean_and_std(self.seed_aucs)["sd"]

    @property
    def pooled_auc(self) -> Interval:
        """The AUC of all images together."""
        return self.measures[self.headline]

    @property
    def accuracy_sd_seeds(self) -> float | None:
        """As `auc_sd_seeds`, of the accuracy of all images at each seed's frozen thresholds."""
        return mean_and_std(self.seed_accuracies)["sd"]

    def mean_of(self, key: str) -> float | None:
        """Return the mean over the runs of a number that they record, such as `seconds`."""
        return mean_and_std([run.metrics.get(key) for run in self.runs])["mean"]


def summarise(
    method: MethodRuns, predictions: BinaryPredictions, prevalence: float = PREVALENCE
) -> Summary[BinaryPredictions]:
    """Measure what a method said of these images, with 95 % intervals by bootstrap over their groups."""
    return measured(
        method,
        predictions,
        "auc",
        lambda part: auc(part.positive, part.log_odds),
        lambda part: _measures(part, prevalence),
    )


def measured(
    method: MethodRuns,
    predictions: Said,
    headline: str,
    area: Callable[[Said], Measure],
    measures: Callable[[Said], Mapping[str, Measure]],
) -> Summary[Said]:
    """Work out a summary of the measures that are defined for these predictions, the area among them."""
    of_folds = [_fold_aucs(part, area) for part in predictions.each]
    return Summary(
        method,
        predictions,
        headline,
        {fold: float(np.mean([aucs[fold] for aucs in of_folds])) for fold in of_folds[0]},
        [_headline(part, aucs, area) for part, aucs in zip(predictions.each, of_folds, strict=True)],
        [float(np.mean(part.right)) for part in predictions.each],
        _headline(predictions, _fold_aucs(predictions, area), area) if len(predictions.each) > 1 else None,
        {
            "brier_scaled": _NOWHERE,
            **over_seeds(predictions, measures),
            "calibration_error": _calibration_error(predictions, scaled=False),
            "calibration_error_scaled": _calibration_error(predictions, scaled=True),
        },
    )


def over_seeds(predictions: Said, measures: Callable[[Said], Mapping[str, Measure]]) -> dict[str, Interval]:
    """Return the mean over the seeds of every measure that all of them have, with its interval."""
    each = [measures(part) for part in predictions.each]
    common = [name for name in each[0] if all(name in found for found in each)]
    bootstrap = GroupBootstrap(predictions.labels, predictions.groups)
    return bootstrap.intervals({name: mean_of([found[name] for found in each]) for name in common})


def _measures(predictions: BinaryPredictions, prevalence: float) -> dict[str, Measure]:
    truth, given = predictions.positive, predictions.log_odds
    roc, calls = Roc(truth, given), Calls(truth, predictions.called)
    measures = {
        "auc": roc.auc,
        **{name: calls.rate(name) for name in DECISION},
        "accuracy_at_half": weighted_mean((given >= 0) == truth),
        "sensitivity_at_90": roc.sensitivity_at(0.9),
        "specificity_at_90": roc.specificity_at(0.9),
        "brier": brier(truth, predictions.probabilities),
        "log_loss": log_loss(truth, given),
        "ppv": calls.predictive_value(prevalence),
        "npv": calls.predictive_value(prevalence, of_positive=False),
        **accuracies_of_decided(predictions),
    }
    if predictions.calibrated is not None:
        measures["brier_scaled"] = brier(truth, predictions.calibrated)
    return measures


def accuracies_of_decided(predictions: BinaryPredictions | Predictions) -> dict[str, Measure]:
    """Return the accuracy where the least certain images are not decided, for each share of `UNDECIDED`."""
    labels, called, certainty = predictions.labels, predictions.called, predictions.certainty
    return {
        f"accuracy_undecided_{undecided}": accuracy_of_decided(labels, called, certainty, undecided / 100)
        for undecided in UNDECIDED
    }


def forecast(
    predictions: BinaryPredictions | Predictions, given: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return what came true, bool [n], and its probability [n], by the probabilities that were given.

    Of one class against all others it is that an image is positive; of all classes, that it is of the
    likeliest.
    """
    if isinstance(predictions, BinaryPredictions):
        return predictions.positive, given
    return given.argmax(1) == predictions.labels, given.max(1)


def _calibration_error(predictions: BinaryPredictions | Predictions, *, scaled: bool) -> Interval:
    errors = []
    for part in predictions.each:
        given = part.calibrated if scaled else part.probabilities
        if given is None:
            return _NOWHERE
        errors.append(expected_calibration_error(*forecast(part, given))(np.ones((1, len(given))))[0])
    return Interval(float(np.mean(errors)), float("nan"), float("nan"))


def _headline(predictions: Said, fold_aucs: Mapping[int, float], area: Callable[[Said], Measure]) -> float:
    return float(np.mean(list(fold_aucs.values()))) if fold_aucs else _once(predictions, area)


def _once(predictions: Said, measure: Callable[[Said], Measure]) -> float:
    return float(measure(predictions)(np.ones((1, len(predictions.files))))[0])


def _fold_aucs(predictions: Said, area: Callable[[Said], Measure]) -> dict[int, float]:
    aucs = {}
    for fold in np.unique(predictions.folds[predictions.folds >= 0]).tolist():
        found = _once(predictions.at(predictions.folds == fold), area)
        if np.isfinite(found):
            aucs[fold] = found
    return aucs


def by_patient(predictions: BinaryPredictions) -> BinaryPredictions:
    """Return one entry a group: the mean of its images' probabilities; positive if any of them is (ours)."""
    names, first, number = np.unique(predictions.groups, return_index=True, return_inverse=True)
    count = np.bincount(number)

    def mean(values: np.ndarray) -> np.ndarray:
        total: np.ndarray = np.bincount(number, weights=values) / count
        return total

    odds = mean_log_odds_of_groups(predictions.log_odds, number)
    return BinaryPredictions(
        predictions.data,
        names.astype(object),
        names,
        predictions.folds[first],
        np.bincount(number, weights=predictions.positive) > 0,
        odds,
        mean_log_odds_of_groups(predictions.cutoffs, number),
        None if predictions.calibrated is None else mean(predictions.calibrated),
        tuple(map(by_patient, predictions.seeds)),
    )


def strongest_without_cells(summaries: Sequence[Summary[Any]]) -> MethodRuns | None:
    """Return the method of the highest AUC that is not made of cells and saw no other data.

    Where there is none, the highest AUC of all; None for no summaries. It is chosen on the test folds, which
    favours it, and so makes the tests against it cautious.
    """
    fair = [one for one in summaries if not (one.method.layout or one.method.saw_other_data)]
    known = [one for one in fair or summaries if np.isfinite(one.auc)] or fair or summaries
    best = max(known, key=lambda one: one.auc, default=None)
    return best.method if best else None
