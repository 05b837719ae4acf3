"""Logits of any number of classes, and by which rule an image is called one of them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit

from trials.errors import EvaluationError
from trials.evaluation.decisions import (
    Decision,
    behind_one_another,
    canonical,
    log_odds_of,
    mean_logits,
    of_two,
    probabilities,
    together,
)
from trials.evaluation.metrics import sensitivity_threshold

THREE = np.log([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7], [0.3, 0.4, 0.3]])


def test_two_classes_keep_their_log_odds_to_the_last_digit() -> None:
    odds = np.array([50.123456789, -3.3e-17, 0.1])
    for positive in (0, 1):
        kept = canonical(of_two(odds, positive) + 7.5 * 0, positive)
        assert log_odds_of(kept, positive).tolist() == odds.tolist()
        assert probabilities(kept)[:, positive].tolist() == expit(odds).tolist()
    with pytest.raises(ValueError, match="one is positive"):
        canonical(np.zeros((1, 2)), None)


def test_more_classes_are_kept_as_log_probabilities() -> None:
    assert canonical(THREE + 4.0, None) == pytest.approx(THREE)
    # 0.5 against 0.3 + 0.2
    assert log_odds_of(THREE, 0)[0] == pytest.approx(0.0, abs=1e-12)
    assert probabilities(THREE, 1.0) == pytest.approx(np.exp(THREE))
    # At temperature 2 shares go by their roots: 0.1, 0.2, 0.7.
    roots = np.sqrt([0.1, 0.2, 0.7])
    assert probabilities(THREE, [1, 2, 1])[1] == pytest.approx(roots / roots.sum())


def test_equal_probabilities_are_equal_whatever_the_others_are() -> None:
    logits = np.log([[0.2, 0.5, 0.3], [0.2, 0.2, 0.6], [0.2, 0.79, 0.01], [0.21, 0.2, 0.59]])
    odds = log_odds_of(logits, 0)
    assert odds[0] == odds[1] == odds[2] < odds[3]


def test_the_mean_of_models_is_that_of_their_probabilities() -> None:
    mean = mean_logits([THREE, np.log([[0.1, 0.1, 0.8]] * 3)], None)
    assert np.exp(mean[0]) == pytest.approx([0.3, 0.2, 0.5])


def test_the_likeliest_class_is_called() -> None:
    decision = Decision()
    assert decision.call(THREE).tolist() == [0, 2, 1]
    assert np.argsort(-decision.certainty(THREE)).tolist() == [1, 0, 2]


def test_a_threshold_of_one_class_goes_before_the_likeliest_of_the_others() -> None:
    decision = Decision(first=2, cutoff=float(logit(0.25)))
    assert decision.call(THREE).tolist() == [0, 2, 2]  # 0.2 is below, 0.7 and 0.3 are above
    assert Decision(first=2, cutoff=float(logit(0.9))).call(THREE).tolist() == [0, 1, 1]


def test_costs_move_calls_towards_what_must_not_be_missed() -> None:
    costs = np.ones((3, 3)) - np.eye(3)
    assert Decision(costs=costs).call(THREE).tolist() == [0, 2, 1]
    costs[2, :2] = 5  # to miss class 2
    # Image 0: calling 0 costs 0.3 + 5 * 0.2 = 1.3, calling 1 costs 0.5 + 1, calling 2 costs 0.8.
    assert Decision(costs=costs).call(THREE).tolist() == [2, 2, 2]


def test_a_class_against_the_rest_is_called_as_among_all() -> None:
    costs = np.ones((3, 3)) - np.eye(3)
    for decision in (Decision(), Decision(1, -0.5), Decision(costs=costs, temperature=2.0)):
        for index in range(3):
            against = log_odds_of(THREE, index) >= decision.cutoff_of(THREE, index)
            assert against.tolist() == (decision.call(THREE) == index).tolist()


def test_decisions_of_folds_and_of_models_are_joined() -> None:
    folds = behind_one_another([Decision(1, 0.5), Decision(1, -0.5)], [1, 2])
    assert np.asarray(folds.cutoff).tolist() == [0.5, -0.5, -0.5]
    assert np.asarray(folds.at(np.array([2, 0])).cutoff).tolist() == [-0.5, 0.5]
    models = together([Decision(1, float(logit(0.2)), temperature=1.0), Decision(1, float(logit(0.6)))])
    assert expit(models.cutoff) == pytest.approx(0.4)


@pytest.mark.parametrize(
    "other", [Decision(), Decision(0, 0.5), Decision(costs=1 - np.eye(3)), Decision(1, 0.5, np.eye(3))]
)
def test_models_of_different_rules_do_not_decide_together(other: Decision) -> None:
    for join in (together, lambda decisions: behind_one_another(decisions, [1, 1])):
        with pytest.raises(EvaluationError, match="different rules"):
            join([Decision(1, 0.5), other])
    same = [Decision(costs=1 - np.eye(3), temperature=1.0), Decision(costs=1 - np.eye(3), temperature=3.0)]
    assert together(same).temperature == 2.0


def test_the_threshold_of_a_sensitivity_finds_that_share_and_no_more_than_it_must() -> None:
    positive, odds = [1, 1, 1, 1, 0, 0], [3.0, 2.0, 1.0, -1.0, 0.0, -2.0]
    cutoff = sensitivity_threshold(positive, odds, 0.75)
    assert 0.0 < cutoff < 1.0  # three of four are found, the negative at 0 is not
    assert -2 < sensitivity_threshold(positive, odds, 0.76) < -1
    assert sensitivity_threshold([1, 1], [1.0, 2.0], 1.0) == 1.0  # nothing lies below
    with pytest.raises(ValueError, match="positive images"):
        sensitivity_threshold([0], [1.0], 0.9)
