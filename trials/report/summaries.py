"""The figures of a method on one set of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from trials.evaluation.bootstrap import GroupBootstrap, Interval, Measure, mean_of
from trials.evaluation.calibration import expected_calibration_error, mean_log_odds_of_groups
from trials.evaluation.measures import (
    DECISION,
    accuracy_of_decided,
    auc,
    brier,
    decision,
    log_loss,
    predictive_value,
    sensitivity_at,
    specificity_at,
)
from trials.evaluation.metrics import mean_and_std
from trials.report.methods import MethodRuns
from trials.runs.collection import BinaryPredictions

PREVALENCE = 0.1
UNDECIDED = (10, 25, 50)  # % of the images, for the accuracy of the others
_NOWHERE = Interval(float("nan"), float("nan"), float("nan"))


@dataclass(frozen=True, eq=False)
class Summary:
    """A method on one set of images: the AUC of each fold, and measures of all images together by name.

    Of several seeds all are means over the seeds: what one model does, not what the seeds' models would do
    together. The intervals are those of such a mean over other images, for models as they are; what another
    seed would change is `auc_sd_seeds`. `seed_aucs` are each seed's headline, `seed_accuracies`
    its accuracy. `calibration_error` and `calibration_error_scaled` have no interval: resampling itself adds
    to them.
    """

    method: MethodRuns
    predictions: BinaryPredictions
    fold_aucs: Mapping[int, float]
    seed_aucs: Sequence[float]
    seed_accuracies: Sequence[float]
    measures: Mapping[str, Interval]

    @property
    def n(self) -> int:
        """Images."""
        return len(self.predictions.files)

    @property
    def positives(self) -> int:
        """Positive images."""
        return int(self.predictions.positive.sum())

    @property
    def groups(self) -> int:
        """Groups of images, such as patients."""
        return len(np.unique(self.predictions.groups))

    @property
    def auc(self) -> float:
        """The headline: the mean of the folds' AUCs; outside of folds the AUC of all images."""
        mean = mean_and_std(list(self.fold_aucs.values()))["mean"]
        return self.measures["auc"].estimate if mean is None else mean

    @property
    def auc_sd(self) -> float | None:
        """The sample standard deviation of the folds' AUCs."""
        return mean_and_std(list(self.fold_aucs.values()))["sd"]

    @property
    def auc_sd_seeds(self) -> float | None:
        """The sample standard deviation of the seeds' headlines; None for one seed."""
        return mean_and_std(self.seed_aucs)["sd"]

    @property
    def auc_together(self) -> float | None:
        """The headline of the seeds' models together, by the mean of their probabilities; None for one."""
        if len(self.predictions.each) < 2:
            return None
        return _headline(self.predictions, _fold_aucs(self.predictions))

    @property
    def accuracy_sd_seeds(self) -> float | None:
        """As `auc_sd_seeds`, of the accuracy of all images at each seed's frozen thresholds."""
        return mean_and_std(self.seed_accuracies)["sd"]

    def mean_of(self, key: str) -> float | None:
        """Return the mean over the runs of a number that they record, such as `seconds`."""
        return mean_and_std([run.metrics.get(key) for run in self.method.runs])["mean"]


def summarise(method: MethodRuns, predictions: BinaryPredictions, prevalence: float = PREVALENCE) -> Summary:
    """Measure what a method said of these images, with 95 % intervals by bootstrap over their groups."""
    each = [_measures(part, prevalence) for part in predictions.each]
    common = [name for name in each[0] if all(name in measures for measures in each)]
    bootstrap = GroupBootstrap(predictions.positive, predictions.groups)
    found = bootstrap.intervals({name: mean_of([measures[name] for measures in each]) for name in common})
    truth = predictions.positive
    found["calibration_error"] = _calibration_error(truth, [part.probabilities for part in predictions.each])
    found["calibration_error_scaled"] = _calibration_error(
        truth, [part.calibrated for part in predictions.each]
    )
    of_folds = [_fold_aucs(part) for part in predictions.each]
    return Summary(
        method,
        predictions,
        {fold: float(np.mean([aucs[fold] for aucs in of_folds])) for fold in of_folds[0]},
        [_headline(part, aucs) for part, aucs in zip(predictions.each, of_folds, strict=True)],
        [float(np.mean(part.called == part.positive)) for part in predictions.each],
        {"brier_scaled": _NOWHERE, **found},
    )


def _measures(predictions: BinaryPredictions, prevalence: float) -> dict[str, Measure]:
    truth, given, called = predictions.positive, predictions.log_odds, predictions.called
    measures = {
        "auc": auc(truth, given),
        **{name: decision(name, truth, called) for name in DECISION},
        "accuracy_at_half": decision("accuracy", truth, given >= 0),
        "sensitivity_at_90": sensitivity_at(truth, given, 0.9),
        "specificity_at_90": specificity_at(truth, given, 0.9),
        "brier": brier(truth, predictions.probabilities),
        "log_loss": log_loss(truth, given),
        "ppv": predictive_value(truth, called, prevalence),
        "npv": predictive_value(truth, called, prevalence, of_positive=False),
        **{
            f"accuracy_undecided_{undecided}": accuracy_of_decided(
                truth, called, predictions.certainty, undecided / 100
            )
            for undecided in UNDECIDED
        },
    }
    if predictions.calibrated is not None:
        measures["brier_scaled"] = brier(truth, predictions.calibrated)
    return measures


def _calibration_error(truth: np.ndarray, given: Sequence[np.ndarray | None]) -> Interval:
    once = np.ones((1, len(truth)))
    errors = [expected_calibration_error(truth, one)(once)[0] for one in given if one is not None]
    if len(errors) < len(given):
        return _NOWHERE
    return Interval(float(np.mean(errors)), float("nan"), float("nan"))


def _headline(predictions: BinaryPredictions, fold_aucs: Mapping[int, float]) -> float:
    return float(np.mean(list(fold_aucs.values()))) if fold_aucs else _area(predictions)


def _area(predictions: BinaryPredictions) -> float:
    once = np.ones((1, len(predictions.files)))
    return float(auc(predictions.positive, predictions.log_odds)(once)[0])


def _fold_aucs(predictions: BinaryPredictions) -> dict[int, float]:
    aucs = {}
    for fold in np.unique(predictions.folds[predictions.folds >= 0]).tolist():
        area = _area(predictions.at(predictions.folds == fold))
        if np.isfinite(area):
            aucs[fold] = area
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


def strongest_without_cells(summaries: Sequence[Summary]) -> MethodRuns | None:
    """Return the method of the highest AUC that is not made of cells and saw no other data.

    Where there is none, the highest AUC of all; None for no summaries. It is chosen on the test folds, which
    favours it, and so makes the tests against it cautious.
    """
    fair = [one for one in summaries if not (one.method.layout or one.method.saw_other_data)]
    known = [one for one in fair or summaries if np.isfinite(one.auc)] or fair or summaries
    best = max(known, key=lambda one: one.auc, default=None)
    return best.method if best else None
