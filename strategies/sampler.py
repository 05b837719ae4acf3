"""What a search strategy is made of: a sampler that proposes architectures and learns from their rewards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch
from nni.mutable import Sample


class Sampler(Protocol):
    """Proposes architectures of one space.

    A :class:`strategies.base.WeightSharingStrategy` makes one for each search; `strategies.testing` tests it.
    """

    def draw(self, count: int, generator: torch.Generator) -> list[Sample]:
        """Propose ``count`` architectures; all randomness comes from the generator."""
        ...

    def learn(self, reward: Callable[[Sample], float], generator: torch.Generator) -> dict[str, float]:
        """Learn from rewards after an epoch; return what to log, the mean ``reward`` at least."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return all that has changed since the sampler was made, as plain values and tensors."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned."""
        ...
