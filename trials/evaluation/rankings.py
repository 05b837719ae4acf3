"""Does a search rank architectures as training them does, and where does its choice stand among others?"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import percentileofscore

from trials.evaluation.bootstrap import DRAWS, Interval, Measure, percentile_interval


def kendall_tau(first: ArrayLike, second: ArrayLike, *, draws: int = DRAWS, seed: int = 0) -> Interval:
    """Return Kendall's tau-b of two scores an architecture, its interval by bootstrap over architectures.

    Raises ValueError for fewer than three architectures or lengths that differ.
    """
    one, two = _signs(first), _signs(second)
    if one.shape != two.shape or len(one) < 3:
        raise ValueError(
            f"Kendall's tau needs two scores of at least three architectures, found {len(one)} and {len(two)}"
        )
    return percentile_interval(*_once_and_drawn(len(one), draws, seed, lambda times: _taus(one, two, times)))


def tau_difference(
    first: ArrayLike, second: ArrayLike, truth: ArrayLike, *, draws: int = DRAWS, seed: int = 0
) -> Interval:
    """Return Kendall's tau of the first score and `truth` less that of the second and `truth`.

    All are of the same architectures [n], drawn together, so that the difference is a paired one.
    """
    one, two, known = _signs(first), _signs(second), _signs(truth)

    def measure(times: np.ndarray) -> np.ndarray:
        return _taus(one, known, times) - _taus(two, known, times)

    return percentile_interval(*_once_and_drawn(len(known), draws, seed, measure))


def _once_and_drawn(size: int, draws: int, seed: int, measure: Measure) -> tuple[float, np.ndarray]:
    """Return a measure of all architectures, and in every draw of as many with replacement [draws]."""
    chosen = np.random.default_rng(seed).integers(size, size=(draws, size))
    times = np.stack([np.bincount(row, minlength=size) for row in chosen])
    return float(measure(np.ones((1, size)))[0]), measure(times.astype(float))


def _signs(scores: ArrayLike) -> np.ndarray:
    """Return 1 where the row's architecture scores higher than the column's, -1 lower, 0 equal: [n, n]."""
    values = np.asarray(scores, dtype=float)
    return np.sign(values[:, None] - values)


def _taus(one: np.ndarray, two: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Return tau-b [draws] of the signs of two scores, NaN where all are equal in one.

    An architecture is in a draw as often as `times` [draws, n] says, and equal to itself.
    """

    def pairs(signs: np.ndarray) -> np.ndarray:
        total: np.ndarray = ((times @ signs) * times).sum(1)
        return total

    with np.errstate(invalid="ignore"):
        return pairs(one * two) / np.sqrt(pairs(one**2) * pairs(two**2))


def percentile(score: float, others: ArrayLike) -> float:
    """Return the percentage of other scores below this one, equal ones half.

    Raises ValueError for no others.
    """
    scores = np.asarray(others, dtype=float)
    if not scores.size:
        raise ValueError("a percentile needs other scores to stand among")
    return float(percentileofscore(scores, score, kind="mean"))
