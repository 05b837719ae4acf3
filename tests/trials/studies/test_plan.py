"""The arithmetic of a study's plan, and how it is cut down to the time."""

import json

import pytest

from trials.studies.plan import (
    JOIN_SECONDS,
    REPORT_SECONDS,
    START_SECONDS,
    Cost,
    LeftOut,
    Plan,
    duration,
    make_plan,
    read_plan,
)

COSTS = [Cost("hog", 2), Cost("cells7", 300), Cost("efficientnet_lite0", 100)]


def planned(hours: float, folds: int = 5, parts: int = 3, at_once: int = 2) -> Plan:
    return make_plan(COSTS, folds=folds, most_parts=parts, at_once=at_once, hours=hours)


def test_a_plan_counts_trainings_what_joins_them_and_the_report() -> None:
    plan = planned(hours=10)
    assert plan.methods == ["cells7", "efficientnet_lite0", "hog"]  # the dearest first
    assert (plan.parts, plan.places, plan.trainings) == (3, 6, 18)
    assert plan.trials == 3 * 18 + 3 * 6 + 6 + 1
    trained = 18 * (402 + 3 * START_SECONDS)
    joined = 24 * (JOIN_SECONDS + START_SECONDS)
    assert plan.seconds == pytest.approx((trained + joined) / 2 + START_SECONDS + REPORT_SECONDS)
    assert plan.fits and not plan.left_out


def test_data_with_a_split_of_their_own_are_trained_in_one_place() -> None:
    plan = planned(hours=10, folds=1)
    assert (plan.places, plan.trainings, plan.trials) == (1, 3, 3 * 3 + 3 + 1 + 1)


def test_what_does_not_fit_costs_parts_first_and_then_the_dearest_method() -> None:
    whole, fewer = planned(hours=10).seconds / 3600, planned(hours=10, parts=2).seconds / 3600
    assert planned(hours=whole).parts == 3
    plan = planned(hours=whole - 0.01)
    assert (plan.parts, len(plan.methods)) == (2, 3)
    plan = planned(hours=fewer - 0.01)
    assert plan.methods == ["efficientnet_lite0", "hog"] and plan.parts == 3  # there is room for all parts
    assert [one.method for one in plan.left_out] == ["cells7"]
    assert "more --hours would keep it" in plan.text()


def test_one_method_is_left_however_little_time_there_is_and_the_table_says_so() -> None:
    plan = planned(hours=0.001)
    assert plan.methods == ["hog"] and plan.parts == 2 and not plan.fits
    assert plan.trials == 6 * 3 + 1  # no ensemble of one
    assert "longer than asked" in plan.text()


def test_a_plan_is_read_as_it_was_written_and_its_table_names_all() -> None:
    plan = make_plan(
        COSTS, folds=5, most_parts=3, at_once=2, hours=9, left_out=[LeftOut("geometry", "no boxes")]
    )
    assert read_plan(json.loads(json.dumps(plan.to_dict()))) == plan
    lines = plan.text().splitlines()
    assert lines[1].split() == ["cells7", "5", "min", "18", "93", "min"]
    assert "left out: geometry: no boxes" in lines and "2 at a time" in lines[-1]


@pytest.mark.parametrize(("seconds", "words"), [(12.4, "12 s"), (2040, "34 min"), (6300, "1 h 45 min")])
def test_durations_are_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words
