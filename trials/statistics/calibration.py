"""Whether a probability of 0.8 means eight in ten: temperature scaling and the expected calibration error."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, logit

from trials.statistics.bootstrap import Measure

BINS = 10
_TINY = 1e-7  # keeps the log odds of a probability of 0 or 1, as 32-bit numbers round them, finite


def log_odds(probabilities: ArrayLike) -> np.ndarray:
    """Return log(p / (1 - p)), finite also for 0 and 1."""
    odds: np.ndarray = logit(np.clip(np.asarray(probabilities, dtype=float), _TINY, 1 - _TINY))
    return odds


def apply_temperature(probabilities: ArrayLike, temperature: float | ArrayLike) -> np.ndarray:
    """Divide the log odds by the temperature, one number or one an image (Guo et al., ICML 2017).

    Raises ValueError for a temperature that is not above 0.
    """
    divisor = np.asarray(temperature, dtype=float)
    if not (divisor > 0).all():
        raise ValueError(f"temperature {divisor}: expected a number above 0")
    scaled: np.ndarray = expit(log_odds(probabilities) / divisor)
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
