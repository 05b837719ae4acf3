"""Measures against cases worked by hand and the poster's own figures."""

import json
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from scipy.special import expit, logit, softmax

from trials.evaluation.metrics import (
    doubts,
    fit_temperature,
    mean_and_std,
    score,
    score_classes,
    youden_threshold,
)
from trials.evaluation.multiclass import class_aucs


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


CLASSES = ("benign", "malignant", "normal")


def test_scores_of_three_classes_worked_by_hand() -> None:
    # Benign called benign, malignant, benign; malignant called malignant; normal called benign.
    labels, called = [0, 0, 0, 1, 2], [0, 1, 0, 1, 0]
    logits = np.log([[0.7, 0.2, 0.1], [0.3, 0.6, 0.1], [0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.4, 0.3, 0.3]])
    scores = score_classes(labels, logits, called, CLASSES)
    assert (scores.n, scores.images) == (5, {"benign": 3, "malignant": 1, "normal": 1})
    assert scores.confusion == [[2, 1, 0], [0, 1, 0], [1, 0, 0]]
    assert scores.accuracy == 3 / 5
    assert scores.balanced_accuracy == pytest.approx((2 / 3 + 1 + 0) / 3)
    # By chance 3/5 * 3/5 + 1/5 * 2/5 + 1/5 * 0 = 11/25.
    assert scores.kappa == pytest.approx((3 / 5 - 11 / 25) / (1 - 11 / 25))
    # Benign 0.7 and 0.8 beat 0.2 and 0.4, 0.3 beats 0.2; malignant 0.7 beats all; normal 0.3 beats all.
    assert scores.auc_macro == pytest.approx((5 / 6 + 1 + 1) / 3)
    assert scores.per_class["benign"] == {
        **{"n": 3, "auc": pytest.approx(5 / 6), "sensitivity": pytest.approx(2 / 3), "specificity": 1 / 2},
        **{"ppv": pytest.approx(2 / 3), "f1": pytest.approx(2 * 2 / (3 + 3))},
    }
    assert scores.per_class["normal"]["ppv"] is None  # nothing is called normal
    found = scores.to_dict()
    assert "quadratic_kappa" not in found and "mean_absolute_error" not in found
    graded = score_classes(labels, logits, called, CLASSES, ordered=True).to_dict()
    assert set(graded) - set(found) == {"quadratic_kappa", "mean_absolute_error"}
    assert graded["mean_absolute_error"] == (1 + 2) / 5


def test_a_class_of_no_image_has_no_scores() -> None:
    scores = score_classes([0, 1, 1], np.eye(3)[[0, 1, 2]], [0, 1, 2], CLASSES, ordered=True)
    assert set(scores.per_class["normal"].values()) == {0, None} and scores.per_class["normal"]["n"] == 0
    assert (scores.auc_macro, scores.balanced_accuracy, scores.macro_f1) == (None, None, None)
    assert (scores.accuracy, scores.confusion) == (2 / 3, [[1, 0, 0], [0, 1, 1], [0, 0, 0]])
    # Benign 1; malignant 3 / 4, as its second image ties with the benign one; images count alike.
    assert scores.auc_weighted == pytest.approx((1 + 2 * 3 / 4) / 3)
    json.dumps(scores.to_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("labels", "logits", "called", "said"),
    [
        ([], np.empty((0, 3)), [], "no predictions"),
        ([0, 3], np.zeros((2, 3)), [0, 1], "numbers from 0 to 2, found 3"),
        ([0, 1], np.zeros((2, 3)), [0, -1], "numbers from 0 to 2, found -1"),
        ([0, 1], np.zeros((2, 2)), [0, 1], "3 logits for each of 2 images, found \\(2, 2\\)"),
        ([0, 1], np.zeros((2, 3)), [0], "and 1 calls"),
        ([0, 1], [[0, 1, np.inf], [0, 0, 0]], [0, 1], "1 of 6 scores"),
    ],
)
def test_what_cannot_be_scored_is_refused(
    labels: list[int], logits: np.ndarray, called: list[int], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        score_classes(labels, logits, called, CLASSES)


def drawn(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return labels that are drawn from the probabilities of these logits of three classes."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 1.5, (n, 3))
    return (random.random((n, 1)) > softmax(logits, axis=1).cumsum(1)).sum(1), logits


def test_temperature_of_three_classes_gives_back_by_what_logits_were_multiplied() -> None:
    labels, logits = drawn(20_000)
    for sharpened in (0.5, 1, 4, 500):
        assert fit_temperature(labels, sharpened * logits) == pytest.approx(sharpened, rel=0.05)
    assert fit_temperature([0, 1, 2], 16 * np.eye(3)) == pytest.approx(0.05, rel=0.01)


def test_temperature_of_two_columns_is_that_of_their_log_odds() -> None:
    odds = np.random.default_rng(3).normal(size=50)
    positive = odds + np.random.default_rng(4).normal(size=50) > 0
    known = fit_temperature(positive, odds)
    assert fit_temperature(positive.astype(int), np.column_stack([np.zeros(50), odds])) == known
    assert fit_temperature((~positive).astype(int), np.column_stack([odds, np.zeros(50)])) == known


def test_three_classes_that_are_told_apart_raise_no_doubts() -> None:
    labels, logits = drawn(200)
    assert doubts(labels, logits) == []
    assert doubts([2, 2, 2], logits[:3]) == []  # of one class nothing can be said


def test_constant_answers_of_three_classes_are_doubted() -> None:
    labels, logits = drawn(200)
    (doubt,) = doubts(labels, 1e-4 * logits + [0, 0, np.log(2)])
    assert doubt.startswith(
        "the model answers alike, 0.250 to 0.250, 0.250 to 0.250, 0.500 to 0.500, whatever"
    )
    sure = np.array([100.0, 0, 0]) + 0.5 * logits  # probabilities of 1, whose log odds still differ
    assert doubts(labels, sure) == []


def test_chance_among_three_classes_is_found_as_often_as_said() -> None:
    random = np.random.default_rng(5)
    told = [doubts(np.arange(40) % 3, random.normal(size=(40, 3))) for _ in range(100)]
    assert 88 <= sum(map(len, told)) <= 99  # 95 expected
    (doubt,) = doubts([0, 1, 2] * 20, np.arange(180).reshape(60, 3) % 7)
    assert "no better than chance on its 60 validation images: macro AUC 0." in doubt
    assert doubts([0, 1, 2] * 20, np.arange(180).reshape(60, 3) % 7) == [doubt]


def test_doubts_of_classes_are_of_those_that_have_images() -> None:
    labels, logits = drawn(60)
    labels = np.where(labels == 1, 0, labels)
    (doubt,) = doubts(labels, -logits)
    areas = class_aucs(labels, -logits)(np.ones((1, 60)))[0, [0, 2]]
    assert f"macro AUC {areas.mean():.3f}" in doubt


def test_two_columns_raise_the_doubts_of_two_classes() -> None:
    odds = np.random.default_rng(3).normal(size=50)
    truth = np.arange(50) % 2
    assert doubts(truth, np.column_stack([np.zeros(50), odds])) == doubts(truth, odds)


@pytest.mark.parametrize("make", [partial(score, threshold=0.5), youden_threshold, fit_temperature, doubts])
def test_nothing_is_made_of_a_score_that_is_no_number(make: Callable[..., object]) -> None:
    with pytest.raises(ValueError, match="1 of 4 scores"):
        make([0, 1, 0, 1], [0.1, float("nan"), 0.2, 0.9])
