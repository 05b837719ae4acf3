"""Trained models in use, as modules of their own: of standardised images, or of bytes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from trials.data.batches import standardise_each
from trials.models.covariate_head import CovariateHead
from trials.models.description import ModelDescription
from trials.models.square import Square, input_names

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


class Inference(nn.Module, ABC):
    """A trained model of any kind from bytes to probabilities, with its temperature.

    It takes each of `squares`, uint8 [b, channels, side, side], and behind them, unless their number is 0,
    `covariates` float32 [b, d].

    The decision is made with what it returns: of two classes `log_odds` of the positive one are compared with
    those of the frozen threshold, which belongs to them and not to the calibrated ones; of more by
    `evaluation.decisions`.
    """

    squares: tuple[Square, ...]

    def __init__(self, card: ModelDescription) -> None:
        super().__init__()
        self.two, self.temperature = card.known.are_two, card.temperature
        self.positive = card.known.index or 0
        self.covariates = len(card.covariates.inputs) if card.covariates else 0

    @abstractmethod
    def logits(self, *inputs: Tensor) -> Tensor:
        """Map the inputs to logits [b, classes]."""

    def examples(self, count: int) -> dict[str, Tensor]:
        """Return inputs by name, all 0, of so many images."""
        names = input_names(self.squares)
        images = [torch.zeros(count, *square.shape, dtype=torch.uint8) for square in self.squares]
        beside = {"covariates": torch.zeros(count, self.covariates)} if self.covariates else {}
        return dict(zip(names, images, strict=True)) | beside

    def said(self, logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return, of logits [b, classes], the classes' probabilities [b, classes].

        Then come, of two classes, the calibrated probability [b] of the positive one and its log odds [b]; of
        more the calibrated probabilities [b, classes] and the log probabilities [b, classes].
        """
        if not self.two:
            return logits.softmax(1), (logits / self.temperature).softmax(1), logits.log_softmax(1)
        odds = log_odds(logits, self.positive)
        return logits.softmax(1), (odds / self.temperature).sigmoid(), odds


class InferenceModel(Inference):
    """A network with its standardisation and its mirror image."""

    def __init__(self, model: TrainedModel) -> None:
        card = model.description
        super().__init__(card)
        self.squares = (card.square,)
        self.inference_network = model.inference_network
        for name, values in (("mean", card.mean), ("std", card.std)):  # as `Batches` standardises
            self.register_buffer(name, 255 * torch.tensor(values).view(-1, 1, 1))

    def logits(self, images: Tensor, covariates: Tensor | None = None) -> Tensor:  # type: ignore[override]
        """Map images [b, channels, side, side], 0 to 255, and covariates [b, d] to logits [b, classes]."""
        mean, std = self.get_buffer("mean"), self.get_buffer("std")
        logits: Tensor = self.inference_network((images.float() - mean) / std, covariates)
        return logits

    def forward(self, images: Tensor, covariates: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Return `said` of uint8 images [b, channels, side, side], and covariates [b, d] if it takes some."""
        return self.said(self.logits(images, covariates))
