"""Measures of a diagnosis among any number of classes as functions of weights, for intervals by bootstrap.

Labels and calls are class numbers [n], logits are [n, k], one column a class. As in `measures`, weights of 1
give scikit-learn's value, and what a draw does not define is NaN. A class of no image has no measures of its
own, and the means over classes have no value then: scikit-learn leaves the class out, or takes 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import permutations
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logsumexp, softmax

from trials.evaluation.bootstrap import Measure, Once
from trials.evaluation.calibration import expected_calibration_error
from trials.evaluation.decisions import class_log_odds
from trials.evaluation.measures import auc, ratio, weighted_mean

PerClass = Callable[[np.ndarray], np.ndarray]
"""From weights [draws, n] to a measure of each class [draws, k]; NaN where undefined."""


class Counts(NamedTuple):
    """Images of each class in each draw [draws, k]: called rightly, there, and called so."""

    right: np.ndarray
    true: np.ndarray
    called: np.ndarray


def absent(labels: ArrayLike, classes: Sequence[str], part: str = "") -> list[str]:
    """Return a sentence for each class of which no label [n] is; of a part of all images, such as test."""
    known, image = set(np.unique(np.asarray(labels)).tolist()), f"{part} image".lstrip()
    return [
        f"no {image} of class {name}: its measures and the means over classes are left open"
        for number, name in enumerate(classes)
        if number not in known
    ]


def class_aucs(labels: ArrayLike, logits: ArrayLike) -> PerClass:
    """Area under the ROC curve of each class against all others together, by its probability."""
    truth, odds = np.asarray(labels), class_log_odds(logits)
    areas = [auc(truth == one, odds[:, one]) for one in range(odds.shape[1])]
    return lambda weights: np.stack([area(weights) for area in areas], axis=1)


def macro_auc(labels: ArrayLike, logits: ArrayLike) -> Measure:
    """Mean over classes of the one-vs-rest AUC."""
    return _mean_over_classes(class_aucs(labels, logits))


def one_vs_one_auc(labels: ArrayLike, logits: ArrayLike) -> Measure:
    """Mean over pairs of classes of how well their images are told apart; classes count alike, however rare.

    Hand and Till, Machine Learning 45, 2001, 171-186: of classes i and j the mean of two AUCs, by the
    probability of i and by that of j.
    """
    truth, odds = np.asarray(labels), class_log_odds(logits)
    numbers = range(odds.shape[1])
    members = {(i, j): np.flatnonzero((truth == i) | (truth == j)) for i, j in permutations(numbers, 2)}
    areas = {(i, j): auc(truth[both] == i, odds[both, i]) for (i, j), both in members.items()}

    def measure(weights: np.ndarray) -> np.ndarray:
        total = np.zeros(len(weights))
        for pair, area in areas.items():
            total += area(np.take(weights, members[pair], axis=1))
        return total / len(areas)

    return measure


def count(labels: ArrayLike, called: ArrayLike, classes: int) -> Callable[[np.ndarray], Counts]:
    """Return the function that counts images by class in each draw."""
    true, as_called = (np.eye(classes)[np.asarray(which, dtype=int)] for which in (labels, called))
    return lambda weights: Counts(weights @ (true * as_called), weights @ true, weights @ as_called)


def _of_present(of: Callable[[Counts], np.ndarray]) -> Callable[[Counts], np.ndarray]:
    return lambda counts: np.where(counts.true > 0, of(counts), np.nan)


def _specificity(counts: Counts) -> np.ndarray:
    others = counts.true.sum(1, keepdims=True) - counts.true
    return ratio(others - (counts.called - counts.right), others)


def _accuracy(counts: Counts) -> np.ndarray:
    return ratio(counts.right.sum(1), counts.true.sum(1))


OF_CLASS: Mapping[str, Callable[[Counts], np.ndarray]] = {
    "sensitivity": lambda counts: ratio(counts.right, counts.true),
    "specificity": _of_present(_specificity),
    "ppv": _of_present(lambda counts: ratio(counts.right, counts.called)),
    "f1": _of_present(lambda counts: ratio(2 * counts.right, counts.true + counts.called)),
}
"""Measures of the calls of one class against all others, from counts to [draws, k]."""

OF_ALL: Mapping[str, Callable[[Counts], np.ndarray]] = {
    "accuracy": _accuracy,
    "balanced_accuracy": lambda counts: OF_CLASS["sensitivity"](counts).mean(1),
    "macro_f1": lambda counts: OF_CLASS["f1"](counts).mean(1),
}
"""Measures of the calls of all classes, from counts to [draws]."""


def kappa(labels: ArrayLike, called: ArrayLike, classes: int, power: int = 0) -> Measure:
    """Agreement of label and call beyond chance (Cohen, Psychological Bulletin 70, 1968, 213-220).

    A disagreement counts |label - call|^power: 0 is Cohen's kappa of 1960, 1 the linear and 2 the quadratic
    weighted kappa of ordered classes. It is not defined where all images are of one class.
    """
    counts, numbers = count(labels, called, classes), np.arange(classes)
    distance = np.abs(numbers[:, None] - numbers)
    cost = np.where(distance > 0, distance.astype(float) ** power, 0.0)
    seen = weighted_mean(cost[np.asarray(labels, dtype=int), np.asarray(called, dtype=int)])

    def measure(weights: np.ndarray) -> np.ndarray:
        _, true, as_called = counts(weights)
        by_chance = ((true @ cost) * as_called).sum(1) / true.sum(1) ** 2
        return np.where((true > 0).sum(1) > 1, 1 - ratio(seen(weights), by_chance), np.nan)

    return measure


def mean_absolute_error(labels: ArrayLike, called: ArrayLike) -> Measure:
    """Mean distance of label and call in grades, of ordered classes."""
    return weighted_mean(np.abs(np.asarray(labels, dtype=int) - np.asarray(called, dtype=int)))


def log_loss(labels: ArrayLike, logits: ArrayLike) -> Measure:
    """Mean negative logarithm of the probability of an image's class."""
    given = np.asarray(logits, dtype=float)
    its_own = np.eye(given.shape[1], dtype=bool)[np.asarray(labels, dtype=int)]
    others = logsumexp(np.where(its_own, -np.inf, given), axis=1)
    return weighted_mean(np.logaddexp(0, others - given[its_own]))  # above 0 also where p rounds to 1


