"""A search strategy in one file: regularized evolution over shared weights.

Source: Real et al., "Regularized Evolution for Image Classifier Architecture Search", AAAI 2019 (arXiv
1802.01548). The first population is random. After that an architecture is a child of the best of a few
members, with one decision drawn anew, and the oldest members make room for children.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import torch
from nni.mutable import LabeledMutable, Sample

from strategies.base import WeightSharingStrategy
from strategies.random_sampling import Uniform


class Population:
    """The sampler: `size` members, of which `tournament` compete to be the parent of a child."""

    def __init__(self, mutables: Mapping[str, LabeledMutable], size: int, tournament: int) -> None:
        self.uniform = Uniform(mutables, observations=1)
        self.size, self.tournament = size, tournament
        self.members: list[tuple[Sample, float]] = []  # oldest first, each with its reward

    def draw(self, count: int, generator: torch.Generator) -> list[Sample]:
        """Propose children; random architectures until there is a population."""
        random = self.uniform.draw(count, generator)
        return [self._child(one, generator) for one in random] if self.members else random

    def _child(self, random: Sample, generator: torch.Generator) -> Sample:
        competing = torch.randperm(len(self.members), generator=generator)[: self.tournament]
        parent, _ = max((self.members[index] for index in competing), key=lambda member: member[1])
        label = list(random)[int(torch.randint(len(random), (), generator=generator))]
        return {**parent, label: random[label]}

    def learn(self, reward: Callable[[Sample], float], generator: torch.Generator) -> dict[str, float]:
        """Replace the older half of the population by children."""
        children = self.draw(self.size if not self.members else -(-self.size // 2), generator)
        rewards = [reward(child) for child in children]
        self.members = [*self.members, *zip(children, rewards, strict=True)][-self.size :]
        return {"reward": sum(rewards) / len(rewards), "reward_best": max(rewards)}

    def state_dict(self) -> dict[str, Any]:
        """Return the population as text, since NNI's labels are strings of a class that is not plain."""
        return {"members": json.dumps(self.members)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the population."""
        self.members = [(sample, reward) for sample, reward in json.loads(state["members"])]


class Evolution(WeightSharingStrategy):
    """Regularized evolution; other arguments are those of `WeightSharingStrategy`."""

    def __init__(self, *, population: int = 20, tournament: int = 5, **shared: Any) -> None:
        super().__init__(**shared)
        if not 1 <= tournament <= population:
            raise ValueError(f"tournament ({tournament}) is from 1 to the population ({population})")
        self.population, self.tournament = population, tournament

    def make_sampler(self, mutables: Mapping[str, LabeledMutable]) -> Population:
        """Make the sampler of this space."""
        return Population(mutables, self.population, self.tournament)
