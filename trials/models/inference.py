"""A trained network in use, as a module of its own: of standardised images, or of bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from trials.data.batches import standardise_each
from trials.models.covariate_head import CovariateHead

if TYPE_CHECKING:
    from trials.models.network import TrainedModel


def log_odds(logits: Tensor, positive: int) -> Tensor:
    """Return the log odds [b] of one class against all others, of logits [b, classes]."""
    others = torch.cat([logits[:, :positive], logits[:, positive + 1 :]], dim=1)
    return logits[:, positive] - others.logsumexp(1)


class InferenceNetwork(nn.Module):
    """A trained network as it is used; the options are those of the settings `data` and `retrain`."""

    def __init__(
        self, network: nn.Module, head: CovariateHead | None = None, *, per_image: bool, mirror: bool
    ) -> None:
        super().__init__()
        self.network, self.head, self.per_image, self.mirror = network, head, per_image, mirror

    def forward(self, images: Tensor, covariates: Tensor | None = None) -> Tensor:
        """Map images [b, channels, side, side], standardised together, to logits [b, classes].

        With a head `covariates` are its inputs [b, d]; without one they change nothing.
        """
        if self.per_image:
            images = standardise_each(images)
        logits: Tensor = self.network(images)
        if self.mirror:
            logits = (logits + self.network(images.flip(-1))) / 2
        if self.head is None:
            return logits
        if covariates is None:
            raise ValueError("the model takes covariates beside the images: give their inputs too")
        joined: Tensor = self.head(logits, covariates)
        return joined


class InferenceModel(nn.Module):
    """A trained model with its standardisation, its mirror image and its temperature.

    The decision is made with what it returns: of two classes `log_odds` of the positive one are compared with
    those of the frozen threshold, which belongs to them and not to the calibrated ones; of more by
    `evaluation.decisions`.
    """

    def __init__(self, model: TrainedModel) -> None:
        super().__init__()
        card = model.description
        self.inference_network = model.inference_network
        self.two, self.temperature = card.known.are_two, card.temperature
        self.positive = card.known.index or 0
        for name, values in (("mean", card.mean), ("std", card.std)):  # as `Batches` standardises
            self.register_buffer(name, 255 * torch.tensor(values).view(-1, 1, 1))

    def logits(self, images: Tensor, covariates: Tensor | None = None) -> Tensor:
        """Map images [b, channels, side, side], 0 to 255, and covariates [b, d] to logits [b, classes]."""
        mean, std = self.get_buffer("mean"), self.get_buffer("std")
        logits: Tensor = self.inference_network((images.float() - mean) / std, covariates)
        return logits

    def forward(self, images: Tensor, covariates: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Map uint8 images [b, channels, side, side], and covariates [b, d] where the model takes some, to
        the classes' probabilities [b, classes].

        Then come, of two classes, the calibrated probability [b] of the positive one and its log odds [b]; of
        more the calibrated probabilities [b, classes] and the log probabilities [b, classes].
        """
        logits = self.logits(images, covariates)
        if not self.two:
            return logits.softmax(1), (logits / self.temperature).softmax(1), logits.log_softmax(1)
        odds = log_odds(logits, self.positive)
        return logits.softmax(1), (odds / self.temperature).sigmoid(), odds
