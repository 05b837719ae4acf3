"""Measures of a two-class diagnosis as functions of weights, for intervals by bootstrap.

With weights of 1 they are scikit-learn's; with whole weights, scikit-learn's of images repeated so often. A
measure that a draw does not define, such as precision where nothing is called positive, is NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import ArrayLike

from trials.evaluation.bootstrap import Measure

Counts = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # TP, FN, FP, TN, each [draws]


class _Sorted:
    """Scores [n] in ascending order, equal ones as one step, so that a draw costs a sum and no sorting."""

    def __init__(self, scores: ArrayLike) -> None:
        given = np.asarray(scores, dtype=float)
        self.order = np.argsort(given, kind="stable")
        ascending = given[self.order]
        new = np.concatenate([[True], np.diff(ascending) != 0])[: len(given)]
        self.starts = np.flatnonzero(new)
        self.step = np.empty(len(given), dtype=np.intp)  # [n], the step of each image
        self.step[self.order] = np.cumsum(new) - 1

    def total(self, weights: np.ndarray) -> np.ndarray:
        """Sum weights [draws, n] over each step [draws, steps]."""
        ascending = np.take(weights, self.order, axis=1)  # three times as fast as an index
        if len(self.starts) == len(self.order):
            return ascending
        total: np.ndarray = np.add.reduceat(ascending, self.starts, axis=1)
        return total


def auc(positive: ArrayLike, scores: ArrayLike) -> Measure:
    """Area under the ROC curve by rank sums (Mann-Whitney), ties half."""
    (members,), steps = np.nonzero(np.asarray(positive, dtype=bool)), _Sorted(scores)

    def measure(weights: np.ndarray) -> np.ndarray:
        total = steps.total(weights)
        below = np.take(total.cumsum(1) - total / 2, steps.step[members], axis=1)
        of_positives = np.take(weights, members, axis=1)
        positives = of_positives.sum(1)
        won = (of_positives * below).sum(1) - positives**2 / 2  # positives among themselves win half
        return ratio(won, positives * (weights.sum(1) - positives))

    return measure


def stratified_auc(positive: ArrayLike, scores: ArrayLike, strata: ArrayLike) -> Measure:
    """Share of pairs of a positive and a negative image of one stratum that the scores order rightly.

    The covariate-adjusted AUC of Janes and Pepe (Biometrika 96, 2009, 371-382), for a covariate in classes.
    """
    truth, given, stratum = np.asarray(positive, dtype=bool), np.asarray(scores), np.asarray(strata)
    parts = [(members, auc(truth[members], given[members])) for members in map(stratum.__eq__, set(stratum))]

    def measure(weights: np.ndarray) -> np.ndarray:
        right, pairs = np.zeros(len(weights)), np.zeros(len(weights))
        for members, part in parts:
            inside = weights[:, members]
            count = inside[:, truth[members]].sum(1) * inside[:, ~truth[members]].sum(1)
            right += np.where(count > 0, np.nan_to_num(part(inside)) * count, 0.0)
            pairs += count
        return ratio(right, pairs)

    return measure


def sensitivity_at(positive: ArrayLike, scores: ArrayLike, specificity: float = 0.9) -> Measure:
    """Highest sensitivity of a threshold on these images whose specificity is at least `specificity`."""
    truth, steps = np.asarray(positive, dtype=bool), _Sorted(scores)

    def measure(weights: np.ndarray) -> np.ndarray:
        tpr, tnr = _operating_points(steps.total(weights * truth), steps.total(weights * ~truth))
        return _best(tpr, tnr, specificity)

    return measure


def specificity_at(positive: ArrayLike, scores: ArrayLike, sensitivity: float = 0.9) -> Measure:
    """Highest specificity of a threshold on these images whose sensitivity is at least `sensitivity`."""
    truth, steps = np.asarray(positive, dtype=bool), _Sorted(scores)

    def measure(weights: np.ndarray) -> np.ndarray:
        tpr, tnr = _operating_points(steps.total(weights * truth), steps.total(weights * ~truth))
        return _best(tnr, tpr, sensitivity)

    return measure


def _operating_points(positives: np.ndarray, negatives: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return TPR and TNR [draws, steps + 1] of calling positive from each step up, and of never doing so."""
    none = np.zeros((len(positives), 1))
    missed = np.concatenate([none, positives.cumsum(1)], axis=1)
    spared = np.concatenate([none, negatives.cumsum(1)], axis=1)
    return 1 - ratio(missed, missed[:, -1:]), ratio(spared, spared[:, -1:])


def _best(wanted: np.ndarray, given: np.ndarray, at_least: float) -> np.ndarray:
    reached = given >= at_least - 1e-12
    best: np.ndarray = np.where(reached, wanted, -np.inf).max(1)
    return np.where(np.isfinite(best), best, np.nan)


def _matthews(tp: np.ndarray, fn: np.ndarray, fp: np.ndarray, tn: np.ndarray) -> np.ndarray:
    return ratio(tp * tn - fp * fn, np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)))


def _f1(tp: np.ndarray, fn: np.ndarray, fp: np.ndarray, tn: np.ndarray) -> np.ndarray:
    return ratio(2 * tp, np.where(tp + fn > 0, 2 * tp + fn + fp, 0))


def _kappa(tp: np.ndarray, fn: np.ndarray, fp: np.ndarray, tn: np.ndarray) -> np.ndarray:
    disagreement_by_chance = (tp + fp) * (fp + tn) + (tp + fn) * (fn + tn)
    both_classes = (tp + fn) * (tn + fp) > 0
    return ratio(2 * (tp * tn - fn * fp), np.where(both_classes, disagreement_by_chance, 0))


