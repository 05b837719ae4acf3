"""The reliability of a ranking, against rankings by other images of the same candidates."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kendalltau

from trials.evaluation.rankings import MEASURES, Reliability, reliabilities

CANDIDATES, IMAGES = 150, 120
LABELS = np.arange(IMAGES) % 2
GROUPS = np.arange(IMAGES)


def candidates(seed: int, *, spread: float = 0.25) -> tuple[np.ndarray, np.ndarray]:
    """Return how good candidates are [candidates], and their logits on images of each seed [., n, 2]."""
    good = np.random.default_rng(0).normal(1, spread, CANDIDATES)
    noise = np.random.default_rng(seed).normal(0, 1.5, (CANDIDATES, IMAGES))
    odds = (good[:, None] + noise) * (2 * LABELS - 1)
    return good, np.stack([-odds / 2, odds / 2], axis=2)


def scores(name: str, said: np.ndarray) -> np.ndarray:
    once = np.ones((1, IMAGES))
    return np.array([MEASURES[name](LABELS, one)(once)[0] for one in said])


def test_the_reliability_is_the_correlation_with_scores_on_other_images() -> None:
    (good, here), (_, there) = candidates(1), candidates(2)
    found = reliabilities(here, LABELS, GROUPS)
    assert list(found) == ["accuracy", "log_loss", "auc"]
    for name, one in found.items():
        on_these, on_those = scores(name, here), scores(name, there)
        assert 0.3 < one.reliability < 0.95
        assert one.reliability == pytest.approx(np.corrcoef(on_these, on_those)[0, 1], abs=0.12)
        assert one.tau_ceiling == pytest.approx(abs(kendalltau(on_these, good).statistic), abs=0.1)
        assert one.error == pytest.approx((on_these - on_those).std() / np.sqrt(2), rel=0.15)
        assert one.error_on(IMAGES // 4) == pytest.approx(2 * one.error)


def test_candidates_that_differ_by_chance_alone_are_ranked_without_reliability() -> None:
    for one in reliabilities(candidates(1, spread=0)[1], LABELS, GROUPS).values():
        assert one.reliability < 0.25
    alike = np.repeat(candidates(1)[1][:1], 5, axis=0)
    for one in reliabilities(alike, LABELS, GROUPS).values():
        assert (one.halves, one.reliability, one.tau_ceiling) == (0, 0, 0)


def test_spearman_and_brown_by_hand() -> None:
    one = Reliability(halves=0.5, error=0.02, images=100)
    assert one.reliability == pytest.approx(2 / 3)
    assert one.tau_ceiling == pytest.approx(2 / np.pi * np.arcsin(np.sqrt(2 / 3)))
    assert Reliability(halves=-0.2, error=0.02, images=100).reliability == 0


def test_images_of_one_group_count_as_one() -> None:
    _, said = candidates(1)
    twice = np.repeat(said, 2, axis=1), np.repeat(LABELS, 2)
    whole, once = reliabilities(*twice, np.repeat(GROUPS, 2)), reliabilities(said, LABELS, GROUPS)
    apart = reliabilities(*twice, np.arange(2 * IMAGES))
    for name, one in once.items():
        assert whole[name].error == pytest.approx(one.error)
        assert whole[name].reliability == pytest.approx(one.reliability)
        assert apart[name].error < 0.8 * one.error


def test_what_halves_do_not_define_is_left_out() -> None:
    _, said = candidates(1)
    assert reliabilities(said[:2], LABELS, GROUPS) == {}
    one_patient = np.where(LABELS == 1, -1, GROUPS)  # whose images are all those of class 1
    assert list(reliabilities(said[:4], LABELS, one_patient)) == ["accuracy", "log_loss"]
