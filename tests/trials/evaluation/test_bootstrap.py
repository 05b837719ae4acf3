"""Measures in weighted draws agree with scikit-learn's; groups are drawn whole."""

import numpy as np
import pytest
from scipy.special import logit
from scipy.stats import spearmanr
from sklearn import metrics
from sklearn.metrics import (
    balanced_accuracy_score,
    brier_score_loss,
    cohen_kappa_score,
    f1_score,
    matthews_corrcoef,
    precision_score,
    roc_auc_score,
)

from trials.evaluation.bootstrap import GroupBootstrap, Interval, difference, mean_of, percentile_interval
from trials.evaluation.measures import (
    Calls,
    Roc,
    accuracy_of_decided,
    auc,
    brier,
    decision,
    log_loss,
    spearman,
    stratified_auc,
)

ONCE = np.ones((1, 8))
TRUTH = np.array([1, 1, 1, 0, 0, 0, 0, 0], dtype=bool)
SCORES = np.array([0.9, 0.6, 0.3, 0.6, 0.4, 0.2, 0.2, 0.1])


def test_auc_counts_pairs_in_order_and_ties_half() -> None:
    # 0.9 beats 5 of 5; 0.6 beats 4 and ties 1; 0.3 beats 3: (5 + 4.5 + 3) of 15 pairs.
    assert auc(TRUTH, SCORES)(ONCE)[0] == pytest.approx(12.5 / 15)


def test_auc_of_ratings_by_hanley_and_mcneil() -> None:
    # Radiology 143, 1982, table 1: CT images of 58 normal and 51 abnormal patients, rated 1 to 5; 0.893.
    normal, abnormal = (33, 6, 6, 11, 2), (3, 2, 2, 11, 33)
    truth = np.repeat([False, True], [58, 51])
    ratings = np.concatenate([np.repeat(np.arange(1, 6), normal), np.repeat(np.arange(1, 6), abnormal)])
    assert auc(truth, ratings)(np.ones((1, 109)))[0] == pytest.approx(0.893, abs=5e-4)


def test_weights_mean_repetition_as_scikit_learn_has_it() -> None:
    random = np.random.default_rng(0)
    weights = random.integers(0, 4, size=(5, 8)).astype(float)
    weights[:, [0, 3]] += 1  # both classes
    called = SCORES >= 0.35
    named = {
        "mcc": matthews_corrcoef,
        "balanced_accuracy": balanced_accuracy_score,
        "precision": precision_score,
        "f1": f1_score,
        "kappa": cohen_kappa_score,
    }
    for row in weights:
        given = row[None]
        assert auc(TRUTH, SCORES)(given)[0] == pytest.approx(roc_auc_score(TRUTH, SCORES, sample_weight=row))
        assert brier(TRUTH, SCORES)(given)[0] == pytest.approx(
            brier_score_loss(TRUTH, SCORES, sample_weight=row)
        )
        assert log_loss(TRUTH, logit(SCORES))(given)[0] == pytest.approx(
            metrics.log_loss(TRUTH, SCORES, sample_weight=row)
        )
        for name, reference in named.items():
            expected = reference(TRUTH, called, sample_weight=row)
            assert decision(name, TRUTH, called)(given)[0] == pytest.approx(expected), name
        repeated = np.repeat(np.arange(8), row.astype(int))
        expected = spearmanr(SCORES[repeated], repeated % 3).statistic
        assert spearman(SCORES, np.arange(8) % 3)(given)[0] == pytest.approx(expected)


def test_decisions_of_a_table_worked_by_hand() -> None:
    called = SCORES >= 0.35  # TP 2, FN 1, FP 2, TN 3
    expected = {"accuracy": 5 / 8, "tpr": 2 / 3, "tnr": 3 / 5, "precision": 2 / 4}
    expected["mcc"] = (2 * 3 - 2 * 1) / (4 * 3 * 5 * 4) ** 0.5
    expected["f1"] = 2 * 2 / (2 * 2 + 1 + 2)
    by_chance = (3 * 4 + 5 * 4) / 8**2  # three positive and four called, five negative and four not called
    expected["kappa"] = (5 / 8 - by_chance) / (1 - by_chance)
    for name, value in expected.items():
        assert decision(name, TRUTH, called)(ONCE)[0] == pytest.approx(value), name


