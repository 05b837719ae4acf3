"""Which of several models decide together, and with which weights.

Forward selection with replacement after Caruana, Niculescu-Mizil, Crew and Ksikes, ICML 2004: from nothing,
model after model is added to a mean of probabilities, each time the one with which the loss is lowest; a
model's weight is how often it was added. The loss is the log loss after temperature scaling, as a run scales
its probabilities before they count as such.

With few images a selection learns their noise. So it counts only if it does better than equal weights on
images that it was not made on: the groups are divided into parts, and each part is predicted with weights and
temperature from the others. The guard and its numbers are ours.

A set of so many models, which then count alike, is chosen by forward selection without replacement, as the
neural ensemble search of Zaidi et al. (NeurIPS 2021, arXiv 2006.08573) does; by the same loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import log_softmax

from trials.evaluation.decisions import log_odds_of, mean_logits
from trials.evaluation.metrics import fit_temperature

ROUNDS = 20  # additions, so that weights are twentieths
PARTS = 5  # of the guard, of fewer groups fewer


@dataclass(frozen=True)
class Selection:
    """Weights that sum to 1, one a model, and by what they were chosen.

    `greedy` says whether the selection counts, or equal weights do. The losses are those of images that
    weights and temperature were not chosen on, in nats an image.
    """

    weights: tuple[float, ...]
    greedy: bool
    greedy_loss: float
    equal_loss: float


def select(
    logits: Sequence[np.ndarray],
    labels: np.ndarray,
    groups: np.ndarray,
    *,
    positive: int | None = None,
    seed: int = 0,
) -> Selection:
    """Choose weights by the models' logits [n, k] for images with labels [n] in groups [n].

    `positive` is the index of the positive class, where there is one.
    """
    given = np.stack(logits)
    equal = np.full(len(given), 1.0)
    losses = _guard(given, labels, groups, positive, seed)
    greedy = len(given) > 1 and losses[0] < losses[1]
    weights = _greedy(given, labels, positive) if greedy else equal
    shares = tuple((weights / weights.sum()).tolist())
    return Selection(shares, greedy, *losses)


@dataclass(frozen=True)
class Forward:
    """The models that were chosen, by number and in this order, and the loss of the mean of the first m."""

    numbers: tuple[int, ...]
    losses: tuple[float, ...]


def forward(logits: ArrayLike, labels: np.ndarray, count: int, *, positive: int | None = None) -> Forward:
    """Choose `count` models by the logits of all [m, n, k] for images with labels [n].

    Each is the one with which the loss of all so far is lowest, of equals the first. `positive` is the index
    of the positive class, where there is one. Raises ValueError for fewer models.
    """
    given, numbers, losses = np.asarray(logits, dtype=float), list[int](), list[float]()
    if not 0 < count <= len(given):
        raise ValueError(f"expected {count} models or more to choose so many from, found {len(given)}")
    for _ in range(count):
        tried = {
            number: _loss(given[[*numbers, number]], labels, np.ones(len(numbers) + 1), positive)[0]
            for number in range(len(given))
            if number not in numbers
        }
        best = min(tried, key=tried.__getitem__)
        numbers.append(best)
        losses.append(tried[best])
    return Forward(tuple(numbers), tuple(losses))


def _greedy(given: np.ndarray, labels: np.ndarray, positive: int | None) -> np.ndarray:
    """Return how often each model was added, up to the round with the lowest loss [m]."""
    counts, best, found = np.zeros(len(given)), np.inf, np.ones(len(given))
    for _ in range(ROUNDS):
        tried = [counts + added for added in np.eye(len(given))]
        losses = [_loss(given, labels, weights, positive)[0] for weights in tried]
        counts = tried[int(np.argmin(losses))]
        if min(losses) < best:
            best, found = min(losses), counts
    return found


def _guard(
    given: np.ndarray, labels: np.ndarray, groups: np.ndarray, positive: int | None, seed: int
) -> tuple[float, float]:
    """Return the loss of selected and of equal weights on images that they were not chosen on."""
    names, of = np.unique(groups, return_inverse=True)
    part = np.random.default_rng(seed).permutation(len(names))[of] % min(PARTS, len(names))
    sums = np.zeros(2)
    for number in range(part.max() + 1):
        away, here = part != number, part == number
        if not away.any():
            return 0.0, 0.0  # a single group: nothing to compare by
        seen, unseen = (given[:, away], labels[away]), (given[:, here], labels[here])
        for index, weights in enumerate((_greedy(*seen, positive), np.ones(len(given)))):
            _, temperature = _loss(*seen, weights, positive)
            sums[index] += here.sum() * _loss(*unseen, weights, positive, temperature)[0]
    greedy, equal = (sums / len(labels)).tolist()
    return greedy, equal


def _loss(
    given: np.ndarray,
    labels: np.ndarray,
    weights: np.ndarray,
    positive: int | None,
    temperature: float | None = None,
) -> tuple[float, float]:
    """Return the log loss of weighted models at a temperature, else the best one, and the temperature."""
    used = weights > 0
    joint = mean_logits(list(given[used]), positive, weights[used].tolist())
    if temperature is None:
        two = joint.shape[1] == 2 and positive is not None
        temperature = (
            fit_temperature(labels == positive, log_odds_of(joint, positive))  # type: ignore[arg-type]
            if two
            else fit_temperature(labels, joint)
        )
    said = log_softmax(joint / temperature, axis=1)[np.arange(len(labels)), labels]
    return float(-said.mean()), temperature