def brier(labels: ArrayLike, logits: ArrayLike) -> Measure:
    """Mean squared distance of probabilities and truth, summed over classes: 0 to 2 (Brier 1950).

    Of two classes it is twice the one of `measures`, which knows one class.
    """
    probabilities = softmax(np.asarray(logits, dtype=float), axis=1)
    truth = np.eye(probabilities.shape[1])[np.asarray(labels, dtype=int)]
    return weighted_mean(((probabilities - truth) ** 2).sum(1))


def calibration_error(labels: ArrayLike, logits: ArrayLike) -> Measure:
    """Expected calibration error of the likeliest class's probability (Guo et al., ICML 2017)."""
    probabilities = softmax(np.asarray(logits, dtype=float), axis=1)
    return expected_calibration_error(np.asarray(labels) == probabilities.argmax(1), probabilities.max(1))


def overall(
    labels: ArrayLike, logits: ArrayLike, called: ArrayLike, *, ordered: bool = False
) -> dict[str, Measure]:
    """Return the measures of all classes together by name; `ordered` classes have two more.

    `auc_weighted` is the mean over images of their class's AUC: a class of no image does not enter.
    """
    classes = np.shape(logits)[1]
    aucs, counts = Once(class_aucs(labels, logits)), Once(count(labels, called, classes))
    measures: dict[str, Measure] = {
        **{name: _of(counts, of) for name, of in OF_ALL.items()},
        "auc_macro": _mean_over_classes(aucs),
        "auc_weighted": _mean_over_images(labels, aucs),
        "auc_one_vs_one": one_vs_one_auc(labels, logits),
        "kappa": kappa(labels, called, classes),
        "log_loss": log_loss(labels, logits),
        "brier": brier(labels, logits),
        "calibration_error": calibration_error(labels, logits),
    }
    if ordered:
        measures["quadratic_kappa"] = kappa(labels, called, classes, power=2)
        measures["mean_absolute_error"] = mean_absolute_error(labels, called)
    return measures


def of_each_class(labels: ArrayLike, logits: ArrayLike, called: ArrayLike) -> list[dict[str, Measure]]:
    """Return the measures of each class against all others by name, in the order of the columns."""
    classes = np.shape(logits)[1]
    aucs, counts = Once(class_aucs(labels, logits)), Once(count(labels, called, classes))
    rates = {"auc": aucs} | {name: _of(counts, of) for name, of in OF_CLASS.items()}
    return [{name: _column(rate, one) for name, rate in rates.items()} for one in range(classes)]


def _of(counts: Callable[[np.ndarray], Counts], of: Callable[[Counts], np.ndarray]) -> Measure:
    return lambda weights: of(counts(weights))


def _column(measure: PerClass, number: int) -> Measure:
    return lambda weights: measure(weights)[:, number]


def _mean_over_classes(measure: PerClass) -> Measure:
    return lambda weights: measure(weights).mean(1)


def _mean_over_images(labels: ArrayLike, measure: PerClass) -> Measure:
    truth = np.asarray(labels, dtype=int)

    def mean(weights: np.ndarray) -> np.ndarray:
        found = measure(weights)
        images = weights @ np.eye(found.shape[1])[truth]
        return ratio(np.where(images > 0, images * found, 0.0).sum(1), images.sum(1))

    return mean