def test_precision_of_nothing_called_is_undefined() -> None:
    assert np.isnan(decision("precision", TRUTH, SCORES > 1)(ONCE)[0])


def test_sensitivity_at_a_specificity_and_the_reverse() -> None:
    # From 0.6 up one of five negatives is called (specificity 0.8) and two of three positives; above 0.6
    # none, and one positive. From 0.3 up all positives and two negatives.
    roc = Roc(TRUTH, SCORES)
    assert roc.sensitivity_at(0.8)(ONCE)[0] == pytest.approx(2 / 3)
    assert roc.sensitivity_at(0.9)(ONCE)[0] == pytest.approx(1 / 3)
    assert roc.specificity_at(0.9)(ONCE)[0] == pytest.approx(3 / 5)
    assert roc.specificity_at(0.6)(ONCE)[0] == pytest.approx(4 / 5)


def test_a_roc_curve_of_draws_is_scikit_learns_of_repeated_images() -> None:
    random = np.random.default_rng(3)
    truth, scores = random.random(60) < 0.4, random.integers(0, 25, 60) / 7  # with ties of both classes
    weights = random.integers(0, 4, size=(40, 60)).astype(float)
    roc = Roc(truth, scores)
    found = [roc.auc(weights), roc.sensitivity_at(0.9)(weights), roc.specificity_at(0.8)(weights)]
    for row, area, sensitivity, specificity in zip(weights, *found, strict=True):
        false, true, _ = metrics.roc_curve(truth, scores, sample_weight=row, drop_intermediate=False)
        assert area == pytest.approx(metrics.auc(false, true))
        assert sensitivity == pytest.approx(true[1 - false >= 0.9 - 1e-12].max())
        assert specificity == pytest.approx((1 - false)[true >= 0.8 - 1e-12].max())
    one_class = Roc(np.zeros(3, dtype=bool), np.arange(3))
    undefined = [one_class.auc, one_class.sensitivity_at(0.9), one_class.specificity_at(0.9)]
    assert all(np.isnan(measure(np.ones((1, 3)))[0]) for measure in undefined)


def test_draws_of_the_same_groups_are_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made, generator = [], np.random.default_rng
    monkeypatch.setattr(np.random, "default_rng", lambda seed: made.append(seed) or generator(seed))
    groups = np.repeat(np.arange(4), 2)
    for order in (np.arange(8), np.arange(8)[::-1]):
        GroupBootstrap(TRUTH[order], groups[order], draws=30, seed=777)
    assert made == [777]


def test_specificity_of_exactly_nine_tenths_is_reached() -> None:
    truth, scores = np.repeat([False, True], [10, 2]), np.array([*range(10), 8.5, 20])
    assert Roc(truth, scores).sensitivity_at(0.9)(np.ones((1, 12)))[0] == 1


def test_accuracy_of_those_decided_leaves_the_least_certain_out() -> None:
    truth = np.array([1, 1, 0, 0, 1, 0, 0, 1])
    called = np.array([1, 1, 0, 0, 0, 1, 1, 0])
    certainty = np.array([9, 8, 7, 6, 5, 4, 3, 2])
    once = np.ones((1, 8))
    for undecided, right in ((0.0, 4 / 8), (0.25, 4 / 6), (0.5, 1.0)):
        assert accuracy_of_decided(truth, called, certainty, undecided)(once)[0] == pytest.approx(right)
    twice = np.array([[1, 1, 1, 1, 3, 1, 1, 1.0]])  # one decided mistake, drawn three times
    assert accuracy_of_decided(truth, called, certainty, 0.25)(twice)[0] == pytest.approx(4 / 8)


