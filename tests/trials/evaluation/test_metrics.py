"""Measures against cases worked by hand and the poster's own figures."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from scipy.special import expit, logit

from trials.evaluation.metrics import doubts, fit_temperature, mean_and_std, score, youden_threshold


def test_measures_of_a_case_worked_by_hand() -> None:
    # positives 0.9 0.8 0.4 0.3, negatives 0.7 0.35 0.2 0.1; at 0.5: TP 2, FN 2, FP 1, TN 3
    truth = [True, True, True, True, False, False, False, False]
    scores = score(truth, [0.9, 0.8, 0.4, 0.3, 0.7, 0.35, 0.2, 0.1], 0.5)
    assert (scores.tpr, scores.tnr, scores.precision, scores.accuracy) == (2 / 4, 3 / 4, 2 / 3, 5 / 8)
    # pairs won by the positive: 4 + 4 + 3 + 2 of 16
    assert scores.auc == pytest.approx(13 / 16)


@pytest.mark.parametrize(
    ("true_positives", "true_negatives", "tnr", "tpr", "precision", "accuracy"),
    [(241, 227, 0.867, 0.920, 0.875, 0.893), (227, 238, 0.909, 0.867, 0.910, 0.888)],  # ENAS-17, ENAS-7
)
def test_measures_agree_with_the_posters_table(
    true_positives: int, true_negatives: int, tnr: float, tpr: float, precision: float, accuracy: float
) -> None:
    """262 images a class; the poster's figures look averaged over folds, hence the tolerance."""
    truth = np.repeat([True, False], 262)
    called = np.concatenate([np.arange(262) < true_positives, np.arange(262) >= true_negatives])
    scores = score(truth, called.astype(float), 0.5)
    measured = (scores.tnr, scores.tpr, scores.precision, scores.accuracy)
    assert measured == pytest.approx((tnr, tpr, precision, accuracy), abs=0.006)


def test_threshold_itself_counts_as_positive() -> None:
    assert score([True, False], [0.5, 0.4], 0.5).accuracy == 1


def test_each_image_may_have_its_own_threshold() -> None:
    assert score([True, False], [0.3, 0.6], [0.2, 0.7]).accuracy == 1


def test_what_a_split_cannot_define_is_none() -> None:
    nothing_called = score([True, False], [0.1, 0.2], 0.5)
    assert nothing_called.precision is None
    one_class = score([False, False], [0.1, 0.9], 0.5)
    assert (one_class.tpr, one_class.auc, one_class.tnr) == (None, None, 0.5)


def test_no_predictions_are_refused() -> None:
    with pytest.raises(ValueError, match="no predictions"):
        score([], [], 0.5)


def test_youden_threshold_of_a_case_worked_by_hand() -> None:
    # between 0.4 and 0.6: sensitivity 2/3, specificity 1; between 0.2 and 0.3: 1 and 1/3
    truth, scores = [True, True, True, False, False, False], [0.9, 0.6, 0.3, 0.4, 0.35, 0.2]
    assert expit(youden_threshold(truth, logit(scores))) == pytest.approx(0.5)


def test_youden_threshold_takes_the_one_nearest_to_a_half_among_equals() -> None:
    # both below 0.8 and below 0.2 leave one mistake
    truth, scores = [True, False, True, False], [0.9, 0.7, 0.3, 0.1]
    assert expit(youden_threshold(truth, logit(scores))) in (pytest.approx(0.2), pytest.approx(0.8))
    threshold = youden_threshold([True, False, True, False], logit([0.9, 0.7, 0.45, 0.1]))
    assert expit(threshold) == pytest.approx(0.275)


def test_youden_threshold_tells_apart_what_are_equal_probabilities() -> None:
    odds = [757.0, 720.0, 700.0, 690.0]
    assert set(expit(odds)) == {1.0}
    threshold = youden_threshold([True, True, False, False], odds)
    assert 700 < threshold <= 720
    assert score([True, True, False, False], odds, threshold).accuracy == 1


def test_youden_threshold_of_equal_scores_is_a_half() -> None:
    assert youden_threshold([True, False], [-1.3, -1.3]) == 0


def test_youden_threshold_needs_both_classes() -> None:
    with pytest.raises(ValueError, match="both classes"):
        youden_threshold([True, True], [0.1, 0.2])


def test_spread_is_the_sample_standard_deviation_of_what_is_defined() -> None:
    assert mean_and_std([1.0, None, 3.0]) == {"mean": 2.0, "sd": pytest.approx(2**0.5)}
    assert mean_and_std([1.0]) == {"mean": 1.0, "sd": None}
    assert mean_and_std([None]) == {"mean": None, "sd": None}


def test_temperature_gives_back_by_what_log_odds_were_multiplied() -> None:
    generator = np.random.default_rng(0)
    odds = generator.normal(0, 1.5, 20_000)
    positive = generator.random(20_000) < 1 / (1 + np.exp(-odds))
    for sharpened in (0.5, 1, 4):
        assert fit_temperature(positive, sharpened * odds) == pytest.approx(sharpened, rel=0.05)


def test_temperature_of_log_odds_beyond_what_probabilities_tell_apart() -> None:
    """The exported model divides log odds as they are: that of cut ones would not fit them."""
    generator = np.random.default_rng(0)
    odds = generator.normal(0, 1.5, 20_000)
    positive = generator.random(20_000) < expit(odds)
    assert fit_temperature(positive, 500 * odds) == pytest.approx(500, rel=0.05)


def test_temperature_stays_finite_where_nothing_is_mistaken() -> None:
    assert fit_temperature([True, False], [16.0, -16.0]) == pytest.approx(0.05, rel=0.01)
    assert fit_temperature([True, False], [-16.0, 16.0]) == pytest.approx(20, rel=0.01)
    assert fit_temperature([True, False], [-700.0, 700.0]) == pytest.approx(700, rel=0.01)


@pytest.mark.parametrize("make", [partial(score, threshold=0.5), youden_threshold, fit_temperature, doubts])
def test_nothing_is_made_of_a_score_that_is_no_number(make: Callable[..., object]) -> None:
    with pytest.raises(ValueError, match="1 of 4 scores"):
        make([0, 1, 0, 1], [0.1, float("nan"), 0.2, 0.9])
