"""How a trained network takes covariates: beside it stands a linear layer of them, and logits are added.

A network knows its training images by heart. Learned together with it, covariates find nothing left to
explain, and its logits for new images are overconfident beside theirs: in a comparison on BUS-BRA that gained
nothing over the network alone (docs/how-to/covariates.md). So the layer is a logistic regression of its own
on the training images, and the shares of network and layer are fitted on the validation images, which neither
has learned from. The network is trained as it is without covariates.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.special import log_softmax
from torch import Tensor, nn

PREFIX = "covariates."  # of the names of its weights beside the network's
_LEAST = 1e-3  # share of the network, of its spread: logits are never all alike; ours


class CovariateHead(nn.Module):
    """Maps logits [b, classes] of a network and covariates [b, inputs] to logits [b, classes]."""

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        self.layer = nn.Linear(inputs, classes)
        self.register_buffer("shares", torch.ones(2))  # of the network and of the layer

    def forward(self, logits: Tensor, covariates: Tensor) -> Tensor:
        """Return the logits that count."""
        network, layer = self.get_buffer("shares")
        joined: Tensor = network * logits + layer * self.layer(covariates)
        return joined

    def alone(self, covariates: np.ndarray) -> np.ndarray:
        """Return the layer's own logits, float64 [n, classes]."""
        weight, bias = (one.detach().double().cpu().numpy() for one in (self.layer.weight, self.layer.bias))
        logits: np.ndarray = covariates.astype(float) @ weight.T + bias
        return logits

    def join(self, logits: np.ndarray, covariates: np.ndarray) -> np.ndarray:
        """Return what `forward` does, in float64 [n, classes]."""
        network, layer = self.get_buffer("shares").double().tolist()
        joined: np.ndarray = network * logits + layer * self.alone(covariates)
        return joined

    def fit_layer(self, covariates: np.ndarray, labels: np.ndarray, *, balanced: bool) -> None:
        """Fit the layer on inputs [n, inputs] and labels [n]; `balanced` weighs the classes alike."""
        from sklearn.linear_model import LogisticRegression  # imported late: seconds

        weighting = "balanced" if balanced else None
        fitted = LogisticRegression(class_weight=weighting, max_iter=1000).fit(covariates, labels)
        weight, bias = fitted.coef_, fitted.intercept_
        if len(weight) == 1:  # of two classes, the log odds of the second
            weight, bias = (np.concatenate([-half, half]) for half in (weight / 2, bias / 2))
        with torch.no_grad():
            self.layer.weight.zero_()
            self.layer.bias.zero_()
            self.layer.weight[fitted.classes_] = torch.from_numpy(weight).float()
            self.layer.bias[fitted.classes_] = torch.from_numpy(bias).float()

    def take_shares(self, other: CovariateHead) -> None:
        """Take the shares of another one."""
        self.get_buffer("shares").copy_(other.get_buffer("shares"))

    def fit_shares(self, logits: np.ndarray, covariates: np.ndarray, labels: np.ndarray) -> None:
        """Fit both shares by the network's logits for validation images [n, classes], none below 0.

        By maximum likelihood with scikit-learn's penalty for standardised inputs, so that few images cannot
        make them endless.
        """
        from scipy.optimize import minimize  # late: takes a quarter of a second, and predictions need none

        parts = [logits - logits.mean(1, keepdims=True), self.alone(covariates)]
        spreads = [float(part.std()) or 1.0 for part in parts]
        scaled = np.stack([part / spread for part, spread in zip(parts, spreads, strict=True)])
        images = np.arange(len(labels))

        def loss(shares: np.ndarray) -> float:
            joined = np.tensordot(shares, scaled, 1)
            return float(shares @ shares / 2 - log_softmax(joined, axis=1)[images, labels].sum())

        found = minimize(loss, np.ones(2), bounds=[(_LEAST, None), (0, None)], method="L-BFGS-B").x
        with torch.no_grad():
            self.get_buffer("shares").copy_(torch.from_numpy(found / spreads))
