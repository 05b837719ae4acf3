"""Does a search rank architectures as training them does, and where does its choice stand among others?

A ranking by few images repeats itself badly on others, and what does not agree with itself agrees with
nothing else: its reliability bounds every correlation. Halves of the images measure it (Spearman, British
Journal of Psychology 3, 1910, 271-295; Brown, the same, 296-322).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import percentileofscore

from trials.evaluation.bootstrap import DRAWS, Interval, Measure, percentile_interval, strata
from trials.evaluation.measures import ratio, weighted_mean
from trials.evaluation.multiclass import log_loss, macro_auc

FEWEST = 3  # candidates; fewer are ordered alike too often to say anything
SPLITS = 100  # into halves, over which all is averaged; ours
_ROUNDING = 1e-12  # of scores that are the same, squared


def _accuracy(labels: ArrayLike, logits: ArrayLike) -> Measure:
    return weighted_mean(np.asarray(logits).argmax(1) == np.asarray(labels))


MEASURES: Mapping[str, Callable[[ArrayLike, ArrayLike], Measure]] = {
    "accuracy": _accuracy,
    "log_loss": log_loss,
    "auc": macro_auc,
}
"""From labels [n] and logits [n, k] to what scores a candidate; the AUC of more than two classes is macro."""


@dataclass(frozen=True)
class Reliability:
    """How well the scores of candidates on so many images repeat themselves on other images.

    `halves` is the correlation, over candidates, of their scores on two halves of the images, and `error` the
    standard error of a candidate's score on all: the chance of images alone. Both are means over many halves.
    """

    halves: float
    error: float
    images: int

    @property
    def reliability(self) -> float:
        """The correlation of scores on all images with those on as many others, by Spearman and Brown.

        0 where halves do not agree.
        """
        return max(0.0, 2 * self.halves / (1 + self.halves)) if self.halves > -1 else 0.0

    @property
    def tau_ceiling(self) -> float:
        """Kendall's tau of the scores with scores without any chance that order candidates in the same way.

        Of normal scores: those without chance correlate by the root of the reliability, and tau follows from
        a correlation as in Kendall, Biometrika 36, 1949, 177-193. No tau of this ranking is expected above.
        """
        return 2 / math.pi * math.asin(math.sqrt(self.reliability))

    def error_on(self, images: int) -> float:
        """Return the standard error of a candidate's score on so many images."""
        return self.error * math.sqrt(self.images / images)


def reliabilities(
    said: np.ndarray, labels: ArrayLike, groups: ArrayLike, *, splits: int = SPLITS, seed: int = 0
) -> dict[str, Reliability]:
    """Return the reliability of a ranking by each of `MEASURES`, where halves of the images define it.

    `said` are logits [candidates, n, k] on images of these labels [n] and groups [n]; a group is in one half
    or the other. There is none of fewer than three candidates, and none by AUC where a half lacks a class.
    """
    if len(said) < FEWEST:
        return {}
    first = _first_halves(np.asarray(labels), np.asarray(groups), splits, seed)
    found = {
        name: _reliability([measure(labels, one) for one in said], first)
        for name, measure in MEASURES.items()
    }
    return {name: one for name, one in found.items() if one is not None}


def _first_halves(labels: np.ndarray, groups: np.ndarray, splits: int, seed: int) -> np.ndarray:
    """Return which images are in the first half, 1 or 0 [splits, n]: of each stratum every second group."""
    _, group = np.unique(groups, return_inverse=True)
    stratum = strata(labels, group)
    chance = np.random.default_rng(seed).random((splits, len(stratum)))
    order = np.lexsort((chance, np.broadcast_to(stratum, chance.shape)), axis=-1)
    first = np.empty_like(chance)
    np.put_along_axis(first, order, np.broadcast_to(np.arange(len(stratum)) % 2.0, chance.shape), axis=1)
    return first[:, group]


def _reliability(measures: Sequence[Measure], first: np.ndarray) -> Reliability | None:
    one, other = (np.stack([measure(half) for measure in measures]) for half in (first, 1 - first))
    known = np.isfinite(one + other).all(0)
    if not known.any():
        return None
    one, other = one[:, known], other[:, known]  # [candidates, splits]
    # Of a mean over halves the difference has four times the variance of the mean over all.
    error = float(np.sqrt(np.square(one - other).mean())) / 2
    return Reliability(float(_correlation(one, other).mean()), error, first.shape[1])


def _correlation(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the correlation over candidates [candidates, splits] in each split; 0 where all score alike."""
    x, y = one - one.mean(0), other - other.mean(0)
    spread = np.sqrt((x**2).sum(0) * (y**2).sum(0))
    return np.nan_to_num(ratio((x * y).sum(0), np.where(spread > _ROUNDING, spread, 0)))


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