DECISION: Mapping[str, Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = {
    "accuracy": lambda tp, fn, fp, tn: ratio(tp + tn, tp + fn + fp + tn),
    "tpr": lambda tp, fn, fp, tn: ratio(tp, tp + fn),
    "tnr": lambda tp, fn, fp, tn: ratio(tn, tn + fp),
    "precision": lambda tp, fn, fp, tn: ratio(tp, tp + fp),
    "balanced_accuracy": lambda tp, fn, fp, tn: (ratio(tp, tp + fn) + ratio(tn, tn + fp)) / 2,
    "mcc": _matthews,
    "f1": _f1,
    "kappa": _kappa,
}
"""Measures of decisions, from counts. Undefined, where scikit-learn gives 0, are Matthews' correlation where
one class or one call is all there is, Cohen's kappa where one class is, and F1 where nothing is positive."""


def decision(name: str, positive: ArrayLike, called: ArrayLike) -> Measure:
    """Return the measure of `DECISION` by name, of truth [n] and what was called positive [n]."""
    counts = confusion(positive, called)
    return lambda weights: DECISION[name](*counts(weights))


def accuracy_of_decided(
    labels: ArrayLike, called: ArrayLike, certainty: ArrayLike, undecided: float
) -> Measure:
    """Accuracy where the share `undecided` of the images, those of least certainty [n], is not decided.

    Labels and calls [n] are of any number of classes. A point of the curve of risk over coverage (El-Yaniv
    and Wiener, JMLR 11, 2010, 1605-1641). Which images these are is settled on all of them; a draw takes them
    as they are.
    """
    right = np.asarray(labels) == np.asarray(called)
    surest_first = np.argsort(-np.asarray(certainty, dtype=float), kind="stable")
    decided = surest_first[: len(surest_first) - round(undecided * len(surest_first))]
    accuracy = weighted_mean(right[decided])
    return lambda weights: accuracy(weights[:, decided])


def confusion(positive: ArrayLike, called: ArrayLike) -> Callable[[np.ndarray], Counts]:
    """Return the function that counts TP, FN, FP and TN in each draw."""
    truth, given = np.asarray(positive, dtype=bool), np.asarray(called, dtype=bool)
    cells = np.stack([truth & given, truth & ~given, ~truth & given, ~truth & ~given], axis=1).astype(float)

    def count(weights: np.ndarray) -> Counts:
        tp, fn, fp, tn = (weights @ cells).T
        return tp, fn, fp, tn

    return count


def predictive_value(
    positive: ArrayLike, called: ArrayLike, prevalence: float, *, of_positive: bool = True
) -> Measure:
    """PPV, or NPV, where a share `prevalence` is positive: Bayes' rule on sensitivity and specificity.

    Altman and Bland, BMJ 309, 1994, 102. Raises ValueError for a prevalence outside of 0 to 1.
    """
    check_prevalence(prevalence)
    counts = confusion(positive, called)

    def measure(weights: np.ndarray) -> np.ndarray:
        tp, fn, fp, tn = counts(weights)
        tpr, tnr = ratio(tp, tp + fn), ratio(tn, tn + fp)
        if of_positive:
            right, wrong = tpr * prevalence, (1 - tnr) * (1 - prevalence)
        else:
            right, wrong = tnr * (1 - prevalence), (1 - tpr) * prevalence
        return ratio(right, right + wrong)

    return measure


def check_prevalence(prevalence: float) -> None:
    """Raise ValueError for a prevalence outside of 0 to 1."""
    if not 0 < prevalence < 1:
        raise ValueError(f"prevalence {prevalence}: expected a share between 0 and 1, such as 0.1")


def brier(positive: ArrayLike, probabilities: ArrayLike) -> Measure:
    """Mean squared distance of probability and truth (Brier, Monthly Weather Review 78, 1950, 1-3)."""
    return weighted_mean((np.asarray(probabilities, dtype=float) - np.asarray(positive, dtype=bool)) ** 2)


def log_loss(positive: ArrayLike, log_odds: ArrayLike) -> Measure:
    """Mean negative logarithm of the truth's probability, of log odds [n]."""
    sign = np.where(np.asarray(positive, dtype=bool), 1.0, -1.0)
    return weighted_mean(np.logaddexp(0, -sign * np.asarray(log_odds, dtype=float)))


def weighted_mean(values: ArrayLike) -> Measure:
    """Mean of a number an image [n]."""
    given = np.asarray(values, dtype=float)
    return lambda weights: ratio(weights @ given, weights.sum(1))


def spearman(first: ArrayLike, second: ArrayLike) -> Measure:
    """Spearman's rank correlation, of middle ranks."""
    ranks = _weighted_ranks(first), _weighted_ranks(second)

    def measure(weights: np.ndarray) -> np.ndarray:
        total = weights.sum(1, keepdims=True)
        x, y = (rank(weights) for rank in ranks)
        x, y = (values - (weights * values).sum(1, keepdims=True) / total for values in (x, y))
        spread = np.sqrt((weights * x**2).sum(1) * (weights * y**2).sum(1))
        return ratio((weights * x * y).sum(1), spread)

    return measure


def _weighted_ranks(values: ArrayLike) -> Callable[[np.ndarray], np.ndarray]:
    steps = _Sorted(values)

    def rank(weights: np.ndarray) -> np.ndarray:
        total = steps.total(weights)
        middle = total.cumsum(1) - total + (total + 1) / 2
        return middle[:, steps.step]

    return rank


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return part / whole; NaN where the whole is not above 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(whole > 0, part / whole, np.nan)
