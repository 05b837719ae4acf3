"""Fitted classifiers as plain arrays: what scikit-learn's say, in NumPy and without its pickles.

After scikit-learn 1.9: `LogisticRegression`, `SVC` with an RBF kernel, `CalibratedClassifierCV` with Platt's
sigmoid. Of two classes the scores are log odds of the second [n], of k classes [n, k] are a column a class.
Support vectors, which are nearly all of a machine's numbers, are stored in 32 bits: on BUSI that changes log
odds by 1e-8 at most, and those of `features.gradients`, which have no more bits, not at all.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from itertools import combinations
from typing import Any, Self

import numpy as np
from scipy.spatial.distance import cdist
from scipy.special import expit

_TINY = 1e-300  # a probability above 0
_STORED: Mapping[str, type[np.floating[Any]]] = {"vectors": np.float32}  # all others in float64


@dataclass(frozen=True, eq=False)
class Classifier(ABC):
    """A function of features [n, d], which are standardised by `mean` and `scale` [d]."""

    mean: np.ndarray
    scale: np.ndarray

    @abstractmethod
    def scores(self, features: np.ndarray) -> np.ndarray:
        """Return the log odds of the second of two classes [n], or logits of more [n, k]."""

    @classmethod
    @abstractmethod
    def shapes(
        cls, arrays: Mapping[str, np.ndarray], features: int, classes: int
    ) -> dict[str, tuple[int, ...]]:
        """Return which shapes its arrays must have, by name."""

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray], features: int, classes: int) -> Self:
        """Return the classifier of these arrays; raises ValueError for those that cannot be."""
        for problem in cls._problems(arrays, features, classes):
            raise ValueError(problem)
        return cls(**arrays)

    @classmethod
    def _problems(cls, arrays: Mapping[str, np.ndarray], features: int, classes: int) -> Iterator[str]:
        """Yield what is wrong with the arrays of a file."""
        if odd := [
            name
            for name, array in arrays.items()
            if array.dtype not in (np.float64, _STORED.get(name, np.float64)) or not np.isfinite(array).all()
        ]:
            yield f"{', '.join(sorted(odd))}: expected finite numbers of 64 bits, of vectors of 32"
        shapes = cls.shapes(arrays, features, classes)
        found = {name: array.shape for name, array in arrays.items()}
        if found != shapes:
            yield f"found arrays {found}, expected {shapes}"
        for name in ("scale", "gamma"):
            if name in arrays and not (arrays[name] > 0).all():
                yield f"{name}: expected numbers above 0"

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """Its arrays as they are stored, by name.

        In rows, as safetensors writes memory as it lies: `findings/safetensors-numpy-order.sh`.
        """
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            name: np.ascontiguousarray(array, _STORED.get(name, np.float64))
            for name, array in found.items()
            if array is not None
        }

    def _standardised(self, features: np.ndarray) -> np.ndarray:
        scaled: np.ndarray = (features - self.mean) / self.scale
        return scaled


@dataclass(frozen=True, eq=False)
class Linear(Classifier):
    """A logistic regression: `weights` [r, d] and `bias` [r], r = 1 for two classes."""

    weights: np.ndarray
    bias: np.ndarray

    @classmethod
    def shapes(
        cls, arrays: Mapping[str, np.ndarray], features: int, classes: int
    ) -> dict[str, tuple[int, ...]]:
        """As `Classifier.shapes`."""
        rows = 1 if classes == 2 else classes
        return {"mean": (features,), "scale": (features,), "weights": (rows, features), "bias": (rows,)}

    def scores(self, features: np.ndarray) -> np.ndarray:
        """As `Classifier.scores`."""
        return _column_or_more(self._standardised(features) @ self.weights.T + self.bias)


@dataclass(frozen=True, eq=False)
class SupportVectors(Classifier):
    """An SVM of `vectors` [m, d] with the kernel exp(-gamma |x - v|^2).

    `coefficients` [p, m] and `bias` [p] give a decision value for each of the p pairs of classes: of two
    classes above 0 for the second, of more above 0 for the first of the pair. `sigmoids` [r, 2], of two
    classes one and else one a class, are slope a and offset b of Platt's p = 1 / (1 + exp(a f + b)); None:
    the decision values themselves are the scores.
    """

    vectors: np.ndarray
    coefficients: np.ndarray
    bias: np.ndarray
    gamma: np.ndarray  # [1]
    sigmoids: np.ndarray | None = None

    @classmethod
    def shapes(
        cls, arrays: Mapping[str, np.ndarray], features: int, classes: int
    ) -> dict[str, tuple[int, ...]]:
        """As `Classifier.shapes`; the number of vectors is theirs."""
        pairs, vectors = classes * (classes - 1) // 2, len(np.atleast_1d(arrays.get("vectors", 0)))
        calibrated = {"sigmoids": (1 if classes == 2 else classes, 2)} if "sigmoids" in arrays else {}
        return {
            "mean": (features,),
            "scale": (features,),
            "vectors": (vectors, features),
            "coefficients": (pairs, vectors),
            "bias": (pairs,),
            "gamma": (1,),
            **calibrated,
        }

    def scores(self, features: np.ndarray) -> np.ndarray:
        """As `Classifier.scores`."""
        values = self.decision_values(features)
        if self.sigmoids is None:
            return values
        slope, offset = self.sigmoids.T
        odds = -(slope * values.reshape(len(values), -1) + offset)
        return odds[:, 0] if odds.shape[1] == 1 else np.log(np.maximum(_shares(expit(odds)), _TINY))

    def decision_values(self, features: np.ndarray) -> np.ndarray:
        """Return the values [n] of two classes, of more the votes of the pairs, plus a share [n, k]."""
        distances = cdist(self._standardised(features), self.vectors, "sqeuclidean")
        values = np.exp(-self.gamma * distances) @ self.coefficients.T + self.bias
        return values[:, 0] if values.shape[1] == 1 else _votes(values)


def _column_or_more(values: np.ndarray) -> np.ndarray:
    return values[:, 0] if values.shape[1] == 1 else values


def _votes(values: np.ndarray) -> np.ndarray:
    """Return how many of its pairs each class wins, plus less than half for by how much: [n, k] of [n, p]."""
    k = round((1 + np.sqrt(1 + 8 * values.shape[1])) / 2)
    votes, sums = np.zeros((2, len(values), k))
    for column, (first, second) in zip(values.T, combinations(range(k), 2), strict=True):
        votes[:, first] += column >= 0
        votes[:, second] += column < 0
        sums[:, first] += column
        sums[:, second] -= column
    ranked: np.ndarray = votes + sums / (3 * (np.abs(sums) + 1))
    return ranked


def _shares(probabilities: np.ndarray) -> np.ndarray:
    """Return probabilities [n, k] of one class each against the rest, so that they sum to 1."""
    total = probabilities.sum(1, keepdims=True)
    alike = np.full_like(probabilities, 1 / probabilities.shape[1])
    return np.divide(probabilities, total, out=alike, where=total != 0)
