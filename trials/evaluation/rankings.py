"""Does a search rank architectures as training them does, and where does its choice stand among others?"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import kendalltau, percentileofscore

from trials.evaluation.bootstrap import DRAWS, Interval, percentile_interval


def kendall_tau(first: ArrayLike, second: ArrayLike, *, draws: int = DRAWS, seed: int = 0) -> Interval:
    """Return Kendall's tau-b of two scores an architecture, its interval by bootstrap over architectures.

    Raises ValueError for fewer than three architectures or lengths that differ.
    """
    one, two = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if one.shape != two.shape or one.size < 3:
        raise ValueError(
            f"Kendall's tau needs two scores of at least three architectures, found {one.size} and {two.size}"
        )
    chosen = np.random.default_rng(seed).integers(one.size, size=(draws, one.size))
    values = np.array([float(kendalltau(one[index], two[index]).statistic) for index in chosen])
    return percentile_interval(float(kendalltau(one, two).statistic), values)


def percentile(score: float, others: ArrayLike) -> float:
    """Return the percentage of other scores below this one, equal ones half.

    Raises ValueError for no others.
    """
    scores = np.asarray(others, dtype=float)
    if not scores.size:
        raise ValueError("a percentile needs other scores to stand among")
    return float(percentileofscore(scores, score, kind="mean"))
