"""Weights of models that decide together: chosen greedily, guarded by images that the choice has not seen."""

from __future__ import annotations

import numpy as np
import pytest

from trials.evaluation.decisions import log_odds_of, mean_logits, of_two
from trials.evaluation.selection import forward, select


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


@pytest.mark.parametrize("classes", [2, 3])
def test_a_set_is_of_models_that_know_what_the_others_do_not(classes: int) -> None:
    (one, other), labels, _ = made(4.0, 4.0, classes=classes)
    positive, half = (1 if classes == 2 else None), len(labels) // 2
    nothing = np.zeros_like(one[:half])
    first = np.concatenate([one[:half], nothing])  # knows the first half of the images
    again = np.concatenate([one[:half] * 0.99, nothing])
    second = np.concatenate([nothing, other[half:]])
    found = forward([again, np.zeros_like(one), first, second], labels, 2, positive=positive)
    assert set(found.numbers) in ({2, 3}, {0, 3}) and found.losses[1] < found.losses[0]


def test_each_of_a_set_lowers_the_loss_of_the_mean_most() -> None:
    logits, labels, _ = made(*np.linspace(0.2, 2.0, 8), n=60)
    found = forward(logits, labels, 4, positive=1)

    def loss(numbers: tuple[int, ...]) -> float:
        odds = log_odds_of(mean_logits([logits[number] for number in numbers], 1), 1)
        sure = np.where(labels == 1, odds, -odds)
        return min(float(np.logaddexp(0, -sure / t).mean()) for t in np.geomspace(0.05, 20, 4000))

    for size in range(1, 5):
        before, chosen = found.numbers[: size - 1], found.numbers[size - 1]
        tried = {number: loss((*before, number)) for number in range(8) if number not in before}
        assert chosen == min(tried, key=tried.__getitem__)
        assert found.losses[size - 1] == pytest.approx(tried[chosen], abs=1e-4)


def test_a_set_of_more_models_than_there_are_is_refused() -> None:
    logits, labels, _ = made(1.0, 2.0, n=20)
    with pytest.raises(ValueError, match="expected 3 models or more to choose so many from, found 2"):
        forward(logits, labels, 3, positive=1)
