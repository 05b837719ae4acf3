"""Paired tests of two methods on the same images, and Holm's correction over a table of tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm, rankdata
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from trials.evaluation.bootstrap import LEVEL, Interval


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
    number = (
        np.arange(len(truth)) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    )
    areas, of_positives, of_negatives = (
        np.stack(pair, axis=-1)
        for pair in zip(*(_components(truth, one) for one in (first, second)), strict=True)
    )
    covariance = _covariance(areas, of_positives, of_negatives, number[truth], number[~truth])
    gap = float(areas[0] - areas[1])
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    error = float(np.sqrt(max(variance, 0.0)))
    p = float(2 * norm.sf(abs(gap) / error)) if error > 1e-12 else float(abs(gap) < 1e-12)
    reach = float(norm.isf((1 - LEVEL) / 2)) * error
    spread = float(np.sqrt(covariance[0, 0] * covariance[1, 1]))
    correlation = float(covariance[0, 1] / spread) if spread > 0 else np.nan
    return AucTest(float(areas[0]), float(areas[1]), Interval(gap, gap - reach, gap + reach), p, correlation)


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


def _covariance(
    areas: np.ndarray,
    of_positives: np.ndarray,
    of_negatives: np.ndarray,
    groups_of_positives: np.ndarray,
    groups_of_negatives: np.ndarray,
) -> np.ndarray:
    """Return the covariance [2, 2] of the AUCs by Obuchowski's sums over groups."""
    count = 1 + max(groups_of_positives.max(), groups_of_negatives.max())
    sums = []
    for components, groups in ((of_positives, groups_of_positives), (of_negatives, groups_of_negatives)):
        total = np.zeros((count, 2))
        np.add.at(total, groups, components - areas)
        sums.append(total)
    (ten, one), (m, n) = sums, (len(of_positives), len(of_negatives))
    i10, i01 = len(set(groups_of_positives.tolist())), len(set(groups_of_negatives.tolist()))
    if i10 < 2 or i01 < 2:
        raise ValueError(f"DeLong's test needs two groups of each class, found {i10} and {i01}")
    both = ten.T @ one * count / ((count - 1) * m * n)
    covariance: np.ndarray = (
        ten.T @ ten * i10 / ((i10 - 1) * m**2) + one.T @ one * i01 / ((i01 - 1) * n**2) + both + both.T
    )
    return covariance


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
    beside an interval over groups.
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
