"""Calibration, power and rankings against cases worked by hand."""

import numpy as np
import pytest
import torch
from scipy.special import expit, logit
from scipy.stats import kendalltau
from torchmetrics.functional.classification import binary_calibration_error

from trials.evaluation.calibration import (
    apply_temperature,
    cutoff,
    expected_calibration_error,
    log_odds,
    mean_log_odds,
    mean_log_odds_of_groups,
)
from trials.evaluation.decisions import Decision, log_odds_of, mean_logits, of_two, together
from trials.evaluation.power import (
    TOO_FEW,
    auc_variance,
    outlook,
    smallest_accuracy_difference,
    smallest_auc_difference,
)
from trials.evaluation.rankings import kendall_tau, percentile, tau_difference


def test_calibration_error_worked_by_hand() -> None:
    # Bin (0.1, 0.2]: mean 0.15, no positive, off by 0.15; bin (0.8, 0.9]: mean 0.9, half positive, off 0.4.
    error = expected_calibration_error([0, 0, 1, 0], [0.12, 0.18, 0.9, 0.9])(np.ones((1, 4)))[0]
    assert error == pytest.approx((0.15 + 0.4) / 2)


def test_calibration_error_is_torchmetrics() -> None:
    random = np.random.default_rng(0)
    probabilities = random.random(200)
    truth = random.random(200) < probabilities**2
    known = binary_calibration_error(torch.tensor(probabilities), torch.tensor(truth).long(), n_bins=10)
    measured = expected_calibration_error(truth, probabilities)(np.ones((1, 200)))[0]
    assert measured == pytest.approx(float(known), abs=1e-6)


def test_temperature_divides_the_log_odds() -> None:
    # Odds 9 at temperature 2 are odds 3.
    assert apply_temperature(logit([0.9, 0.1, 0.5]), 2).tolist() == pytest.approx([0.75, 0.25, 0.5])
    assert apply_temperature(logit([0.9, 0.9]), [1, 2]).tolist() == pytest.approx([0.9, 0.75])
    assert apply_temperature([757.0, -757.0], 757).tolist() == pytest.approx(expit([1, -1]))
    with pytest.raises(ValueError, match="above 0"):
        apply_temperature([0.5], 0)


def test_log_odds_keep_the_order_of_all_probabilities_and_are_finite() -> None:
    ascending = [0.0, 5e-324, 1e-300, 1e-9, 0.5, 1 - 1e-9, 1 - 2**-53, 1.0]
    odds = log_odds(ascending)
    assert np.isfinite(odds).all() and (np.diff(odds) > 0).all()
    assert odds[4] == 0 and odds[3] == pytest.approx(np.log(1e-9))


def test_a_probability_equal_to_the_threshold_is_called_whatever_the_rounding() -> None:
    for p in [0.0, 1e-12, *np.linspace(0.001, 0.999, 999), 1 - 1e-12, 1.0]:
        assert log_odds(p) >= cutoff(p)
        assert not log_odds(p * (1 - 1e-9)) >= cutoff(p) or p in (0.0,)


def test_models_decide_as_one_by_mean_probability_against_mean_threshold() -> None:
    models = [Decision(1, logit(threshold)) for threshold in (0.2, 0.6)]
    assert together(models).cutoff == pytest.approx(logit(0.4))
    said = [of_two(logit(shares), 1) for shares in ([0.1, 0.3], [0.5, 0.9])]
    assert log_odds_of(mean_logits(said, 1), 1) == pytest.approx(logit([0.3, 0.6]))
    of_images = [Decision(1, logit([0.2, 0.5])), Decision(1, logit([0.6, 0.5]))]
    assert expit(together(of_images).cutoff) == pytest.approx([0.4, 0.5])


def test_mean_log_odds_are_of_the_mean_probability_and_go_on_where_that_is_one() -> None:
    assert mean_log_odds(logit([[0.2, 0.9], [0.6, 0.1]])) == pytest.approx(logit([0.4, 0.5]))
    assert mean_log_odds(logit([[0.8, 0.7], [0.2, 0.3]])).std() == 0  # equal means are ties
    assert mean_log_odds([[800.0, 750.0], [800.0, 700.0]]) == pytest.approx([800, 700 + np.log(2)])
    with np.errstate(all="raise"):
        assert mean_log_odds([[1.5, -2.0], [3.0, 4.0]], np.array([2.0, 0.0])) == pytest.approx([1.5, -2.0])
    groups = mean_log_odds_of_groups(logit([0.2, 0.9, 0.6]), np.array([0, 1, 0]))
    assert groups == pytest.approx(logit([0.4, 0.9]))


def test_variance_of_an_auc_worked_by_hand() -> None:
    # Q1 = 0.75 / 1.25 = 0.6, Q2 = 1.125 / 1.75 = 0.642857; (0.1875 + 0.0375 + 0.080357) / 4.
    assert auc_variance(0.75, 2, 2) == pytest.approx(0.0763393, abs=1e-7)


