"""A warm-up before a sampler proposes: epochs in which architectures are drawn uniformly.

Shared weights that hardly any training has reached yet say little about an architecture. Guo et al., "Single
Path One-Shot Neural Architecture Search with Uniform Sampling", ECCV 2020 (arXiv 1904.00420), train all of
them uniformly before they search.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from nni.mutable import Sample

from strategies.random_sampling import Uniform
from strategies.sampler import Sampler


class WarmUp:
    """A sampler that is `uniform` for so many epochs, and `sampler` after them."""

    def __init__(self, uniform: Uniform, sampler: Sampler, epochs: int) -> None:
        self.uniform, self.sampler = uniform, sampler
        self.left = epochs

    def draw(self, count: int, generator: torch.Generator) -> list[Sample]:
        """Propose architectures."""
        return self._now.draw(count, generator)

    def learn(self, reward: Callable[[Sample], float], generator: torch.Generator) -> dict[str, float]:
        """Let the sampler learn; in the warm-up only measure a few rewards for the record."""
        now, self.left = self._now, max(self.left - 1, 0)
        return now.learn(reward, generator)

    @property
    def _now(self) -> Sampler:
        return self.uniform if self.left else self.sampler

    def state_dict(self) -> dict[str, Any]:
        """Return the sampler's state and the epochs that are left."""
        return {"left": self.left, "sampler": self.sampler.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned."""
        self.left = state["left"]
        self.sampler.load_state_dict(state["sampler"])
