"""What a model says of an image, and which class the image is then called.

A model says logits [n, k], log probabilities but for a constant an image. Their canonical form is used
wherever they are kept or compared: of two classes the log odds of the positive one in its column and 0 in the
other, as log odds tell images apart whose probabilities round to the same number; of more classes log
probabilities.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, log_softmax, logsumexp, softmax

from trials.errors import EvaluationError
from trials.evaluation.calibration import mean_log_odds, ties_kept


def canonical(logits: ArrayLike, positive: int | None) -> np.ndarray:
    """Return logits [..., k] in the module's form; `positive` is the index of the positive of two classes."""
    given = np.asarray(logits, dtype=float)
    if given.shape[-1] > 2:
        normal: np.ndarray = log_softmax(given, axis=-1)
        return normal
    if positive is None:
        raise ValueError("of two classes one is positive; name it")
    return of_two(given[..., positive] - given[..., 1 - positive], positive)


def of_two(log_odds: ArrayLike, positive: int) -> np.ndarray:
    """Return canonical logits [..., 2] of log odds [...] of the class at `positive`."""
    odds = np.asarray(log_odds, dtype=float)
    columns = [odds, np.zeros_like(odds)]
    return np.stack(columns if positive == 0 else columns[::-1], axis=-1)


def log_odds_of(logits: np.ndarray, index: int) -> np.ndarray:
    """Return the log odds [...] of the class at `index` against all others, of logits [..., k].

    Of more than two classes equal probabilities have equal ones, whatever those of the other classes are.
    """
    others = np.delete(logits, index, axis=-1)
    if others.shape[-1] == 1:
        odds: np.ndarray = logits[..., index] - others[..., 0]
        return odds
    return ties_kept(logits[..., index] - logsumexp(others, axis=-1))


def class_log_odds(logits: ArrayLike) -> np.ndarray:
    """Return the log odds of each class against all others [..., k], of logits [..., k]."""
    given = np.asarray(logits, dtype=float)
    return np.stack([log_odds_of(given, index) for index in range(given.shape[-1])], axis=-1)


def probabilities(logits: ArrayLike, temperature: ArrayLike = 1.0) -> np.ndarray:
    """Return probabilities [n, k] of logits over a temperature, one or one an image.

    Raises ValueError for a temperature not above 0.
    """
    if not (np.asarray(temperature) > 0).all():
        raise ValueError(f"temperature {temperature!r}: expected a number above 0")
    divisor = np.asarray(temperature, dtype=float)[..., None]
    scaled = np.asarray(logits, dtype=float) / divisor
    if scaled.shape[-1] == 2:  # one of a canonical pair is 0: nothing is lost by rounding
        odds = scaled[..., 1] - scaled[..., 0]
        return np.stack([expit(-odds), expit(odds)], axis=-1)
    shares: np.ndarray = softmax(scaled, axis=-1)
    return shares


def mean_logits(
    logits: Sequence[np.ndarray], positive: int | None, weights: Sequence[float] | None = None
) -> np.ndarray:
    """Return the canonical logits [..., k] of several models' mean probability, of their logits [..., k].

    `weights`, one a model, are 0 or more, of any scale; None, or all the same: the models count alike.
    """
    given = np.stack(logits)
    shares = None if weights is None or len(set(weights)) == 1 else np.array(weights, dtype=float)
    if given.shape[-1] == 2 and positive is not None:
        return of_two(mean_log_odds(log_odds_of(given, positive), shares), positive)
    factors = None if shares is None else shares.reshape(-1, *[1] * (given.ndim - 1))
    together = logsumexp(log_softmax(given, axis=-1), axis=0, b=factors)
    return ties_kept(together - logsumexp(together, axis=-1, keepdims=True))