def test_smallest_auc_difference_solves_its_equation() -> None:
    gap = smallest_auc_difference(0.9, 200, 430, 0.5)
    assert gap is not None
    first, second = auc_variance(0.9, 200, 430), auc_variance(0.9 + gap, 200, 430)
    error = (first + second - (first * second) ** 0.5) ** 0.5
    assert gap == pytest.approx((1.959964 + 0.841621) * error, rel=1e-5)
    closer = smallest_auc_difference(0.9, 200, 430, 0.8)
    assert closer is not None and closer < gap
    assert smallest_auc_difference(0.95, 10, 10, 0.0) is None


def test_smallest_auc_difference_is_shown_four_times_in_five() -> None:
    random = np.random.default_rng(0)
    gap = smallest_auc_difference(0.8, 100, 100, 0.0)
    assert gap is not None
    shown = 0
    for _ in range(400):  # as the estimates would fall
        one = random.normal(0.8, auc_variance(0.8, 100, 100) ** 0.5)
        two = random.normal(0.8 + gap, auc_variance(0.8 + gap, 100, 100) ** 0.5)
        error = (auc_variance(0.8, 100, 100) + auc_variance(0.8 + gap, 100, 100)) ** 0.5
        shown += abs(two - one) > 1.959964 * error
    assert 295 <= shown <= 345  # 320 expected


def test_smallest_accuracy_difference_worked_by_hand() -> None:
    # Discordance 0.2, difference 0.1: (1.95996 * 0.44721 + 0.84162 * sqrt(0.19))^2 / 0.01 = 154.6 images.
    assert smallest_accuracy_difference(154.6, 0.2) == pytest.approx(0.1, abs=1e-4)
    # All discordant images on one side: (0.87652 + 0.84162 * sqrt(0.16))^2 / 0.04 = 36.8 images.
    assert smallest_accuracy_difference(36, 0.2) is None
    assert smallest_accuracy_difference(37, 0.2) == pytest.approx(0.2, abs=2e-3)


@pytest.mark.parametrize("arguments", [(0.4, 9, 9, 0.5), (1.0, 9, 9, 0.5), (0.9, 1, 9, 0.5), (0.9, 9, 9, 1)])
def test_auc_difference_of_senseless_numbers_is_refused(arguments: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"AUC from 0\.5"):
        smallest_auc_difference(*arguments)


def test_outlook_counts_images_and_groups() -> None:
    told = outlook(np.repeat([True, False], [200, 300]), np.arange(500) // 2)
    images, groups = (smallest_auc_difference(0.9, *counts, 0.5) for counts in ((200, 300), (100, 150)))
    assert images and groups and images < groups
    assert told == {"beside an AUC of": 0.9, "images": round(images, 3), "groups": round(groups, 3)}
    assert outlook([True, False, False], ["a", "b", "c"])["images"] == TOO_FEW


def test_accuracy_difference_of_no_discordance_is_refused() -> None:
    with pytest.raises(ValueError, match="discordance above 0"):
        smallest_accuracy_difference(100, 0)


def test_kendalls_tau_worked_by_hand() -> None:
    # 1 2 3 4 against 1 3 2 4: five of six pairs agree, one does not: (5 - 1) / 6.
    tau = kendall_tau([1, 2, 3, 4], [1, 3, 2, 4])
    assert tau.estimate == pytest.approx(4 / 6)
    assert tau.low < tau.estimate < tau.high <= 1
    with pytest.raises(ValueError, match="three architectures"):
        kendall_tau([1, 2], [1, 2])


def test_kendalls_tau_of_ties_is_scipys() -> None:
    random = np.random.default_rng(0)
    for _ in range(20):
        one, two = random.integers(4, size=(2, 9))
        assert kendall_tau(one, two, draws=2).estimate == pytest.approx(kendalltau(one, two).statistic)
    assert np.isnan(kendall_tau([1, 1, 1], [1, 2, 3], draws=5).estimate)


def test_a_difference_of_taus_is_paired() -> None:
    truth, other = [1, 2, 3, 4], [1, 3, 2, 4]  # which have a tau of 4 / 6
    assert tau_difference(truth, other, truth).estimate == pytest.approx(2 / 6)
    same = tau_difference(other, other, truth)
    assert (same.estimate, same.low, same.high) == (0, 0, 0)


def test_interval_of_tau_narrows_with_architectures() -> None:
    random = np.random.default_rng(0)
    shared = random.normal(size=48)
    alone = shared + random.normal(size=48)
    few, many = kendall_tau(shared[:12], alone[:12], draws=300), kendall_tau(shared, alone, draws=300)
    assert many.high - many.low < few.high - few.low


def test_percentile_counts_equal_scores_half() -> None:
    assert percentile(0.8, [0.7, 0.8, 0.8, 0.9]) == 50
    assert percentile(1, [0.1, 0.2]) == 100
    with pytest.raises(ValueError, match="other scores"):
        percentile(1, [])
