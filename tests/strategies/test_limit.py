"""Limits: the reward by hand, where it leads a search, and what is never exported."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from strategies import ENAS, Limit, base, ranking
from strategies.base import WeightSharingStrategy
from strategies.limit import LimitError
from strategies.module import WeightSharingModule
from strategies.scoring import Score
from strategies.testing.searches import search
from tests.helpers.small_searches import Epochs

Make = Callable[..., WeightSharingStrategy]


def large(sample: dict[str, Any]) -> int:
    """How many of an architecture's eight operations are separable 5x5 convolutions."""
    return sum(operation == "sep_conv_5x5" for operation in sample.values())


@pytest.mark.parametrize(("cost", "reward"), [(100, 0.8), (150, 0.75), (50, 0.75), (300, 0.6), (0, 0.7)])
def test_the_reward_is_tunas_absolute_one(cost: float, reward: float) -> None:
    assert Limit(large, most=100, weight=0.1).reward(0.8, cost) == pytest.approx(reward)


def test_without_weight_the_reward_is_the_score() -> None:
    assert Limit(large, most=1, weight=0).reward(0.8, 1e9) == 0.8


@pytest.mark.parametrize(
    "values", [{"most": 0}, {"most": float("nan")}, {"most": float("inf")}, {"most": 1, "weight": -1}]
)
def test_an_impossible_limit_is_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="is a number"):
        Limit(large, **values)


def test_among_equally_good_architectures_the_controller_comes_to_prefer_small_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def alike(self: WeightSharingModule, *_: Any) -> Score:
        return Score(0.5, "val_acc")

    monkeypatch.setattr(WeightSharingModule, "score", alike)

    def costs(weight: float) -> tuple[float, float]:
        """Return the mean cost of what is drawn at first, and in the last three epochs."""
        epochs = Epochs()
        learning = {"controller_updates": 10, "controller_learning_rate": 0.02}
        limit = Limit(large, most=0.5, weight=weight)
        search(ENAS(limit=limit, seed=3, final_samples=5, on_epoch=epochs, **learning), epochs=6)
        means = [metrics["cost"] for metrics in epochs]
        for metrics in epochs:  # the reward that the web UI plots is the one that is learned from
            assert metrics["reward"] <= limit.reward(0.5, metrics["cost"]) + 1e-6
        return means[0], sum(means[-3:]) / 3

    first, last = costs(weight=1.0)
    assert last < 0.85 * first
    first, last = costs(weight=0.0)
    assert last > 0.85 * first


def test_nothing_beyond_the_limit_comes_before_what_keeps_it(
    make_strategy: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranking, "ROUNDS", 1)  # so that too few keep it to fill the ranking
    ranked = search(make_strategy(limit=Limit(large, most=0.5), final_samples=25), epochs=1).candidates
    assert [one.cost for one in ranked] == [large(one.sample) for one in ranked]
    assert [one.feasible for one in ranked] == [one.cost == 0 for one in ranked]
    within, beyond = ([one.score for one in ranked if one.feasible == keeps] for keeps in (True, False))
    assert within and beyond and ranked[0].feasible and not ranked[-1].feasible
    assert within == sorted(within, reverse=True) and beyond == sorted(beyond, reverse=True)
    assert max(beyond) > min(within)  # cost, not score, has put them there


def test_the_ranking_looks_for_as_many_that_keep_the_limit_as_it_scores(make_strategy: Make) -> None:
    ranked = search(make_strategy(limit=Limit(large, most=1), final_samples=10), epochs=1).candidates
    assert len(ranked) == 10 and all(one.feasible for one in ranked)


def test_a_limit_out_of_reach_is_refused_before_training_with_the_smallest_cost(make_strategy: Make) -> None:
    epochs = Epochs()
    limit = Limit(lambda sample: 1000 + large(sample), most=999.5, what="weights")
    with pytest.raises(LimitError, match=r"limit is 999\.5 weights.*smallest of 200 .* has 1,000"):
        search(make_strategy(limit=limit, on_epoch=epochs))
    assert not epochs


def test_a_search_that_proposes_nothing_within_its_limit_says_so(make_strategy: Make) -> None:
    calls = 0

    def cost(sample: dict[str, Any]) -> float:
        nonlocal calls
        calls += 1
        return 1 if calls <= base.PROBED else 7  # all that is drawn before the search keeps the limit

    with pytest.raises(LimitError, match="proposes at its end has 7"):
        search(make_strategy(limit=Limit(cost, most=1)), epochs=1)


def test_a_limit_and_a_penalty_are_not_taken_together(make_strategy: Make) -> None:
    with pytest.raises(ValueError, match="give one of them"):
        make_strategy(limit=Limit(large, most=1), penalty={"profiler": None, "baseline": 1.0})
