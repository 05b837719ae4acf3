"""Log odds, and whether a probability of 0.8 means eight in ten: temperature, expected calibration error.

Everything that ranks or decides does so by log odds: probabilities near 1 tie long before these do.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, log_expit, logit

from trials.evaluation.bootstrap import Measure

BINS = 10
_LOWEST, _HIGHEST = -750.0, 40.0  # beyond the log odds of any 64-bit number between 0 and 1


def log_odds(probabilities: ArrayLike) -> np.ndarray:
    """Return log(p / (1 - p)) in the order of the probabilities; finite also for 0 and 1."""
    odds: np.ndarray = np.clip(logit(np.asarray(probabilities, dtype=float)), _LOWEST, _HIGHEST)
    return odds


def cutoff(threshold: float) -> float:
    """Return the log odds from which up a probability is at least `threshold`, rounding forgiven."""
    if threshold <= 0:
        return -1e30  # everything
    return float(log_odds(threshold * (1 - 2**-51)))


def mean_log_odds(odds: ArrayLike, weights: np.ndarray | None = None) -> np.ndarray:
    """Return the log odds [...] of the mean probability over the first axis of log odds [k, ...].

    `weights` [k] are 0 or more, one at least above, of any scale; None: all count alike.
    """
    given = np.asarray(odds, dtype=float)
    with np.errstate(divide="ignore"):  # what has no weight adds exp(-inf)
        shares = 0.0 if weights is None else np.log(weights).reshape(-1, *[1] * (given.ndim - 1))
    return ties_kept(
        np.logaddexp.reduce(log_expit(given) + shares) - np.logaddexp.reduce(log_expit(-given) + shares)
    )


def mean_log_odds_of_groups(odds: ArrayLike, number: np.ndarray) -> np.ndarray:
    """Return `mean_log_odds` of the members of each group [groups], of log odds and group numbers [n]."""
    given = np.asarray(odds, dtype=float)
    positive, negative = (np.full(number.max() + 1, -np.inf) for _ in range(2))
    np.logaddexp.at(positive, number, log_expit(given))
    np.logaddexp.at(negative, number, log_expit(-given))
    return ties_kept(positive - negative)


def ties_kept(odds: np.ndarray) -> np.ndarray:
    """Return log odds without their last digits: means that are equal differ by their rounding alone."""
    rounded: np.ndarray = np.round(odds, 12)
    return rounded


def apply_temperature(odds: ArrayLike, temperature: float | ArrayLike) -> np.ndarray:
    """Return probabilities [n]: log odds [n] over a temperature, one or one an image (Guo et al., ICML 2017).

    Raises ValueError for a temperature not above 0.
    """
    divisor = np.asarray(temperature, dtype=float)
    if not (divisor > 0).all():
        raise ValueError(f"temperature {divisor}: expected a number above 0")
    scaled: np.ndarray = expit(np.asarray(odds, dtype=float) / divisor)
    return scaled


def expected_calibration_error(positive: ArrayLike, probabilities: ArrayLike, bins: int = BINS) -> Measure:
    """Mean distance, over images, of a bin's mean probability from its share of positives.

    Bins of the positive class's probability, of equal width, closed on the right (Naeini et al., AAAI 2015,
    who take 10 too). The error is above 0 by chance alone, the more so the fewer the images.
    """
    given = np.asarray(probabilities, dtype=float)
    gap = given - np.asarray(positive, dtype=bool)
    number = np.clip(np.ceil(given * bins).astype(int) - 1, 0, bins - 1)
    member = number[:, None] == np.arange(bins)  # [n, bins]

    def measure(weights: np.ndarray) -> np.ndarray:
        error: np.ndarray = np.abs(weights @ (gap[:, None] * member)).sum(1) / weights.sum(1)
        return error

    return measure