@dataclass(frozen=True, eq=False)
class Decision:
    """Which class an image is called, of its canonical logits [n, k].

    With `first`, the index of a class, that class where its log odds against all others reach `cutoff`, and
    else the likeliest other one. With `costs` [k, k], of calling class j what is class i, the class of least
    expected cost, by probabilities after `temperature`. With neither, the likeliest class. `cutoff` and
    `temperature` are one number, or one an image [n].
    """

    first: int | None = None
    cutoff: np.ndarray | float = 0.0
    costs: np.ndarray | None = None
    temperature: np.ndarray | float = 1.0

    def call(self, logits: np.ndarray) -> np.ndarray:
        """Return the index of the class that each image is called: int64 [n]."""
        if self.costs is not None:
            called: np.ndarray = self._expected(logits).argmin(-1)
            return called
        if self.first is None:
            likeliest: np.ndarray = logits.argmax(-1)
            return likeliest
        return np.where(log_odds_of(logits, self.first) >= self.cutoff, self.first, self._other(logits))

    def certainty(self, logits: np.ndarray) -> np.ndarray:
        """Return how far each call is from another one [n], on a scale of its own that only orders images."""
        if self.costs is not None:
            least = np.sort(self._expected(logits), axis=-1)
            margin: np.ndarray = least[..., 1] - least[..., 0]
            return margin
        if self.first is None:
            largest: np.ndarray = class_log_odds(logits).max(-1)
            return largest
        distance: np.ndarray = np.abs(log_odds_of(logits, self.first) - self.cutoff)
        return distance

    def cutoff_of(self, logits: np.ndarray, index: int) -> np.ndarray:
        """Return from which log odds up the class at `index` is called, an image each [n].

        Where that depends on more than its log odds, it lies below or above them by the call's certainty.
        """
        odds = log_odds_of(logits, index)
        if self.first == index:
            return np.broadcast_to(self.cutoff, odds.shape).astype(float)
        margin = np.maximum(self.certainty(logits), 1e-12)
        return np.where(self.call(logits) == index, odds - margin, odds + margin)

    def at(self, index: np.ndarray) -> Decision:
        """Return the decision about the images at `index`."""
        cutoff, temperature = (
            value if np.ndim(value) == 0 else np.asarray(value)[index]
            for value in (self.cutoff, self.temperature)
        )
        return replace(self, cutoff=cutoff, temperature=temperature)

    def _expected(self, logits: np.ndarray) -> np.ndarray:
        expected: np.ndarray = probabilities(logits, self.temperature) @ self.costs
        return expected

    def _other(self, logits: np.ndarray) -> np.ndarray:
        others = logits.astype(float, copy=True)
        others[..., self.first] = -np.inf
        other: np.ndarray = others.argmax(-1)
        return other


def behind_one_another(decisions: Sequence[Decision], counts: Sequence[int]) -> Decision:
    """Return one decision about images behind one another, of `counts` images each; raises as `together`."""
    cutoffs, temperatures = (
        np.concatenate(
            [np.broadcast_to(value, count) for value, count in zip(values, counts, strict=True)]
        ).astype(float)
        for values in ([one.cutoff for one in decisions], [one.temperature for one in decisions])
    )
    return replace(_one_rule(decisions), cutoff=cutoffs, temperature=temperatures)


def together(decisions: Sequence[Decision]) -> Decision:
    """Return the decision of models that decide as one, about their `mean_logits`.

    The mean of their probabilities stands against the mean of their thresholds; costs are weighed by their
    mean temperature; ours. Raises `EvaluationError` for decisions by different rules.
    """
    cutoff = mean_log_odds(np.array([one.cutoff for one in decisions]))
    temperature = np.mean(np.array([one.temperature for one in decisions]), axis=0)
    return replace(_one_rule(decisions), cutoff=cutoff, temperature=temperature)


def _alike(one: np.ndarray | None, other: np.ndarray | None) -> bool:
    return one is other or (one is not None and other is not None and np.array_equal(one, other))


def _one_rule(decisions: Sequence[Decision]) -> Decision:
    """Return any of the decisions, which differ in cutoff and temperature alone."""
    one, *others = decisions
    if any(one.first != other.first or not _alike(one.costs, other.costs) for other in others):
        raise EvaluationError(
            "models that call images by different rules (protocol.decision, sensitivity, costs) cannot "
            "decide together; take models, or runs of a method, of one rule"
        )
    return one
