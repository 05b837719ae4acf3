"""DeLong, McNemar and Holm against cases worked by hand."""

import numpy as np
import pytest

from trials.evaluation.bootstrap import GroupBootstrap, difference
from trials.evaluation.measures import auc
from trials.evaluation.multiclass import macro_auc
from trials.evaluation.paired import compare_accuracy, compare_macro_auc, delong, holm

TRUTH = np.array([1, 1, 0, 0], dtype=bool)
FIRST = [0.9, 0.4, 0.5, 0.1]  # AUC 3/4
PERFECT = [0.9, 0.8, 0.1, 0.2]
SWAPPED = [0.4, 0.9, 0.5, 0.1]  # the first with its positives swapped


def test_delong_against_a_perfect_rival_worked_by_hand() -> None:
    # Components of the first: positives 1 and 1/2, negatives 1/2 and 1: sample variances 1/8 each, so that
    # the AUC's is 1/8 / 2 + 1/8 / 2 = 1/8. The rival's are all 1. z = -0.25 / sqrt(0.125) = -0.707, p 0.4795.
    test = delong(TRUTH, FIRST, PERFECT)
    assert (test.first, test.second, test.difference.estimate) == (0.75, 1, -0.25)
    assert test.p == pytest.approx(0.47950, abs=1e-5)
    assert test.difference.high - test.difference.estimate == pytest.approx(1.959964 * 0.125**0.5)


def test_delong_takes_the_correlation_into_account() -> None:
    # The second swaps the positives: components 1/2 and 1, and 1/2 and 1. Covariance of the positives'
    # -1/8, of the negatives' +1/8: they cancel. With its own ranks the first is correlated fully.
    assert delong(TRUTH, FIRST, SWAPPED).correlation == pytest.approx(0)
    assert delong(TRUTH, FIRST, [0.8, 0.3, 0.4, 0.2]).correlation == pytest.approx(1)
    assert np.isnan(delong(TRUTH, FIRST, PERFECT).correlation)  # nothing varies in a perfect rival


def test_delong_of_equal_predictions_finds_nothing() -> None:
    test = delong(TRUTH, FIRST, FIRST)
    assert (test.difference.estimate, test.p) == (0, 1)


def test_delong_agrees_with_a_jackknife() -> None:
    random = np.random.default_rng(0)
    truth = np.arange(120) < 50
    first, second = (random.normal(size=120) + truth * shift for shift in (1.0, 0.5))
    gap = np.array(
        [
            auc(truth[keep], first[keep])(np.ones((1, 119)))[0]
            - auc(truth[keep], second[keep])(np.ones((1, 119)))[0]
            for keep in (np.arange(120) != left for left in range(120))
        ]
    )
    # Two-sample jackknife (Arvesen 1969): the classes' terms are added.
    error = (
        sum((len(part) - 1) ** 2 / len(part) * part.var(ddof=1) for part in (gap[truth], gap[~truth])) ** 0.5
    )
    test = delong(truth, first, second)
    assert (test.difference.high - test.difference.estimate) / 1.959964 == pytest.approx(error, rel=1e-6)


def test_copies_of_images_in_their_groups_change_nothing() -> None:
    random = np.random.default_rng(3)
    truth = np.arange(40) < 15
    scores = [random.normal(size=40) + truth for _ in range(2)]
    once = delong(truth, *scores)
    twice = np.repeat(np.arange(40), 2)
    grouped = delong(truth[twice], *(score[twice] for score in scores), groups=twice)
    assert grouped.p == pytest.approx(once.p) and grouped.difference.low == pytest.approx(once.difference.low)
    assert delong(truth[twice], *(score[twice] for score in scores)).p < once.p
    assert delong(truth, *scores, groups=np.arange(40)) == once


def test_delong_of_several_seeds_worked_by_hand() -> None:
    # The first's seeds have positives' components (1, 1/2) and (1/2, 1), negatives' (1/2, 1) both: mean AUC
    # 3/4, mean components 3/4, 3/4 and 1/2, 1. Only the negatives' vary: their variance 1/8, halved.
    test = delong(TRUTH, [FIRST, SWAPPED], PERFECT)
    assert (test.first, test.second) == (0.75, 1)
    assert test.difference.high - test.difference.estimate == pytest.approx(1.959964 * 0.0625**0.5)
    assert delong(TRUTH, [FIRST, FIRST], SWAPPED) == delong(TRUTH, FIRST, SWAPPED)


def test_delong_says_what_it_needs() -> None:
    with pytest.raises(ValueError, match="two images of each class, found 1 and 3"):
        delong([1, 0, 0, 0], FIRST, FIRST)
    with pytest.raises(ValueError, match="two groups of each class, found 1 and 2"):
        delong(TRUTH, FIRST, FIRST, groups=["a", "a", "b", "c"])


