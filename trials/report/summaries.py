"""The figures of a method on one set of images, and of two methods side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from trials.evaluation.bootstrap import GroupBootstrap, Interval, Measure, difference, mean_of
from trials.evaluation.calibration import expected_calibration_error, mean_log_odds_of_groups
from trials.evaluation.measures import (
    DECISION,
    accuracy_of_decided,
    auc,
    brier,
    decision,
    predictive_value,
    sensitivity_at,
    specificity_at,
)
from trials.evaluation.metrics import mean_and_std
from trials.evaluation.paired import AccuracyTest, AucTest, compare_accuracy, delong, holm
from trials.evaluation.power import (
    ASSUMED_CORRELATION,
    smallest_accuracy_difference,
    smallest_auc_difference,
)
from trials.report.methods import MethodRuns
from trials.runs.collection import Predictions

PREVALENCE = 0.1
UNDECIDED = (10, 25, 50)  # % of the images, for the accuracy of the others
_ASSUMED_DISCORDANCE = 0.15  # where no pair is there to measure it on; ours
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
    predictions: Predictions
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


def summarise(method: MethodRuns, predictions: Predictions, prevalence: float = PREVALENCE) -> Summary:
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


def _measures(predictions: Predictions, prevalence: float) -> dict[str, Measure]:
    truth, given, called = predictions.positive, predictions.log_odds, predictions.called
    measures = {
        "auc": auc(truth, given),
        **{name: decision(name, truth, called) for name in DECISION},
        "accuracy_at_half": decision("accuracy", truth, given >= 0),
        "sensitivity_at_90": sensitivity_at(truth, given, 0.9),
        "specificity_at_90": specificity_at(truth, given, 0.9),
        "brier": brier(truth, predictions.probabilities),
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


def _headline(predictions: Predictions, fold_aucs: Mapping[int, float]) -> float:
    return float(np.mean(list(fold_aucs.values()))) if fold_aucs else _area(predictions)


def _area(predictions: Predictions) -> float:
    once = np.ones((1, len(predictions.files)))
    return float(auc(predictions.positive, predictions.log_odds)(once)[0])


def _fold_aucs(predictions: Predictions) -> dict[int, float]:
    aucs = {}
    for fold in np.unique(predictions.folds[predictions.folds >= 0]).tolist():
        area = _area(predictions.at(predictions.folds == fold))
        if np.isfinite(area):
            aucs[fold] = area
    return aucs


def by_patient(predictions: Predictions) -> Predictions:
    """Return one entry a group: the mean of its images' probabilities; positive if any of them is (ours)."""
    names, first, number = np.unique(predictions.groups, return_index=True, return_inverse=True)
    count = np.bincount(number)

    def mean(values: np.ndarray) -> np.ndarray:
        total: np.ndarray = np.bincount(number, weights=values) / count
        return total

    odds = mean_log_odds_of_groups(predictions.log_odds, number)
    return Predictions(
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


@dataclass(frozen=True, eq=False)
class PairedTest:
    """Two methods on the images that both have; p values also as Holm corrects them over the table.

    `auc` sums within groups; `p_of_images` is DeLong's test as published, images taken as independent.
    `accuracy` is the first less the second, its interval over groups; `mcnemar` the exact test. Of several
    seeds AUC and accuracy are means over the seeds, and McNemar's test, which knows one decision an image, is
    of the seeds' mean probability against their mean threshold.
    """

    first: MethodRuns
    second: MethodRuns
    n: int
    auc: AucTest
    p_of_images: float
    accuracy: Interval
    mcnemar: AccuracyTest
    auc_p_holm: float
    accuracy_p_holm: float


Side = Callable[[MethodRuns], Predictions | None]


def paired_tests(pairs: Iterable[tuple[MethodRuns, MethodRuns]], side: Side) -> list[PairedTest]:
    """Test pairs on their test folds or on external images, as `side` picks; one table, one correction.

    Pairs without images in common, or with too few of a class or group for a test, are left out.
    """
    found = [test for first, second in pairs if (test := _test(first, second, side)) is not None]
    corrected = holm([p for test in found for p in (test.auc.p, test.mcnemar.p)])
    return [
        PairedTest(**{**vars(test), "auc_p_holm": corrected[2 * i], "accuracy_p_holm": corrected[2 * i + 1]})
        for i, test in enumerate(found)
    ]


def _test(first: MethodRuns, second: MethodRuns, side: Side) -> PairedTest | None:
    one, two = side(first), side(second)
    if one is None or two is None:
        return None
    _, of_one, of_two = np.intersect1d(one.files.astype(str), two.files.astype(str), return_indices=True)
    one, two = one.at(of_one), two.at(of_two)
    if not len(one.files):
        return None
    try:
        first_scores, second_scores = ([part.log_odds for part in whose.each] for whose in (one, two))
        grouped = delong(one.positive, first_scores, second_scores, one.groups)
        plain = delong(one.positive, first_scores, second_scores)
    except ValueError:  # too few of a class, or groups
        return None
    right = [whose.called == whose.positive for whose in (one, two)]
    accuracies = [
        mean_of([decision("accuracy", part.positive, part.called) for part in whose.each])
        for whose in (one, two)
    ]
    gap = difference(*accuracies)
    return PairedTest(
        first,
        second,
        len(one.files),
        grouped,
        plain.p,
        GroupBootstrap(one.positive, one.groups).interval(gap),
        compare_accuracy(*right),
        auc_p_holm=float("nan"),
        accuracy_p_holm=float("nan"),
    )


def against(reference: MethodRuns, methods: Sequence[MethodRuns]) -> list[tuple[MethodRuns, MethodRuns]]:
    """Return the pairs of every other method with the reference."""
    return [(method, reference) for method in methods if method is not reference]


def within_layouts(methods: Sequence[MethodRuns]) -> list[tuple[MethodRuns, MethodRuns]]:
    """Return the pairs that share a layout: cells found by search, and at random, in the same network."""
    cells = [method for method in methods if method.layout]
    return [(one, two) for one, two in combinations(cells, 2) if one.layout == two.layout]


def strongest_without_cells(summaries: Sequence[Summary]) -> MethodRuns | None:
    """Return the method of the highest AUC that is not made of cells and saw no other data.

    Where there is none, the highest AUC of all; None for no summaries. It is chosen on the test folds, which
    favours it, and so makes the tests against it cautious.
    """
    fair = [one for one in summaries if not (one.method.layout or one.method.saw_other_data)]
    known = [one for one in fair or summaries if np.isfinite(one.auc)] or fair or summaries
    best = max(known, key=lambda one: one.auc, default=None)
    return best.method if best else None


@dataclass(frozen=True)
class Smallest:
    """The smallest differences of AUC and accuracy that so many units can show; None: none can be."""

    units: str
    positives: int
    negatives: int
    auc: float | None
    accuracy: float | None


@dataclass(frozen=True)
class Power:
    """What the images can show beside a reference of this AUC, for images and for groups.

    `correlation` (of AUC errors) and `discordance` (of decisions) are medians over the tests, or assumed.
    """

    area: float
    correlation: float
    discordance: float
    measured: bool
    rows: tuple[Smallest, ...]


def power(reference: Summary, tests: Sequence[PairedTest]) -> Power | None:
    """Return the smallest differences to the reference that can be shown; None where its AUC is no start."""
    area = reference.measures["auc"].estimate
    if not 0.5 <= area < 1:
        return None
    known = [test.auc.correlation for test in tests if np.isfinite(test.auc.correlation)]
    correlation = min(float(np.median(known)), 0.99) if known else ASSUMED_CORRELATION
    discordance = float(np.median([test.mcnemar.discordance for test in tests])) if tests else 0.0
    discordance = discordance or _ASSUMED_DISCORDANCE
    images, patients = reference.predictions, by_patient(reference.predictions)
    rows = []
    for units, part in (("images", images), ("groups", patients)):
        positives = int(part.positive.sum())
        negatives = len(part.files) - positives
        if min(positives, negatives) >= 2:
            rows.append(
                Smallest(
                    units,
                    positives,
                    negatives,
                    smallest_auc_difference(area, positives, negatives, correlation),
                    smallest_accuracy_difference(positives + negatives, discordance),
                )
            )
    return Power(area, correlation, discordance, bool(known), tuple(rows))
