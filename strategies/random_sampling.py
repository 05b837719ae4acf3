"""Random search over shared weights: the control that any claim about a controller needs.

Li and Talwalkar, "Random Search and Reproducibility for Neural Architecture Search", UAI 2019 (arXiv
1902.07638): random search with weight sharing is a competitive baseline that papers left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from nni.mutable import LabeledMutable, Sample

from strategies.base import WeightSharingStrategy
from strategies.decisions import plan_decisions


class Uniform:
    """A sampler that draws every choice uniformly and learns nothing."""

    def __init__(self, mutables: Mapping[str, LabeledMutable], observations: int) -> None:
        plan_decisions(mutables)  # refuses the spaces that ENAS refuses
        self.mutables, self.observations = mutables, observations

    def draw(self, count: int, generator: torch.Generator) -> list[Sample]:
        """Draw architectures; a choice of any subset is never empty."""
        state = _state(generator)
        return [
            {label: _draw_one(mutable, state) for label, mutable in self.mutables.items()}
            for _ in range(count)
        ]

    def mutate(self, parent: Sample, generator: torch.Generator) -> Sample:
        """Return an architecture of which one decision is drawn anew; it may come out as it was."""
        labels = list(self.mutables)
        label = labels[int(torch.randint(len(labels), (), generator=generator))]
        return {**parent, label: _draw_one(self.mutables[label], _state(generator))}

    def learn(self, reward: Callable[[Sample], float], generator: torch.Generator) -> dict[str, float]:
        """Measure a few rewards for the record."""
        rewards = [reward(sample) for sample in self.draw(self.observations, generator)]
        return {"reward": sum(rewards) / len(rewards), "reward_best": max(rewards)}

    def state_dict(self) -> dict[str, Any]:
        """Return nothing: nothing changes."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Do nothing."""


def _state(generator: torch.Generator) -> np.random.RandomState:
    return np.random.RandomState(int(torch.randint(2**31, (1,), generator=generator)))


def _draw_one(mutable: LabeledMutable, state: np.random.RandomState) -> Any:
    while (value := mutable.random(random_state=state)) == []:
        pass
    return value.tolist() if isinstance(value, np.generic) else value


class RandomSampling(WeightSharingStrategy):
    """Random search over shared weights: ENAS without its controller.

    The shared weights get as many training steps, and the final ranking as many architectures, as with
    :class:`strategies.ENAS`; only the controller's rewards are saved.

    Args:
        observations: rewards measured after every epoch, for the record only.
        **shared: arguments of :class:`strategies.base.WeightSharingStrategy`.
    """

    def __init__(self, *, observations: int = 10, **shared: Any) -> None:
        super().__init__(**shared)
        if observations < 1:
            raise ValueError(f"observations ({observations}) must be at least 1")
        self._observations = observations

    def make_sampler(self, mutables: Mapping[str, LabeledMutable]) -> Uniform:
        """Make the sampler of this space."""
        return Uniform(mutables, self._observations)