def test_accuracy_of_those_decided_is_of_any_number_of_classes() -> None:
    labels, called, certainty = [0, 1, 2, 2], [0, 2, 2, 1], [0.9, 0.4, 0.8, 0.5]  # right, wrong, right, wrong
    shares = [accuracy_of_decided(labels, called, certainty, share) for share in (0, 0.25, 0.5)]
    assert [share(np.ones((1, 4)))[0] for share in shares] == pytest.approx([2 / 4, 2 / 3, 1])


def test_auc_within_strata_compares_like_with_like() -> None:
    # Stratum a: 0.9 over 0.6 and 0.4, all right; stratum b: 0.3 over 0.2 and 0.1, under 0.5: 4 of 5 pairs.
    truth = np.array([1, 0, 0, 1, 0, 0, 0], dtype=bool)
    scores, strata = [0.9, 0.6, 0.4, 0.3, 0.2, 0.1, 0.5], list("aaabbbb")
    assert stratified_auc(truth, scores, strata)(np.ones((1, 7)))[0] == pytest.approx(4 / 5)


def test_predictive_values_by_bayes() -> None:
    # Sensitivity 2/3, specificity 3/5, one in ten: PPV 0.0667 / (0.0667 + 0.36), NPV 0.54 / (0.54 + 0.0333).
    calls = Calls(TRUTH, SCORES >= 0.35)
    assert calls.predictive_value(0.1)(ONCE)[0] == pytest.approx(0.15625)
    negative = calls.predictive_value(0.1, of_positive=False)(ONCE)[0]
    assert negative == pytest.approx(0.54 / (0.54 + 0.1 / 3))
    with pytest.raises(ValueError, match="prevalence 10"):
        calls.predictive_value(10)


def test_groups_are_drawn_whole_and_classes_apart() -> None:
    groups = np.array(["a", "a", "b", "c", "c", "d", "d", "d"])
    bootstrap = GroupBootstrap(TRUTH, groups, draws=500)
    draws = bootstrap.values({"": lambda weights: weights @ (10.0 ** np.arange(8))})[""]  # a digit each
    digits = np.array([[int(digit) for digit in f"{int(draw):08d}"[::-1]] for draw in draws])
    assert (digits[:, 0] == digits[:, 1]).all() and (digits[:, 3] == digits[:, 4]).all()
    assert (digits[:, 0] + digits[:, 2] == 2).all()  # two groups hold positives, two do not
    assert (digits[:, 3] + digits[:, 5] == 2).all()
    assert len(np.unique(draws)) == 9  # 3 outcomes a class


def test_no_draw_is_without_one_of_several_classes() -> None:
    # Class 0 in groups a b c d, class 1 in c d, class 2 in e: c and d, which hold a rarer class than 0, are a
    # stratum, a and b another, e is in every draw. Drawn as one of five, each class would be missed at times.
    labels, groups = [0, 0, 0, 1, 0, 1, 2, 2], list("abccddee")
    bootstrap = GroupBootstrap(labels, groups, draws=500)
    draws = bootstrap.values({"": lambda weights: weights @ (10.0 ** np.arange(8))})[""]  # a digit each
    digits = np.array([[int(digit) for digit in f"{int(draw):08d}"[::-1]] for draw in draws])
    assert (digits[:, 0] + digits[:, 1] == 2).all() and (digits[:, 3] + digits[:, 5] == 2).all()
    assert (digits[:, 2] == digits[:, 3]).all() and (digits[:, 6] == 1).all()
    assert len(np.unique(draws)) == 9


def test_two_classes_are_drawn_alike_as_truth_and_as_numbers() -> None:
    # Groups of both classes are positive ones, also where positive ones are the more frequent.
    positive, groups = np.array([1, 1, 0, 1, 0, 1, 0, 1]), list("aabbcdde")
    draws = [
        GroupBootstrap(labels, groups).values({"": lambda weights: weights @ np.arange(8.0) ** 3})[""]
        for labels in (positive, positive.astype(bool), positive.astype(float))
    ]
    assert np.array_equal(draws[0], draws[1]) and np.array_equal(draws[0], draws[2])
    assert draws[0][:4].tolist() == [1094, 816, 784, 444]  # as before there were more classes


