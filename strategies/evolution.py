"""Regularized evolution over shared weights: a control for a controller that learns.

Source: Real et al., "Regularized Evolution for Image Classifier Architecture Search", AAAI 2019 (arXiv
1802.01548), whose sizes are the defaults. The first population is random. After that an architecture is a
child of the best of a few members, and the oldest member makes room for it, however good it is: only what
does well again and again stays. In the paper each child is trained; here shared weights score it.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import torch
from nni.mutable import LabeledMutable, Sample

from strategies.base import WeightSharingStrategy
from strategies.random_sampling import Uniform
from strategies.sampler import Sampler
from strategies.warm_up import WarmUp


class Population:
    """The sampler: `size` members, of which `tournament` compete to be the parent of a child.

    A child has one decision of its parent drawn anew. Where it comes out as it was, as in the paper's
    identity mutation, the parent is scored again.
    """

    def __init__(self, uniform: Uniform, size: int, tournament: int, observations: int) -> None:
        self.uniform, self.tournament, self.observations = uniform, tournament, observations
        self.members: deque[tuple[Sample, float]] = deque(maxlen=size)  # oldest first, each with its reward

    def draw(self, count: int, generator: torch.Generator) -> list[Sample]:
        """Propose children; random architectures until the population is full."""
        if len(self.members) < (self.members.maxlen or 0):
            return self.uniform.draw(count, generator)
        return [self.uniform.mutate(self.parent(generator), generator) for _ in range(count)]

    def parent(self, generator: torch.Generator) -> Sample:
        """Return the best of a few members, drawn with replacement."""
        drawn = torch.randint(len(self.members), (self.tournament,), generator=generator).tolist()
        return max((self.members[index] for index in drawn), key=lambda member: member[1])[0]

    def learn(self, reward: Callable[[Sample], float], generator: torch.Generator) -> dict[str, float]:
        """Score children one after the other; each is a possible parent of the next."""
        rewards = []
        for _ in range(self.observations):
            [child] = self.draw(1, generator)
            rewards.append(reward(child))
            self.members.append((child, rewards[-1]))
        return {"reward": sum(rewards) / len(rewards), "reward_best": max(rewards)}

    def state_dict(self) -> dict[str, Any]:
        """Return the population as text, since NNI's labels are strings of a class that is not plain."""
        return {"members": json.dumps(list(self.members))}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the population."""
        self.members.clear()
        self.members.extend((sample, reward) for sample, reward in json.loads(state["members"]))


class RegularizedEvolution(WeightSharingStrategy):
    """Regularized evolution with shared weights, in place of ``nni.nas.strategy.RegularizedEvolution``.

    Args:
        population: members, of which the oldest dies with each child.
        tournament: members that compete to be a child's parent.
        warmup_epochs: epochs before evolution begins, in which architectures are drawn uniformly.
        observations: children scored after every epoch; by default as many rewards as ENAS measures.
        **shared: arguments of :class:`strategies.base.WeightSharingStrategy`.

    Raises ValueError for sizes out of range.
    """

    def __init__(
        self,
        *,
        population: int = 100,
        tournament: int = 25,
        warmup_epochs: int = 0,
        observations: int = 300,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        if not 1 <= tournament <= population:
            raise ValueError(f"tournament ({tournament}) is from 1 to the population ({population})")
        if observations < 1:
            raise ValueError(f"observations ({observations}) must be at least 1")
        self._sizes = {"size": population, "tournament": tournament, "observations": observations}
        self._warmup_epochs = warmup_epochs

    def make_sampler(self, mutables: Mapping[str, LabeledMutable]) -> Sampler:
        """Make the sampler of this space."""
        uniform = Uniform(mutables, observations=10)
        return WarmUp(uniform, Population(uniform, **self._sizes), self._warmup_epochs)
