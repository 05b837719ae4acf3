"""A frozen model as one network: from the bytes of square images to probabilities, nothing left outside."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from trials.models.model_file import TrainedModel, log_odds


class InferenceModel(nn.Module):
    """A trained model with its standardisation, its mirror image and its temperature.

    The decision itself is a comparison: `log_odds` of the positive class against those of the frozen
    threshold, which belongs to them and not to the calibrated ones.
    """

    def __init__(self, model: TrainedModel) -> None:
        super().__init__()
        card = model.description
        self.inference_network = model.inference_network
        self.positive, self.temperature = card.classes.index(card.positive), card.temperature
        self.limit = card.log_odds_limit
        for name, values in (("mean", card.mean), ("std", card.std)):  # as `Batches` standardises
            self.register_buffer(name, 255 * torch.tensor(values).view(-1, 1, 1))

    def logits(self, images: Tensor) -> Tensor:
        """Map images [b, channels, side, side], 0 to 255, to logits [b, classes]."""
        mean, std = self.get_buffer("mean"), self.get_buffer("std")
        logits: Tensor = self.inference_network((images.float() - mean) / std)
        return logits

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map uint8 images [b, channels, side, side] to the classes' probabilities [b, classes], and of the
        positive class the calibrated probability [b] and the log odds [b].
        """
        logits = self.logits(images)
        odds = log_odds(logits, self.positive)
        kept = odds if self.limit is None else odds.clamp(-self.limit, self.limit)
        return logits.softmax(1), (kept / self.temperature).sigmoid(), odds
