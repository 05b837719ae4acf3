"""The arithmetic of a study's plan, and how it is cut down to the time."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from trials.studies.plan import (
    JOIN_SECONDS,
    REPORT_SECONDS,
    Cost,
    LeftOut,
    Plan,
    duration,
    make_plan,
    read_plan,
)

START_SECONDS = 10.0
COSTS = [Cost("hog", 2), Cost("cells7", 300), Cost("efficientnet_lite0", 100)]


def planned(hours: float, folds: int = 5, parts: int = 3, at_once: int = 2) -> Plan:
    return plan_of(COSTS, hours, folds, parts, at_once)


def plan_of(
    costs: Sequence[Cost], hours: float, folds: int = 5, parts: int = 3, at_once: int = 2, **given: Any
) -> Plan:
    given |= {"folds": folds, "most_parts": parts, "at_once": at_once, "hours": hours}
    return make_plan(costs, start_seconds=START_SECONDS, **given)


def test_a_plan_counts_trainings_what_joins_them_and_the_report() -> None:
    plan = planned(hours=10)
    assert plan.methods == ["cells7", "efficientnet_lite0", "hog"]  # the dearest first
    assert (plan.parts, plan.places, plan.all_trainings) == (3, 6, 3 * 18)
    assert plan.trials == 3 * 18 + 3 * 6 + 6 + 1
    trained = 18 * (402 + 3 * START_SECONDS)
    joined = 24 * (JOIN_SECONDS + START_SECONDS)
    assert plan.seconds == pytest.approx((trained + joined) / 2 + START_SECONDS + REPORT_SECONDS)
    assert plan.fits and not plan.left_out


def test_data_with_a_split_of_their_own_are_trained_in_one_place() -> None:
    plan = planned(hours=10, folds=1)
    assert (plan.places, plan.all_trainings, plan.trials) == (1, 3 * 3, 3 * 3 + 3 + 1 + 1)


def test_a_method_whose_seeds_change_nothing_is_planned_once() -> None:
    thrice = planned(hours=10, folds=1)
    plan = plan_of([replace(COSTS[0], once=True), *COSTS[1:]], 10, folds=1)
    assert [plan.trainings(cost) for cost in plan.costs] == [3, 3, 1] and plan.once == ["hog"]
    assert plan.trials == thrice.trials - 3  # two trainings, and what joins them
    assert plan.seconds < thrice.seconds - 2 * (2 + START_SECONDS) / 2
    assert "trained once, as seeds would change nothing: hog" in plan.text()
    assert read_plan(json.loads(json.dumps(plan.to_dict()))) == plan


def test_what_does_not_fit_costs_parts_first_and_then_the_dearest_method() -> None:
    whole, fewer = planned(hours=10).seconds / 3600, planned(hours=10, parts=2).seconds / 3600
    assert planned(hours=whole).parts == 3
    plan = planned(hours=whole - 0.01)
    assert (plan.parts, len(plan.methods)) == (2, 3)
    plan = planned(hours=fewer - 0.01)
    assert plan.methods == ["efficientnet_lite0", "hog"] and plan.parts == 3  # there is room for all parts
    assert [one.method for one in plan.left_out] == ["cells7"]
    assert "more --hours would keep it" in plan.text()


NETWORKS = [  # of 4,700 images in batches of 16
    Cost("cells7", 1210, epochs=40, steps=12_000, fewest_steps=1250, step_seconds=0.1),
    Cost("efficientnet_lite0", 1000, epochs=12, steps=3600, fewest_steps=380, step_seconds=0.25),
    Cost("hog", 20),
]


def planned_networks(hours: float, folds: int = 1) -> Plan:
    return plan_of(NETWORKS, hours, folds)


def test_networks_stop_earlier_before_any_is_left_out_the_longest_training_first() -> None:
    whole = planned_networks(hours=9)
    assert whole.max_steps is None and whole.settings == {}
    two_parts = plan_of(NETWORKS, 9, folds=1, parts=2)
    plan = planned_networks(hours=(two_parts.seconds - 1) / 3600)
    assert (plan.parts, plan.max_steps) == (2, 12_000 * 39 // 40) and not plan.left_out
    assert plan.settings == {"retrain.max_steps": 11_700}
    assert two_parts.seconds - plan.seconds == pytest.approx(2 * 30 / 2)  # of cells7 alone
    assert "39 of 40" in plan.text()


def test_a_network_is_left_out_where_its_fewest_steps_are_too_many() -> None:
    shortest = replace(planned_networks(hours=9), parts=2, max_steps=1500)  # 5 epochs; 4 would be too few
    plan = planned_networks(hours=(shortest.seconds + 1) / 3600)
    assert plan.max_steps == 1500 and not plan.left_out
    assert plan.methods == ["efficientnet_lite0", "cells7", "hog"]  # the dearest, as it is planned, first
    assert [line.split()[1:4] for line in plan.text().splitlines()[1:3]] == [
        ["5", "of", "12"],
        ["5", "of", "40"],
    ]
    plan = planned_networks(hours=(shortest.seconds - 1) / 3600)
    assert [one.method for one in plan.left_out] == ["efficientnet_lite0"] and plan.fits


def test_trainings_of_fewer_parts_learn_from_fewer_images_unless_the_split_is_the_datas_own() -> None:
    for folds, steps in ((1, 12_000), (5, 9000)):
        whole = planned_networks(hours=99, folds=folds)
        plan = planned_networks(hours=(whole.seconds - 1) / 3600, folds=folds)
        assert (plan.parts, plan.max_steps, plan.costs[0].steps) == (2, None, steps)
    cost = NETWORKS[0].of_images(0.75)
    assert (cost.steps, cost.fewest_steps) == (9000, 1250) and cost.seconds == pytest.approx(910)
    assert NETWORKS[0].of_images(1.0) == NETWORKS[0]


def test_the_final_model_learns_from_more_images_than_an_outer_folds() -> None:
    plan = plan_of(NETWORKS[:1], 99, folds=2)
    assert plan.trained(plan.costs[0]) == pytest.approx((1210 + 1210 + 2410) / 3 + START_SECONDS)
    capped = replace(plan, max_steps=12_000)
    assert capped.trained(plan.costs[0]) == pytest.approx(1210 + START_SECONDS)


def test_one_method_is_left_however_little_time_there_is_and_the_table_says_so() -> None:
    plan = planned(hours=0.001)
    assert plan.methods == ["hog"] and plan.parts == 2 and not plan.fits
    assert plan.trials == 6 * 3 + 1  # no ensemble of one
    assert "longer than asked" in plan.text()


def test_a_plan_is_read_as_it_was_written_and_its_table_names_all() -> None:
    plan = plan_of(COSTS, 9, left_out=[LeftOut("geometry", "no boxes")])
    assert read_plan(json.loads(json.dumps(plan.to_dict()))) == plan
    shorter = replace(plan, max_steps=7)
    assert read_plan(json.loads(json.dumps(shorter.to_dict()))) == shorter
    lines = plan.text().splitlines()
    assert lines[1].split() == ["cells7", "5", "min", "18", "93", "min"]
    assert "left out: geometry: no boxes" in lines and "2 at a time" in lines[-1]


@pytest.mark.parametrize(("seconds", "words"), [(12.4, "12 s"), (2040, "34 min"), (6300, "1 h 45 min")])
def test_durations_are_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words
