"""Fitted classifiers of scikit-learn as modules of PyTorch: the same numbers in a graph that travels.

All compute in float64, as scikit-learn does: a support vector machine of more than two classes counts which
class of each pair wins, and another rounding would change a vote. Weights may be stored in float32.
"""

from __future__ import annotations

from itertools import combinations

import torch
from torch import Tensor, nn

_TINY = 1e-300  # a probability above 0


class Scaler(nn.Module):
    """Maps features [b, d] to the same, of which the first less `mean` and over `scale`, each [n]."""

    def __init__(self, mean: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)

    def forward(self, features: Tensor) -> Tensor:
        """Return the features, float64 [b, d]."""
        mean, scale = self.get_buffer("mean").double(), self.get_buffer("scale").double()
        features, count = features.double(), len(mean)
        return torch.cat([(features[:, :count] - mean) / scale, features[:, count:]], dim=1)


class Linear(nn.Module):
    """Maps features [b, d] to scores [b, k] by weights [k, d] and intercepts [k]: a logistic regression."""

    def __init__(self, weights: Tensor, intercepts: Tensor) -> None:
        super().__init__()
        self.register_buffer("weights", weights)
        self.register_buffer("intercepts", intercepts)

    def forward(self, features: Tensor) -> Tensor:
        """Return the scores, float64 [b, k]."""
        weights, intercepts = self.get_buffer("weights").double(), self.get_buffer("intercepts").double()
        return features.double() @ weights.T + intercepts


class SupportVectors(nn.Module):
    """Maps features [b, d] to scores as `sklearn.svm.SVC` with an RBF kernel does.

    `vectors` are [n, d], `coefficients` [pairs, n] and `intercepts` [pairs], a row a pair of classes. Of two
    classes the score [b, 1] is that of the second, of more there is one for each [b, k]: how many of its
    pairs a class wins, and a share of how clearly.
    """

    def __init__(self, vectors: Tensor, coefficients: Tensor, intercepts: Tensor, gamma: float) -> None:
        super().__init__()
        self.gamma = gamma
        self.register_buffer("vectors", vectors)
        self.register_buffer("coefficients", coefficients)
        self.register_buffer("intercepts", intercepts)
        pairs = len(intercepts)
        self.classes = round((1 + (1 + 8 * pairs) ** 0.5) / 2)  # of k classes k (k - 1) / 2 pairs
        for name, side in (("first", 0), ("second", 1)):
            chosen = [pair[side] for pair in combinations(range(self.classes), 2)]
            self.register_buffer(name, torch.eye(self.classes, dtype=torch.float64)[chosen])

    def forward(self, features: Tensor) -> Tensor:
        """Return the scores, float64 [b, 1 or k]."""
        sums = self._kernel(features.double()) @ self.get_buffer("coefficients").double().T
        margins = sums + self.get_buffer("intercepts").double()
        return margins if self.classes == 2 else self._votes(margins)

    def _kernel(self, features: Tensor) -> Tensor:
        """Return how near each image lies to each vector [b, n]."""
        vectors = self.get_buffer("vectors").double()
        lengths = features.square().sum(1, keepdim=True) + vectors.square().sum(1)
        return (-self.gamma * (lengths - 2 * features @ vectors.T).clamp(min=0)).exp()

    def _votes(self, margins: Tensor) -> Tensor:
        """Return each class's votes and share [b, k]; a margin from 0 up is the first class's of its pair."""
        first, second = self.get_buffer("first"), self.get_buffer("second")
        wins = (margins >= 0).double()
        clear = margins @ (first - second)
        return wins @ first + (1 - wins) @ second + clear / (3 * (clear.abs() + 1))


class Sigmoids(nn.Module):
    """Maps scores [b, 1 or k] to logits by Platt's sigmoids 1 / (1 + exp(slope score + offset)).

    Of two classes the logit [b, 1] is the log odds of the second; of more the logits [b, k] are the log
    probabilities, the sigmoids' shares of their sum: all alike where each is 0.
    """

    def __init__(self, slopes: Tensor, offsets: Tensor) -> None:
        super().__init__()
        self.register_buffer("slopes", slopes)
        self.register_buffer("offsets", offsets)

    def forward(self, scores: Tensor) -> Tensor:
        """Return the logits, float64 [b, 1 or k]."""
        odds = -(self.get_buffer("slopes").double() * scores + self.get_buffer("offsets").double())
        if len(self.get_buffer("slopes")) == 1:
            return odds
        shares = odds.sigmoid()
        total = shares.sum(1, keepdim=True)
        even = torch.full_like(shares, 1 / shares.shape[1])
        return torch.where(total > 0, shares / total.clamp(min=_TINY), even).clamp(min=_TINY).log()