def three_classes(seed: int = 0, n: int = 90) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return labels and the logits of two methods that err alike in part, with rare classes."""
    random = np.random.default_rng(seed)
    labels = np.arange(n) * 7 % 12 // 5  # 5, 5 and 2 of twelve
    common = random.normal(size=(n, 3)) + np.eye(3)[labels]
    first, second = (common + random.normal(size=(n, 3)) for _ in range(2))
    return labels, first, second


def test_macro_auc_of_two_classes_is_delongs_test() -> None:
    random = np.random.default_rng(4)
    positive, groups = random.random(60) < 0.3, random.integers(0, 25, 60)
    odds = [random.normal(size=(2, 60)) + positive for _ in range(2)]  # two seeds each
    logits = [np.stack([np.zeros((2, 60)), one], axis=-1) for one in odds]
    found, known = compare_macro_auc(positive, *logits, groups), delong(positive, *odds, groups)
    for one, other in zip(vars(found).values(), vars(known).values(), strict=True):
        assert vars(one) == pytest.approx(vars(other)) if hasattr(one, "low") else one == pytest.approx(other)


def test_macro_auc_of_three_classes_agrees_with_a_jackknife() -> None:
    labels, first, second = three_classes()
    gap = np.array(
        [
            macro_auc(labels[keep], first[keep])(np.ones((1, 89)))[0]
            - macro_auc(labels[keep], second[keep])(np.ones((1, 89)))[0]
            for keep in (np.arange(90) != left for left in range(90))
        ]
    )
    parts = [gap[labels == one] for one in range(3)]
    error = sum((len(part) - 1) ** 2 / len(part) * part.var(ddof=1) for part in parts) ** 0.5
    test = compare_macro_auc(labels, first, second)
    assert test.first == pytest.approx(macro_auc(labels, first)(np.ones((1, 90)))[0])
    assert (test.difference.high - test.difference.estimate) / 1.959964 == pytest.approx(error, rel=0.02)


def test_macro_auc_agrees_with_the_bootstrap_over_groups() -> None:
    labels, first, second = three_classes(1)
    twice = np.repeat(np.arange(90), 2)
    given = labels[twice], first[twice], second[twice]
    test = compare_macro_auc(*given, groups=twice)
    gap = difference(macro_auc(*given[:2]), macro_auc(given[0], given[2]))
    interval = GroupBootstrap(given[0], twice).interval(gap)
    assert test.difference.estimate == pytest.approx(interval.estimate)
    assert test.difference.high - test.difference.low == pytest.approx(interval.high - interval.low, rel=0.1)
    assert test.p == pytest.approx(compare_macro_auc(labels, first, second).p)
    assert compare_macro_auc(*given).p < test.p


def test_macro_auc_of_equal_methods_differs_as_seldom_as_it_says() -> None:
    p = np.array([compare_macro_auc(*three_classes(seed, 48)).p for seed in range(300)])
    assert 5 <= (p < 0.05).sum() <= 27  # 15 expected
    labels, first, _ = three_classes()
    assert compare_macro_auc(labels, first, first).p == 1
    assert compare_macro_auc(labels, first, np.eye(3)[labels]).p < 0.001


def test_macro_auc_needs_images_and_groups_of_each_class() -> None:
    labels, first, second = three_classes()
    kept = labels != 1
    with pytest.raises(ValueError, match="two images of each class, found 0 and 53"):
        compare_macro_auc(labels[kept], first[kept], second[kept])
    with pytest.raises(ValueError, match="two groups of each class, found 38, 37 and 1"):
        compare_macro_auc(labels, first, second, np.where(labels == 2, -1, np.arange(90)))


def test_mcnemar_is_the_binomial_test_of_discordant_images() -> None:
    # 5 right by the first alone, 1 by the second alone, 4 by both: p = 2 (1 + 6) / 2^6.
    first, second = [1] * 5 + [0] + [1] * 4, [0] * 5 + [1] + [1] * 4
    test = compare_accuracy(first, second)
    assert (test.only_first, test.only_second, test.n, test.discordance) == (5, 1, 10, 0.6)
    assert test.p == pytest.approx(14 / 64)
    assert compare_accuracy(second, first).p == test.p
    assert compare_accuracy(first, first).p == 1


def test_holm_worked_by_hand() -> None:
    # In order 0.01 * 3, 0.03 * 2, 0.04 * 1, never falling: 0.03, 0.06, 0.06.
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1, 1]
    assert holm([]) == []
