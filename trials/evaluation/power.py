"""The smallest difference that so many images can show: two-sided test at 5 %, power 80 %.

Images of one group are worth less than as many independent ones: with the numbers of groups in place of
images the answer is the cautious one, with those of images the hopeful one, and the truth lies between.
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from trials.evaluation.bootstrap import Interval

POWER, ALPHA = 0.8, 0.05
ASSUMED_AREA, ASSUMED_CORRELATION = 0.9, 0.5  # before anything is measured; ours
TOO_FEW = "none, so few are they"


def auc_variance(area: float, positives: float, negatives: float) -> float:
    """Return the variance of an AUC (Hanley and McNeil, Radiology 143, 1982, 29-36, equation 1)."""
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    return (area * (1 - area) + (positives - 1) * (q1 - area**2) + (negatives - 1) * (q2 - area**2)) / (
        positives * negatives
    )


def smallest_auc_difference(
    area: float,
    positives: float,
    negatives: float,
    correlation: float,
    *,
    power: float = POWER,
    alpha: float = ALPHA,
) -> float | None:
    """Return by how much an AUC must surpass `area`, both measured on the same images, to be told apart.

    The standard error of the difference is that of two AUCs of the given correlation (Hanley and McNeil,
    Radiology 148, 1983, 839-843); the difference is (z of alpha / 2 + z of power) times it. None: not even a
    perfect rival could be told apart. Raises ValueError for numbers out of range.
    """
    if not (0.5 <= area < 1 and min(positives, negatives) >= 2 and -1 <= correlation < 1):
        raise ValueError(
            "expected an AUC from 0.5 to below 1, two of each class and a correlation from -1 to below 1, "
            f"found {area}, {positives}, {negatives}, {correlation}"
        )
    z = float(ndtri(power) - ndtri(alpha / 2))

    def excess(gap: float) -> float:
        first, second = (auc_variance(a, positives, negatives) for a in (area, area + gap))
        return gap - z * sqrt(max(first + second - 2 * correlation * sqrt(first * second), 0.0))

    return _root(excess, 1 - area)


def smallest_accuracy_difference(
    n: float, discordance: float, *, power: float = POWER, alpha: float = ALPHA
) -> float | None:
    """Return by how much two accuracies on the same images must differ for McNemar's test to tell.

    `discordance` is the share of images that exactly one of the two decides rightly. Solves n = (z of
    alpha / 2 * sqrt(psi) + z of power * sqrt(psi - d^2))^2 / d^2 for d, psi the discordance (Miettinen,
    Biometrics 24, 1968, 339-352; Connor, Biometrics 43, 1987, 207-211). None: so few discordant images cannot
    tell. Raises ValueError for numbers out of range.
    """
    if not (n >= 1 and 0 < discordance <= 1):
        raise ValueError(f"expected images and a discordance above 0 up to 1, found {n}, {discordance}")
    za, zb = -float(ndtri(alpha / 2)), float(ndtri(power))

    def excess(gap: float) -> float:
        needed = za * sqrt(discordance) + zb * sqrt(max(discordance - gap**2, 0.0))
        return gap * sqrt(n) - needed

    return _root(excess, discordance)


def smallest_found(difference: Interval) -> float:
    """Return the smallest difference that would have been found, from the interval of the one that was."""
    reach = float(ndtri(POWER) - ndtri(ALPHA / 2)) / float(ndtri(1 - ALPHA / 2))
    return reach * (difference.high - difference.low) / 2


def outlook(positive: ArrayLike, groups: ArrayLike) -> dict[str, float | str]:
    """Say before any run which AUC difference a comparison that tests each of these images once can show.

    From truth [n] and groups [n]: the smallest difference to a rival of AUC `ASSUMED_AREA`, errors correlated
    by `ASSUMED_CORRELATION`, with images counted and with groups counted (one with a positive image is
    positive); `TOO_FEW` where even a perfect one could not be told apart.
    """
    truth = np.asarray(positive, dtype=bool)
    number = np.unique(np.asarray(groups), return_inverse=True)[1]
    units = {"images": truth, "groups": np.bincount(number, weights=truth) > 0}
    return {"beside an AUC of": ASSUMED_AREA} | {name: _shown(each) for name, each in units.items()}


def _shown(positive: np.ndarray) -> float | str:
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if min(positives, negatives) < 2:
        return TOO_FEW
    gap = smallest_auc_difference(ASSUMED_AREA, positives, negatives, ASSUMED_CORRELATION)
    return TOO_FEW if gap is None else round(gap, 3)


def _root(excess: Callable[[float], float], largest: float) -> float | None:
    if excess(largest) < 0:
        return None
    from scipy.optimize import brentq  # late: takes a quarter of a second

    return float(brentq(excess, 0.0, largest, xtol=1e-9))
