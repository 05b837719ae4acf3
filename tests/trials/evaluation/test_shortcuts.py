"""A score that is the box, and one that is not, are told apart."""

import numpy as np
import pytest
from scipy.special import expit

from trials.evaluation.bootstrap import GroupBootstrap
from trials.evaluation.shortcuts import auc_by_thirds, beyond_geometry, correlations

N = 600
RANDOM = np.random.default_rng(0)
HEIGHT = RANDOM.lognormal(4.5, 0.5, N)
GEOMETRY = np.column_stack([HEIGHT * 1.3, HEIGHT, np.full(N, 1.3) + RANDOM.normal(0, 0.01, N)])
TEXTURE = RANDOM.normal(size=N)  # what only the pixels tell
TRUTH = RANDOM.random(N) < expit(2 * (np.log(HEIGHT) - 4.5) + 1.5 * TEXTURE)
FOLDS = np.arange(N) % 5
BOOTSTRAP = GroupBootstrap(TRUTH, np.arange(N), draws=400)


def test_a_score_that_is_the_box_adds_nothing() -> None:
    found = beyond_geometry(BOOTSTRAP, TRUTH, expit(np.log(HEIGHT) - 4.5), GEOMETRY, FOLDS)
    assert found.gain.low <= 0.005 and abs(found.gain.estimate) < 0.01
    assert found.adjusted.estimate < 0.6  # classes of risk are not points: a little is left
    assert found.likelihood_ratio < 6


def test_a_score_of_the_pixels_adds_to_the_box() -> None:
    found = beyond_geometry(BOOTSTRAP, TRUTH, expit(TEXTURE), GEOMETRY, FOLDS)
    assert found.gain.low > 0.05 and found.p < 1e-6
    assert found.adjusted.low > 0.7
    assert found.together.estimate > found.geometry.estimate


def test_likelihood_ratio_worked_by_hand() -> None:
    # A box that says nothing: 8 of 16 positive, log likelihood 16 ln 1/2. A score that splits 8 into 6 and
    # 2, and 8 into 2 and 6: 2 * 8 * (0.75 ln 0.75 + 0.25 ln 0.25). Twice the gain is 4.186.
    truth = np.array([1] * 6 + [0] * 2 + [1] * 2 + [0] * 6, dtype=bool)
    score = np.repeat([0.7, 0.3], 8)
    box = np.ones((16, 3))
    found = beyond_geometry(GroupBootstrap(truth, np.arange(16)), truth, score, box, np.arange(16) % 2)
    assert found.likelihood_ratio == pytest.approx(4.186, abs=1e-2)
    assert found.p == pytest.approx(0.0408, abs=1e-3)
    assert found.geometry.estimate <= 0.5  # nothing known, but for the folds' shares of positives


def test_thirds_hold_the_images_of_their_heights() -> None:
    heights = np.arange(1.0, 13.0)
    truth = np.array([1, 0, 1, 0] * 3, dtype=bool)
    scores = np.array([0.9, 0.1, 0.8, 0.2, 0.1, 0.9, 0.2, 0.8, 0.9, 0.5, 0.1, 0.5])
    found = auc_by_thirds(truth, scores, np.arange(12), heights)
    assert [(third.n, third.positives) for third in found] == [(4, 2)] * 3
    assert [third.auc.estimate for third in found] == [1, 0, 0.5]  # right, wrong, one of each


def test_correlation_with_the_box_is_found() -> None:
    found = correlations(BOOTSTRAP, HEIGHT**3, GEOMETRY)
    assert found["height"].estimate == pytest.approx(1) and found["width"].estimate == pytest.approx(1)
    assert found["ratio"].low < 0 < found["ratio"].high


def test_geometry_needs_both_classes_in_the_other_folds() -> None:
    with pytest.raises(ValueError, match="without fold 0"):
        beyond_geometry(
            GroupBootstrap([1, 1, 0, 0], range(4)),
            np.array([1, 1, 0, 0], dtype=bool),
            np.full(4, 0.5),
            np.ones((4, 3)),
            np.array([0, 0, 1, 1]),
        )


def test_geometry_is_fitted_on_the_other_folds() -> None:
    # In one fold the tall boxes are positive, in the other the flat ones: what is learned elsewhere is wrong.
    heights = np.array([10.0, 20, 30, 40] * 2)
    truth = np.array([0, 0, 1, 1, 1, 1, 0, 0], dtype=bool)
    box = np.column_stack([np.full(8, 20.0), heights, np.ones(8)])
    found = beyond_geometry(
        GroupBootstrap(truth, np.arange(8)), truth, np.full(8, 0.5), box, np.repeat([0, 1], 4)
    )
    assert found.geometry.estimate < 0.5
