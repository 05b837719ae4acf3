"""Local search climbs to a local optimum, remembers it, and starts anew."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from nni.mutable import Categorical, CategoricalMultiple, LabeledMutable, Sample

from strategies import LocalSearch
from strategies.local_search import Climber, other_options
from strategies.random_sampling import Uniform

CHOICES = {label: Categorical([0, 1, 2], label=label) for label in "abcd"}


def climber(observations: int) -> Climber:
    return Climber(Uniform(CHOICES, observations=1), observations)


def test_one_round_finds_the_best_option_of_each_decision_and_the_next_proves_it() -> None:
    search, generator = climber(observations=2 * 4 * 3), torch.Generator().manual_seed(0)
    told = search.learn(lambda sample: float(sum(sample.values())), generator)
    assert search.current == dict.fromkeys("abcd", 2) and told["reward_best"] == 8
    search.learn(lambda sample: float(sum(sample.values())), generator)
    assert search.optima[0] == dict.fromkeys("abcd", 2)
    assert len(search.optima) == len([one for one in search.optima if sum(one.values()) == 8]) >= 1


def test_proposals_are_neighbours_of_the_optima_and_of_what_it_climbs_from() -> None:
    search, generator = climber(observations=100), torch.Generator().manual_seed(0)
    search.learn(lambda sample: float(sample["a"] == sample["b"]), generator)
    starts = [*search.optima, search.current]
    assert search.optima

    def distance(one: Sample, other: Sample) -> int:
        return sum(one[label] != other[label] for label in one)

    drawn = search.draw(40, generator)
    assert all(min(distance(one, start) for start in starts if start) <= 1 for one in drawn)


def test_equal_rewards_change_nothing_and_what_was_is_measured_beside_the_others() -> None:
    search, generator = climber(observations=1), torch.Generator().manual_seed(0)
    [start] = search.uniform.draw(1, torch.Generator().manual_seed(0))
    measured: list[Sample] = []

    def reward(sample: Sample) -> float:
        measured.append(sample)
        return 0.5

    search.learn(reward, generator)
    assert search.current == measured[0] == start and len(measured) == 3


@pytest.mark.parametrize(
    ("mutable", "value", "others"),
    [
        (Categorical(["x", "y", "z"], label="one"), "y", ["x", "z"]),
        (CategoricalMultiple([0, 1, 2], n_chosen=1, label="input"), [1], [[0], [2]]),
        (CategoricalMultiple([0, 1, 2], n_chosen=2, label="two"), [0, 2], [[1, 2], [0, 1]]),
        (CategoricalMultiple([0, 1, 2], label="some"), [0], [[0, 1], [0, 2]]),
    ],
)
def test_a_subset_has_those_next_to_it_as_options_and_is_never_empty(
    mutable: LabeledMutable, value: Any, others: list[Any]
) -> None:
    assert other_options(mutable, value) == others


def test_impossible_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"observations \(0\)"):
        LocalSearch(observations=0)
