"""Intervals by bootstrap over groups: images of one patient are drawn together, or not at all.

Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapters 8 (clusters) and 13 (percentiles). A
draw is written as weights, how often each image is in it, so that a measure is worked out for many at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike

Measure = Callable[[np.ndarray], np.ndarray]
"""From weights [draws, n], how often each image counts, to the measure [draws]; NaN where undefined."""

Worked = TypeVar("Worked")

DRAWS, LEVEL = 2000, 0.95
ALL_AGREE = "all draws agree"  # in place of limits that are one number
_AT_ONCE = 2**18  # weights held at a time, 2 MB: what is worked out of them stays in a processor's cache
_KEPT = 8  # sets of groups whose draws are kept: of 2,000 draws of 10,000 groups 40 MB each


@dataclass(frozen=True)
class Interval:
    """An estimate with the limits of its 95 % interval; NaN where it is not defined."""

    estimate: float
    low: float
    high: float

    @property
    def known(self) -> bool:
        """Whether the estimate is defined."""
        return bool(np.isfinite(self.estimate))

    @property
    def all_agree(self) -> bool:
        """Whether no draw has another value, as where nothing is called wrongly: limits say nothing then."""
        return self.low == self.high


class GroupBootstrap:
    """Draws of groups with replacement, the same for every measure, so that differences are paired.

    Strata of groups are drawn apart, each as many times as there are (ours): no draw is without one of the
    classes, and their shares stay about what they are. Of two classes, labels [n] bool or 0 and 1, groups
    that hold a positive image are one stratum, the others the second. Of more, a group belongs to the rarest
    of its classes, that of the fewest groups: a draw can be without a class only where all its groups hold
    rarer ones too, and measures that need it are not defined then. Raises ValueError for no images and for
    arrays of different lengths.
    """

    def __init__(self, labels: ArrayLike, groups: ArrayLike, *, draws: int = DRAWS, seed: int = 0) -> None:
        truth, names = np.asarray(labels), np.asarray(groups)
        if not truth.size or truth.shape != names.shape:
            raise ValueError(f"expected as many groups as images, found {names.size} for {truth.size}")
        _, self._group = np.unique(names, return_inverse=True)  # [n], number of each image's group
        self._size = len(truth)
        self._times = _times(tuple(strata(truth, self._group).tolist()), draws, seed)

    def values(self, measures: Mapping[str, Measure]) -> dict[str, np.ndarray]:
        """Return each measure in every draw [draws], by name."""
        step = max(1, _AT_ONCE // self._size)
        parts: dict[str, list[np.ndarray]] = {name: [] for name in measures}
        for start in range(0, len(self._times), step):
            weights = np.take(self._times[start : start + step], self._group, axis=1).astype(float)
            for name, measure in measures.items():
                parts[name].append(measure(weights))
        return {name: np.concatenate(values) for name, values in parts.items()}

    def intervals(self, measures: Mapping[str, Measure]) -> dict[str, Interval]:
        """Return each measure of all images with its interval, over draws in which it is defined."""
        once = np.ones((1, self._size))
        values = self.values(measures)
        return {
            name: percentile_interval(float(measure(once)[0]), values[name])
            for name, measure in measures.items()
        }

    def interval(self, measure: Measure) -> Interval:
        """As `intervals`, of one measure."""
        return self.intervals({"": measure})[""]


@lru_cache(maxsize=_KEPT)  # all methods of a comparison are measured on the same images
def _times(stratum: tuple[int, ...], draws: int, seed: int) -> np.ndarray:
    """Return how often each group is drawn, uint16 [draws, groups], from the groups' strata."""
    random, of_group = np.random.default_rng(seed), np.array(stratum)
    times = np.zeros((draws, len(of_group)), dtype=np.uint16)
    for number in np.unique(of_group):
        members = of_group == number
        count = int(members.sum())
        times[:, members] = random.multinomial(count, np.full(count, 1 / count), size=draws)
    times.flags.writeable = False
    return times


def strata(labels: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Return the stratum of each group [groups], of the labels and group numbers of images [n]."""
    classes, label = np.unique(labels, return_inverse=True)
    holds = np.zeros((group.max() + 1, len(classes)), dtype=bool)  # [groups, classes]
    holds[group, label] = True
    order = np.argsort(holds.sum(0), kind="stable") if len(classes) > 2 else np.arange(len(classes))[::-1]
    first: np.ndarray = holds[:, order].argmax(1)
    return first


def percentile_interval(estimate: float, values: np.ndarray) -> Interval:
    """Return the estimate between the 2.5th and the 97.5th percentile of the values that are not NaN."""
    known = values[~np.isnan(values)]
    if np.isnan(estimate) or not known.size:
        return Interval(estimate, np.nan, np.nan)
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(estimate, float(low), float(high))


class Once(Generic[Worked]):
    """What several measures of the same draws need, worked out once for the weights given last."""

    def __init__(self, work: Callable[[np.ndarray], Worked]) -> None:
        self._work = work
        self._last: tuple[np.ndarray, Worked] | None = None

    def __call__(self, weights: np.ndarray) -> Worked:
        """Return the work of these weights, which nobody changes in place."""
        if self._last is None or self._last[0] is not weights:
            self._last = weights, self._work(weights)
        return self._last[1]


def mean_of(measures: Sequence[Measure]) -> Measure:
    """Return the mean of measures, draw by draw; undefined where one of them is."""
    return lambda weights: np.mean([measure(weights) for measure in measures], axis=0)


def difference(first: Measure, second: Measure) -> Measure:
    """Return the first measure less the second, draw by draw."""
    return lambda weights: first(weights) - second(weights)