def test_interval_worked_by_hand() -> None:
    # Two positive groups, one decided rightly, and one negative group, decided rightly. The positives' draws
    # have 0, 1 or 2 right with probabilities 1/4, 1/2, 1/4, the negative's always 1: accuracies 1/3, 2/3, 1.
    bootstrap = GroupBootstrap([1, 1, 0], ["a", "b", "c"], draws=4000)
    right = decision("accuracy", np.ones(3), [True, False, True])
    shares = np.unique(bootstrap.values({"": right})[""].round(6), return_counts=True)
    assert shares[0].tolist() == pytest.approx([1 / 3, 2 / 3, 1], abs=1e-6)
    assert (shares[1] / 4000).tolist() == pytest.approx([1 / 4, 1 / 2, 1 / 4], abs=0.03)
    assert bootstrap.interval(right) == Interval(*(pytest.approx(part / 3) for part in (2, 1, 3)))


def test_interval_over_groups_is_wider_than_over_images() -> None:
    random = np.random.default_rng(1)
    truth, truths_scores = np.repeat([True, False], 20), random.normal(size=40) + np.repeat([1.0, 0.0], 20)
    fourfold = (np.repeat(truth, 4), np.repeat(truths_scores, 4))
    measure = auc(*fourfold)
    over_groups = GroupBootstrap(fourfold[0], np.repeat(np.arange(40), 4)).interval(measure)
    over_images = GroupBootstrap(fourfold[0], np.arange(160)).interval(measure)
    alone = GroupBootstrap(truth, np.arange(40)).interval(auc(truth, truths_scores))
    assert over_groups == alone  # copies of images say nothing new
    assert (over_groups.high - over_groups.low) > 1.7 * (over_images.high - over_images.low)


def test_interval_covers_as_often_as_it_says() -> None:
    random, covered = np.random.default_rng(2), 0
    for repeat in range(200):
        right = random.random(80) < 0.8
        interval = GroupBootstrap(np.arange(80) < 40, np.arange(80), draws=400, seed=repeat).interval(
            decision("accuracy", np.ones(80), right)
        )
        covered += interval.low <= 0.8 <= interval.high
    assert 180 <= covered <= 198  # 190 expected


def test_draws_are_those_of_the_seed_and_shared_by_measures() -> None:
    groups = np.arange(8)
    first, again, other = (GroupBootstrap(TRUTH, groups, seed=seed) for seed in (0, 0, 1))
    measure = auc(TRUTH, SCORES)
    assert first.interval(measure) == again.interval(measure)
    draws = [bootstrap.values({"auc": measure})["auc"] for bootstrap in (first, other)]
    assert not np.array_equal(*draws)
    assert first.interval(difference(measure, measure)) == Interval(0, 0, 0)


def test_mean_of_measures_is_taken_in_every_draw() -> None:
    both = mean_of(
        [decision("accuracy", TRUTH, called) for called in (SCORES > 0.35, SCORES > 1)]
    )  # 5/8 each
    only_last = np.eye(8)[[7]]
    assert both(ONCE)[0] == pytest.approx(5 / 8) and both(only_last)[0] == 1
    assert np.isnan(mean_of([auc(TRUTH, SCORES)])(only_last)[0])


def test_percentiles_leave_undefined_draws_out() -> None:
    values = np.concatenate([np.arange(101) / 100, [np.nan] * 50])
    interval = percentile_interval(0.5, values)
    assert (interval.low, interval.high) == pytest.approx((0.025, 0.975))
    assert not percentile_interval(np.nan, values).known


def test_single_class_has_no_auc_but_an_accuracy() -> None:
    bootstrap = GroupBootstrap(np.ones(8), np.arange(8))
    assert not bootstrap.interval(auc(np.ones(8), SCORES)).known
    assert bootstrap.interval(decision("accuracy", np.ones(8), SCORES > 0.35)).estimate == 0.5


def test_groups_must_match_images() -> None:
    with pytest.raises(ValueError, match="2 for 8"):
        GroupBootstrap(TRUTH, ["a", "b"])
