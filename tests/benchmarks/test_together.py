"""What seeds say together is compared with what each says, and with other methods, on the same images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from benchmarks.together import Side, methods_of, row, rows, side
from trials.evaluation.bootstrap import Interval
from trials.evaluation.power import smallest_found
from trials.runs.collection import BinaryPredictions

RANDOM = np.random.default_rng(0)
POSITIVE = np.arange(60) % 3 == 0
IMAGES = BinaryPredictions(
    "made",
    np.array([f"{number}.png" for number in range(60)]),
    np.arange(60),
    np.zeros(60),
    POSITIVE,
    np.zeros(60),
    np.zeros(60),
    None,
)


def said(name: str, seeds: int, strength: float) -> Side:
    """A method whose seeds each know a little of the truth."""
    return Side(name, IMAGES, RANDOM.normal(size=(seeds, 60)) + strength * POSITIVE)


def test_each_pair_is_compared_alone_and_together() -> None:
    three, others, one = said("a", 3, 1), said("b", 3, 2), said("c", 1, 1)
    found = list(rows("test", [three, others, one]))
    assert [(line["first"], line["second"]) for line in found] == [
        ("a, 3 together", "a, 3 alone"),
        ("b, 3 together", "b, 3 alone"),
        ("a, 3 alone", "b, 3 alone"),
        ("a, 3 together", "b, 3 together"),
        ("a, 3 alone", "c, 1 alone"),
        ("b, 3 alone", "c, 1 alone"),
    ]
    each = [roc_auc_score(POSITIVE, scores) for scores in three.scores]
    joined = roc_auc_score(POSITIVE, expit(three.scores).mean(0))
    assert (found[0]["auc"], found[0]["other_auc"]) == pytest.approx((joined, np.mean(each)), abs=1e-4)
    assert found[0]["difference"] == pytest.approx(joined - np.mean(each), abs=1e-4)
    known = [line["low_of_seeds"] is not None for line in found]
    assert known == [False, False, True, False, False, False]  # one score has no spread
    other_each = [roc_auc_score(POSITIVE, scores) for scores in others.scores]
    middle = (found[2]["low_of_seeds"] + found[2]["high_of_seeds"]) / 2
    assert middle == pytest.approx(np.mean(each) - np.mean(other_each), abs=1e-4)
    only = list(rows("test", [three, others, one], reference="c"))
    assert only == [*found[:2], *found[4:]]


def test_other_images_are_refused() -> None:
    known = said("a", 1, 1)
    other = replace(known, method="b", images=replace(IMAGES, files=IMAGES.files[::-1]))
    with pytest.raises(ValueError, match="a and b: not of the same images in test"):
        row("test", known, other)


def test_joined_methods_are_their_mean_probability_of_the_seeds_that_all_have() -> None:
    results = Path(__file__).parents[2] / "results" / "busbra"
    found = methods_of([results], None)
    one, other, joined = (side(name, found, False) for name in ("cells7", "enas7", "cells7+enas7"))
    assert one and other and joined and (one.seeds, other.seeds, joined.seeds) == (3, 1, 1)
    expected = (expit(one.scores[0]) + expit(other.scores[0])) / 2
    assert expit(joined.scores[0]) == pytest.approx(expected)


def test_the_same_methods_of_other_runs_have_names_of_their_own() -> None:
    results = Path(__file__).parents[2] / "results"
    found = methods_of([results / "busi"], results / "busbra")
    assert found["other:cells7"].seeds == [0, 1, 2] and found["other:cells7"] is not found["cells7"]
    same = methods_of([results / "busbra"], results / "busbra")
    sides = [one for name in ("cells7", "other:cells7") if (one := side(name, same, False))]
    assert [line["difference"] for line in rows("test", sides)][2:] == [0, 0]


def test_the_smallest_difference_follows_from_the_interval() -> None:
    assert smallest_found(Interval(0.01, 0.01 - 1.96, 0.01 + 1.96)) == pytest.approx(1.96 + 0.8416, abs=1e-3)
