"""Weights of models that decide together: chosen greedily, guarded by images that the choice has not seen."""

from __future__ import annotations

import numpy as np
import pytest

from trials.evaluation.decisions import of_two
from trials.evaluation.selection import select


def made(*signals: float, n: int = 300, classes: int = 2, seed: int = 0) -> tuple[list[np.ndarray], ...]:
    """Return logits of models that see so much of the labels, and labels and groups of pairs."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=n)
    truth = np.eye(classes)[labels]
    logits = [signal * truth + rng.normal(size=(n, classes)) for signal in signals]
    if classes == 2:
        logits = [of_two(one[:, 1] - one[:, 0], 1) for one in logits]
    return logits, labels, np.arange(n) // 2  # type: ignore[return-value]


@pytest.mark.parametrize("classes", [2, 3])
def test_a_model_that_knows_nothing_gets_no_weight(classes: int) -> None:
    found = select(*made(3.0, 0.0, 3.0, classes=classes), positive=1 if classes == 2 else None)  # type: ignore[arg-type]
    assert found.greedy and found.greedy_loss < found.equal_loss
    assert found.weights[1] < 0.1 and min(found.weights[0], found.weights[2]) > 0.2
    assert sum(found.weights) == pytest.approx(1)


def test_models_that_are_alike_count_alike_as_choosing_would_learn_noise() -> None:
    logits, labels, groups = made(1.0, 1.0, 1.0, 1.0, 1.0, 1.0, n=60, seed=3)
    found = select(logits, labels, groups, positive=1)  # type: ignore[arg-type]
    assert not found.greedy and found.greedy_loss > found.equal_loss
    assert found.weights == pytest.approx([1 / 6] * 6)


def test_the_choice_is_the_same_for_the_same_seed_and_leaves_groups_whole() -> None:
    logits, labels, _ = made(1.0, 0.5, n=80)
    one_group = select(logits, labels, np.zeros(80), positive=1)  # type: ignore[arg-type]
    assert not one_group.greedy  # nothing is left to guard by
    groups = np.arange(80) // 4
    both = [select(logits, labels, groups, positive=1, seed=5) for _ in range(2)]  # type: ignore[arg-type]
    assert both[0] == both[1]
