"""A search for architectures of limited cost, whatever the cost is: parameters, multiply-adds, milliseconds.

The reward is the absolute one of TuNAS (Bender et al., CVPR 2020, arXiv 2008.06120, and its released code):
quality - weight * |cost / most - 1|. It draws a controller to the limit from both sides. MnasNet's (Tan et
al., CVPR 2019, arXiv 1807.11626), quality * (cost / most)^-0.07, does not: it pays for every saving below the
limit as well, so that what comes out follows from the exponent as much as from the limit. A reward that only
punishes what lies above would push a controller that still spreads its draws well below the limit. A sum also
leaves the noise of a reward measured on a few images as it is.

A reward only steers. That nothing above the limit is exported is the final ranking's doing, which takes the
score without the cost: below the limit, cost is no object.

NNI's `SampleProfilerPenalty`, the strategies' `penalty`, has this reward too (nonlinear "absolute", scale
below 0), but takes the cost off the final ranking's scores as well, and lets what is above the limit win.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from nni.mutable import Sample

from search_space.errors import LesionNasError

WEIGHT = 0.1  # that of TuNAS's released code


class LimitError(LesionNasError, ValueError):
    """A limit that no architecture keeps to."""


@dataclass(frozen=True)
class Limit:
    """The cost that an architecture may have at most.

    `cost` gives an architecture's, at least 0, and the same each time; `what` names it and its unit. Raises
    ValueError for a limit or weight that is none.
    """

    cost: Callable[[Sample], float]
    most: float
    weight: float = WEIGHT
    what: str = "cost"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.most) and self.most > 0):
            raise ValueError(f"most ({self.most!r}) is a number above 0, of {self.what}")
        if not (math.isfinite(self.weight) and self.weight >= 0):
            raise ValueError(f"weight ({self.weight!r}) is a number from 0")

    def reward(self, quality: float, cost: float) -> float:
        """Return what the controller is to make large."""
        return quality - self.weight * abs(cost / self.most - 1)

    def keeps(self, cost: float) -> bool:
        """Tell whether a cost is within the limit."""
        return cost <= self.most

    def require_one(self, costs: Iterable[float], of: str) -> None:
        """Raise `LimitError`, which tells the smallest cost, where none of those `of` something keeps it."""
        smallest = min(costs)
        if not self.keeps(smallest):
            raise LimitError(
                f"the limit is {self.most:,.6g} {self.what}, and the smallest of {of} has {smallest:,.6g}: "
                "allow as many, or make the network smaller"
            )
