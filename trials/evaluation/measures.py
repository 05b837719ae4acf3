"""Measures of a two-class diagnosis as functions of weights, for intervals by bootstrap.

With weights of 1 they are scikit-learn's; with whole weights, scikit-learn's of images repeated so often. A
measure that a draw does not define, such as precision where nothing is called positive, is NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from trials.evaluation.bootstrap import Measure, Once

_ROUNDING = 1e-12  # of a rate that is reached

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


class Roc:
    """The measures of a ROC curve, which share the sums that a draw costs; nothing is sorted again.

    Positive and negative images stand each in ascending order of their scores. Sums of whole weights are
    exact, in whatever order they are made.
    """

    def __init__(self, positive: ArrayLike, scores: ArrayLike) -> None:
        truth, given = np.asarray(positive, dtype=bool), np.asarray(scores, dtype=float)
        positives, negatives = (_ascending(np.flatnonzero(side), given) for side in (truth, ~truth))
        self._positives = positives
        self._missed, self._spared = (Once(partial(_sums, members)) for members in (positives, negatives))
        self._below = np.searchsorted(given[negatives], given[positives], "left")  # [P], negatives
        self._not_above = np.searchsorted(given[negatives], given[positives], "right")
        steps = np.append(np.unique(given), np.inf)  # thresholds, the last of which calls nothing
        self._p, self._n = (np.searchsorted(given[members], steps) for members in (positives, negatives))

    def auc(self, weights: np.ndarray) -> np.ndarray:
        """Return the area under the curve by rank sums (Mann-Whitney), ties half."""
        above, spared = np.take(weights, self._positives, axis=1), self._spared(weights)
        below = np.take(spared, self._below, axis=1)
        if (self._below != self._not_above).any():
            below = (below + np.take(spared, self._not_above, axis=1)) / 2
        return ratio(np.einsum("ij,ij->i", above, below), above.sum(1) * spared[:, -1])

    def sensitivity_at(self, specificity: float) -> Measure:
        """Return the highest sensitivity of a threshold whose specificity is at least `specificity`."""
        first = np.searchsorted(self._n, np.arange(self._n[-1] + 1))  # threshold that spares so many

        def measure(weights: np.ndarray) -> np.ndarray:
            missed, spared = self._missed(weights), self._spared(weights)
            few = np.count_nonzero(ratio(spared, spared[:, -1:]) < specificity - _ROUNDING, axis=1)
            reached = missed[np.arange(len(missed)), self._p[first[few]]]
            sensitivity = 1 - ratio(reached, missed[:, -1])
            return np.where(spared[:, -1] > 0, sensitivity, np.nan)

        return measure

    def specificity_at(self, sensitivity: float) -> Measure:
        """Return the highest specificity of a threshold whose sensitivity is at least `sensitivity`."""
        last = np.searchsorted(self._p, np.arange(self._p[-1] + 1), "right") - 1  # that misses so many

        def measure(weights: np.ndarray) -> np.ndarray:
            missed, spared = self._missed(weights), self._spared(weights)
            enough = 1 - ratio(missed, missed[:, -1:]) >= sensitivity - _ROUNDING
            at = self._n[last[np.count_nonzero(enough, axis=1).clip(min=1) - 1]]
            specificity = ratio(spared[np.arange(len(spared)), at], spared[:, -1])
            return np.where(missed[:, -1] > 0, specificity, np.nan)

        return measure


def _ascending(members: np.ndarray, scores: np.ndarray) -> np.ndarray:
    return members[np.argsort(scores[members], kind="stable")]


def _sums(members: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the sums of the weights [draws, n] of the first 0, 1, 2, ... members [draws, members + 1]."""
    sums = np.zeros((len(weights), len(members) + 1))
    np.cumsum(np.take(weights, members, axis=1), axis=1, out=sums[:, 1:])
    return sums


def auc(positive: ArrayLike, scores: ArrayLike) -> Measure:
    """Area under the ROC curve."""
    return Roc(positive, scores).auc


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


class Calls:
    """The measures of what was called positive [n], by the truth [n]; they share the counts of a draw."""

    def __init__(self, positive: ArrayLike, called: ArrayLike) -> None:
        self._counts = Once(confusion(positive, called))

    def rate(self, name: str) -> Measure:
        """Return the measure of `DECISION` by name."""
        return lambda weights: DECISION[name](*self._counts(weights))

    def predictive_value(self, prevalence: float, *, of_positive: bool = True) -> Measure:
        """Return PPV, or NPV, where a share `prevalence` is positive: Bayes' rule on TPR and TNR.

        Altman and Bland, BMJ 309, 1994, 102. Raises ValueError for a prevalence outside of 0 to 1.
        """
        check_prevalence(prevalence)

        def measure(weights: np.ndarray) -> np.ndarray:
            tp, fn, fp, tn = self._counts(weights)
            tpr, tnr = ratio(tp, tp + fn), ratio(tn, tn + fp)
            if of_positive:
                right, wrong = tpr * prevalence, (1 - tnr) * (1 - prevalence)
            else:
                right, wrong = tnr * (1 - prevalence), (1 - tpr) * prevalence
            return ratio(right, right + wrong)

        return measure


def decision(name: str, positive: ArrayLike, called: ArrayLike) -> Measure:
    """Return the measure of `DECISION` by name, of truth [n] and what was called positive [n]."""
    return Calls(positive, called).rate(name)


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
    taken = np.zeros((len(right), 2))  # whether an image is decided, and decided rightly
    taken[decided, 0], taken[decided, 1] = 1, right[decided]

    def accuracy(weights: np.ndarray) -> np.ndarray:
        of, rightly = (weights @ taken).T
        return ratio(rightly, of)

    return accuracy


def confusion(positive: ArrayLike, called: ArrayLike) -> Callable[[np.ndarray], Counts]:
    """Return the function that counts TP, FN, FP and TN in each draw."""
    truth, given = np.asarray(positive, dtype=bool), np.asarray(called, dtype=bool)
    cells = np.stack([truth & given, truth & ~given, ~truth & given, ~truth & ~given], axis=1).astype(float)

    def count(weights: np.ndarray) -> Counts:
        tp, fn, fp, tn = (weights @ cells).T
        return tp, fn, fp, tn

    return count


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
