"""Local search over shared weights: a control for a controller that learns, and the simplest that climbs.

Sources: den Ottelander et al., "Local Search is a Remarkably Strong Baseline for Neural Architecture Search",
EMO 2021 (arXiv 2004.08996); White et al., "Exploring the Loss Landscape in Neural Architecture Search", UAI
2021 (arXiv 2005.02960). One decision after the other, in random order, takes its best option, until a round
over all of them changes nothing. Then the next search starts from another random architecture.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import torch
from nni.mutable import Categorical, CategoricalMultiple, LabeledMutable, Sample

from strategies.base import WeightSharingStrategy
from strategies.random_sampling import Uniform
from strategies.sampler import Sampler
from strategies.warm_up import WarmUp


def other_options(mutable: LabeledMutable, value: Any) -> list[Any]:
    """Return the options next to `value`: of a subset those with one element exchanged, added or removed."""
    if isinstance(mutable, Categorical):
        return [option for option in mutable.values if option != value]
    assert isinstance(mutable, CategoricalMultiple)
    chosen, others = set(value), [option for option in mutable.values if option not in value]
    if mutable.n_chosen is None:
        subsets = [chosen ^ {option} for option in mutable.values]
    else:
        subsets = [chosen - {old} | {new} for old in value for new in others]
    return [[option for option in mutable.values if option in subset] for subset in subsets if subset]


class Climber:
    """The sampler: it proposes what it climbs from, and the local optima, each with a decision drawn anew."""

    def __init__(self, uniform: Uniform, observations: int) -> None:
        self.uniform, self.observations = uniform, observations
        self.current: Sample | None = None
        self.undecided: list[str] = []  # of this round
        self.moved = False  # in this round
        self.optima: list[Sample] = []

    def draw(self, count: int, generator: torch.Generator) -> list[Sample]:
        """Propose neighbours; random architectures before the first step."""
        if self.current is None:
            return self.uniform.draw(count, generator)
        starts = [*self.optima, self.current]
        drawn = torch.randint(len(starts), (count,), generator=generator).tolist()
        return [self.uniform.mutate(starts[index], generator) for index in drawn]

    def learn(self, reward: Callable[[Sample], float], generator: torch.Generator) -> dict[str, float]:
        """Decide until so many rewards are measured; the last decision may need a few more."""
        rewards: list[float] = []
        while len(rewards) < self.observations:
            rewards += self.step(reward, generator)
        mean = sum(rewards) / len(rewards)
        return {"reward": mean, "reward_best": max(rewards), "optima": float(len(self.optima))}

    def step(self, reward: Callable[[Sample], float], generator: torch.Generator) -> list[float]:
        """Give the next decision its best option; return the rewards of all, first of what it was.

        What it was is measured again, because an earlier reward is of other images and other weights. Only a
        higher reward changes it.
        """
        current, label = self._next(generator)
        others = other_options(self.uniform.mutables[label], current[label])
        options = [current, *({**current, label: option} for option in others)]
        rewards = [reward(option) for option in options]
        best = rewards.index(max(rewards))
        self.current, self.moved = options[best], self.moved or best > 0
        return rewards

    def _next(self, generator: torch.Generator) -> tuple[Sample, str]:
        """Return the architecture and its decision to be taken; begin a round, or a search, where due."""
        if self.current is not None and not self.undecided and not self.moved:
            self.optima.append(self.current)
            self.current = None
        current = self.current or self.uniform.draw(1, generator)[0]
        if not self.undecided:
            labels = list(current)
            self.undecided = [labels[i] for i in torch.randperm(len(labels), generator=generator)]
            self.moved = False
        return current, self.undecided.pop()

    def state_dict(self) -> dict[str, Any]:
        """Return the search as text, since NNI's labels are strings of a class that is not plain."""
        return {"search": json.dumps([self.current, self.undecided, self.moved, self.optima])}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the search."""
        self.current, self.undecided, self.moved, self.optima = json.loads(state["search"])


class LocalSearch(WeightSharingStrategy):
    """Local search with shared weights.

    Args:
        warmup_epochs: epochs before the search begins, in which architectures are drawn uniformly.
        observations: rewards measured after every epoch, at least; by default as many as ENAS measures.
        **shared: arguments of :class:`strategies.base.WeightSharingStrategy`.

    Raises ValueError for `observations` below 1.
    """

    def __init__(self, *, warmup_epochs: int = 0, observations: int = 300, **shared: Any) -> None:
        super().__init__(**shared)
        if observations < 1:
            raise ValueError(f"observations ({observations}) must be at least 1")
        self._warmup_epochs, self._observations = warmup_epochs, observations

    def make_sampler(self, mutables: Mapping[str, LabeledMutable]) -> Sampler:
        """Make the sampler of this space."""
        uniform = Uniform(mutables, observations=10)
        return WarmUp(uniform, Climber(uniform, self._observations), self._warmup_epochs)
