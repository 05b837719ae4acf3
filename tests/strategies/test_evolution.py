"""Evolution prefers what is rewarded, forgets the oldest, and repeats the paper's sizes."""

from __future__ import annotations

import pytest
import torch
from nni.mutable import Categorical, Sample

from strategies import RegularizedEvolution
from strategies.evolution import Population
from strategies.random_sampling import Uniform

CHOICES = {label: Categorical(["good", "bad"], label=label) for label in "abcdef"}


def merit(sample: Sample) -> float:
    return list(sample.values()).count("good")


def test_rewarded_architectures_have_more_children() -> None:
    sampler = RegularizedEvolution(population=20, tournament=5, observations=10).make_sampler(CHOICES)
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        last = sampler.learn(merit, generator)
    assert last["reward"] > 5  # random architectures have 3


def test_the_oldest_member_dies_however_good_it_is() -> None:
    population = Population(Uniform(CHOICES, observations=1), size=4, tournament=2, observations=4)
    generator = torch.Generator().manual_seed(0)
    population.learn(lambda _: 1.0, generator)
    population.learn(lambda _: 0.0, generator)
    assert [reward for _, reward in population.members] == [0.0] * 4


def test_a_child_differs_from_its_parent_in_one_decision_at_most() -> None:
    population = Population(Uniform(CHOICES, observations=1), size=1, tournament=1, observations=1)
    generator = torch.Generator().manual_seed(0)
    population.learn(merit, generator)
    [(parent, _)] = population.members
    differing = [
        sum(child[label] != parent[label] for label in CHOICES) for child in population.draw(30, generator)
    ]
    assert set(differing) == {0, 1}


def test_impossible_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"tournament \(7\)"):
        RegularizedEvolution(population=6, tournament=7)
    with pytest.raises(ValueError, match=r"observations \(0\)"):
        RegularizedEvolution(observations=0)
