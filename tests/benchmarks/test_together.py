"""What seeds say together is compared with what each says, and with other methods, on the same images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.metrics import roc_auc_score

from benchmarks.together import Side, row, rows
from trials.evaluation.bootstrap import Interval
from trials.evaluation.power import smallest_found
from trials.runs.collection import BinaryPredictions

RANDOM = np.random.default_rng(0)
POSITIVE = np.arange(60) % 3 == 0


def said(seeds: int, strength: float) -> BinaryPredictions:
    """Log odds of so many seeds that know a little of the truth, and of their mean probability."""
    odds = RANDOM.normal(size=(seeds, 60)) + strength * POSITIVE
    files = np.array([f"{number}.png" for number in range(60)])
    plain = BinaryPredictions(
        "made", files, np.arange(60), np.zeros(60), POSITIVE, odds[0], np.zeros(60), None
    )
    each = tuple(replace(plain, log_odds=one) for one in odds)
    return replace(plain, log_odds=logit(expit(odds).mean(0)), seeds=each if seeds > 1 else ())


def test_each_pair_is_compared_alone_and_together() -> None:
    three, others, one = Side("a", said(3, 1)), Side("b", said(3, 2)), Side("c", said(1, 1))
    found = list(rows("test", [three, others, one]))
    assert [(line["first"], line["second"]) for line in found] == [
        ("a, 3 together", "a, 3 alone"),
        ("b, 3 together", "b, 3 alone"),
        ("a, 3 alone", "b, 3 alone"),
        ("a, 3 together", "b, 3 together"),
        ("a, 3 alone", "c, 1 alone"),
        ("b, 3 alone", "c, 1 alone"),
    ]
    each = [roc_auc_score(POSITIVE, seed.log_odds) for seed in three.said.each]
    joined = roc_auc_score(POSITIVE, three.said.log_odds)
    assert (found[0]["auc"], found[0]["other_auc"]) == pytest.approx((joined, np.mean(each)), abs=1e-4)
    assert found[0]["difference"] == pytest.approx(joined - np.mean(each), abs=1e-4)
    known = [line["low_of_seeds"] is not None for line in found]
    assert known == [False, False, True, False, False, False]  # one score has no spread
    gaps = np.array([roc_auc_score(POSITIVE, seed.log_odds) for seed in others.said.each])
    middle = (found[2]["low_of_seeds"] + found[2]["high_of_seeds"]) / 2
    assert middle == pytest.approx(np.mean(each) - gaps.mean(), abs=1e-4)


def test_other_images_are_refused() -> None:
    known = said(1, 1)
    with pytest.raises(ValueError, match="a and b: not of the same images in test"):
        row("test", Side("a", known), Side("b", replace(known, files=known.files[::-1])))


def test_the_smallest_difference_follows_from_the_interval() -> None:
    assert smallest_found(Interval(0.01, 0.01 - 1.96, 0.01 + 1.96)) == pytest.approx(1.96 + 0.8416, abs=1e-3)
