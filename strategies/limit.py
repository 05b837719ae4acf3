"""A search for architectures of limited cost: parameters, multiply-adds, milliseconds or any other cost.

The reward is the absolute one of TuNAS (Bender et al., CVPR 2020, arXiv 2008.06120, and its released code):
quality - weight * |cost / most - 1|. It draws a controller to the limit from both sides. MnasNet's (Tan et
al., CVPR 2019, arXiv 1807.11626), quality * (cost / most)^-0.07, also rewards every saving below the limit,
so that the result depends on the exponent as much as on the limit. A reward that only punishes costs above
the limit would push a controller that still spreads its draws well below the limit. Unlike a product, a sum
does not scale the noise of a reward measured on a few images.

The reward only steers. The final ranking exports nothing above the limit, and orders the rest by score alone.

NNI's `SampleProfilerPenalty`, the strategies' `penalty`, has this reward too (nonlinear "absolute", scale
below 0), but also subtracts the cost from the scores of the final ranking, and can export what is above the
limit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from nni.mutable import Sample

from search_space.errors import LesionNasError

WEIGHT = 0.1  # that of TuNAS's released code


class LimitError(LesionNasError, ValueError):
    """A limit that no architecture keeps."""


@dataclass(frozen=True)
class Limit:
    """The largest cost that an architecture may have.

    `cost` returns the cost of an architecture, at least 0 and always the same; `what` names it and its unit.
    Raises ValueError unless `most` is a finite number above 0 and `weight` a finite number from 0.
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
        """Return the reward that the controller maximizes."""
        return quality - self.weight * abs(cost / self.most - 1)

    def keeps(self, cost: float) -> bool:
        """Return whether a cost is within the limit."""
        return cost <= self.most

    def require_one(self, costs: Iterable[float], of: str) -> None:
        """Raise `LimitError`, which names the smallest cost, if none of the costs keeps the limit."""
        smallest = min(costs)
        if not self.keeps(smallest):
            raise LimitError(
                f"the limit is {self.most:,.6g} {self.what}, and the smallest of {of} has {smallest:,.6g}: "
                "allow as many, or make the network smaller"
            )
