"""Paired tests of two methods on the same images, and Holm's correction over a table of tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm, rankdata
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from trials.evaluation.bootstrap import LEVEL, Interval
from trials.evaluation.decisions import class_log_odds


@dataclass(frozen=True)
class AucTest:
    """The first AUC less the second, with its interval and p; and how their errors correlate."""

    first: float
    second: float
    difference: Interval
    p: float
    correlation: float


def delong(
    positive: ArrayLike, first: ArrayLike, second: ArrayLike, groups: ArrayLike | None = None
) -> AucTest:
    """Test the difference of two correlated AUCs, two-sided (DeLong et al., Biometrics 44, 1988, 837-845).

    The components come from middle ranks (Sun and Xu, IEEE Signal Processing Letters 21, 2014, 1389-1393).
    Scores are [n], or [seeds, n] of several models of one kind: then it is their mean AUC, by the mean of
    their components, and the interval takes the models as given. With `groups` components are summed
    within groups (Obuchowski, Biometrics 53, 1997, 567-578), as images of one patient are not independent;
    groups of one image each give DeLong's test. Where no component varies, p is 1 for equal AUCs, else 0.
    Raises ValueError where a class has fewer than two images or groups.
    """
    truth = np.asarray(positive, dtype=bool)
    number = _group_numbers(truth, groups)
    areas, of_positives, of_negatives = (
        np.stack(pair, axis=-1)
        for pair in zip(*(_components(truth, one) for one in (first, second)), strict=True)
    )
    deviations = [of_positives - areas, of_negatives - areas]
    return _test(areas, _covariance(deviations, [number[truth], number[~truth]]))


def compare_macro_auc(
    labels: ArrayLike, first: ArrayLike, second: ArrayLike, groups: ArrayLike | None = None
) -> AucTest:
    """As `delong`, of the macro AUC of any number of classes, from logits [n, k] or [seeds, n, k].

    The macro AUC is a sum of U statistics, so that its components are the sums of DeLong's (ours): what an
    image adds as one of its class, and as one of the others to each other class, about the mean of its class.
    Of two classes it is DeLong's test. Raises ValueError where a class has fewer than two images or groups.
    """
    truth = np.asarray(labels, dtype=int)
    number = _group_numbers(truth, groups)
    areas, components = (
        np.stack(pair, axis=-1)
        for pair in zip(*(_macro_components(truth, one) for one in (first, second)), strict=True)
    )
    of_classes = [truth == one for one in np.unique(truth)]
    deviations = [components[members] - components[members].mean(0) for members in of_classes]
    return _test(areas, _covariance(deviations, [number[members] for members in of_classes]))


def _group_numbers(truth: np.ndarray, groups: ArrayLike | None) -> np.ndarray:
    if groups is None:
        return np.arange(len(truth))
    number: np.ndarray = np.unique(np.asarray(groups), return_inverse=True)[1]
    return number


def _test(areas: np.ndarray, covariance: np.ndarray) -> AucTest:
    """Test the difference of two areas [2] that are normal with this covariance [2, 2]."""
    gap = float(areas[0] - areas[1])
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    error = float(np.sqrt(max(variance, 0.0)))
    p = float(2 * norm.sf(abs(gap) / error)) if error > 1e-12 else float(abs(gap) < 1e-12)
    reach = float(norm.isf((1 - LEVEL) / 2)) * error
    spread = float(np.sqrt(covariance[0, 0] * covariance[1, 1]))
    correlation = float(covariance[0, 1] / spread) if spread > 0 else np.nan
    return AucTest(float(areas[0]), float(areas[1]), Interval(gap, gap - reach, gap + reach), p, correlation)


def _macro_components(truth: np.ndarray, logits: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """From logits [n, k] or [seeds, n, k], mean over the seeds: the macro AUC [] and what each image adds to
    it [n], in that its change by an image of a class of n_c images is what that image adds over n_c.
    """
    odds = class_log_odds(np.reshape(logits, (-1, *np.shape(logits)[-2:])))  # [seeds, n, k]
    classes = odds.shape[2]
    images = np.bincount(truth, minlength=classes)[truth]  # [n], of each image's class
    areas, components = np.zeros(classes), np.zeros(len(truth))
    for one in range(classes):
        mine = truth == one
        areas[one], of_class, of_others = _components(mine, odds[:, :, one])
        components[mine] += of_class / classes
        components[~mine] += of_others * images[~mine] / (~mine).sum() / classes
    return areas.mean(), components


def _components(truth: np.ndarray, given: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """From scores [n] or [seeds, n], mean over the seeds: the AUC []; of each positive the share of negatives
    below it [positives]; of each negative the share of positives above it [negatives]. Ties count half.
    """
    scores = np.atleast_2d(np.asarray(given, dtype=float)).T
    above, below = scores[truth], scores[~truth]
    if len(above) < 2 or len(below) < 2:
        raise ValueError(f"DeLong's test needs two images of each class, found {len(above)} and {len(below)}")
    together = rankdata(np.concatenate([above, below]), axis=0)
    of_positives = (together[: len(above)] - rankdata(above, axis=0)) / len(below)
    of_negatives = 1 - (together[len(above) :] - rankdata(below, axis=0)) / len(above)
    return of_positives.mean(), of_positives.mean(1), of_negatives.mean(1)


def _covariance(deviations: Sequence[np.ndarray], groups: Sequence[np.ndarray]) -> np.ndarray:
    """Return the covariance [2, 2] of the AUCs by Obuchowski's sums over groups.

    Of each class it takes the components less their mean [images, 2], and the images' group numbers.
    """
    count = 1 + max(numbers.max() for numbers in groups)
    sums, sizes, covariance = [], [], np.zeros((2, 2))
    for deviation, numbers in zip(deviations, groups, strict=True):
        total = np.zeros((count, 2))
        np.add.at(total, numbers, deviation)
        sums.append(total)
        sizes.append(len(set(numbers.tolist())))
    if min(sizes) < 2:
        raise ValueError(f"DeLong's test needs two groups of each class, found {_listed(sizes)}")
    for total, size, deviation in zip(sums, sizes, deviations, strict=True):
        covariance += total.T @ total * size / ((size - 1) * len(deviation) ** 2)
    for (one, m), (other, n) in combinations(zip(sums, map(len, deviations), strict=True), 2):
        both = one.T @ other * count / ((count - 1) * m * n)
        covariance += both
        covariance += both.T
    return covariance


def _listed(numbers: Sequence[int]) -> str:
    return f"{', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"


@dataclass(frozen=True)
class AccuracyTest:
    """Images that only the first, or only the second, decides rightly, out of `n`; and the exact p."""

    only_first: int
    only_second: int
    n: int
    p: float

    @property
    def discordance(self) -> float:
        """The share of images that exactly one of them decides rightly."""
        return (self.only_first + self.only_second) / self.n


def compare_accuracy(first_right: ArrayLike, second_right: ArrayLike) -> AccuracyTest:
    """McNemar's exact test, two-sided, of which images [n] each decides rightly.

    Psychometrika 12, 1947, 153-157. It takes images as independent, which those of one group are not: read it
    beside an interval over groups. By chi-square p would be 0 where both decide alike:
    `findings/statsmodels-mcnemar-agreement.sh`.
    """
    one, two = np.asarray(first_right, dtype=bool), np.asarray(second_right, dtype=bool)
    table = [[np.sum(one & two), np.sum(one & ~two)], [np.sum(~one & two), np.sum(~one & ~two)]]
    p = float(mcnemar(table, exact=True).pvalue)
    return AccuracyTest(int(table[0][1]), int(table[1][0]), len(one), min(p, 1.0))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values corrected for their number (Holm, Scand. J. Statistics 6, 1979, 65-70)."""
    if not p_values:
        return []
    corrected: list[float] = multipletests(list(p_values), method="holm")[1].tolist()
    return corrected
