"""Features of a network as it was published, for another classifier: what its own classifier would see.

Sharif Razavian et al., CNN features off-the-shelf, CVPR workshops 2014, arXiv 1403.6382.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from search_space.progress import progress
from trials.data.images import to_tensor
from trials.data.inputs import PLAIN_BATCH, device
from trials.models.backbones import (
    Weights,
    build_backbone,
    check,
    head_of,
    load_backbone,
    modules_of,
    standardisation_of,
)
from trials.models.specs import Backbone, FrozenBackbone, Shape
from trials.models.square import Square
from trials.nni_host.watchdog import heartbeat

_CLASSES = 2  # of the classifier that is taken away


class FrozenFeatures(nn.Module):
    """Maps bytes [b, 3, side, side] to the features of a network without its classifier, float32 [b, d]."""

    def __init__(self, card: FrozenBackbone, network: nn.Module) -> None:
        super().__init__()
        self.card, self.network = card, network.eval()
        for name, values in (("mean", card.mean), ("std", card.std)):
            self.register_buffer(name, 255 * torch.tensor(values).view(-1, 1, 1))

    def forward(self, squares: Tensor) -> Tensor:
        """Return the features."""
        features: Tensor = self.network((squares.float() - self.get_buffer("mean")) / self.get_buffer("std"))
        return features.flatten(1)

    def of(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Return the features of images uint8 [h, w] or [h, w, 3]: float64 [n, d]."""
        starts = progress(range(0, len(images), PLAIN_BATCH), "batches of images turned to features")
        return np.concatenate([self._of(images[start : start + PLAIN_BATCH]) for start in starts])

    @torch.inference_mode()
    def _of(self, images: Sequence[np.ndarray]) -> np.ndarray:
        heartbeat()
        squares = to_tensor(images, *self.card.square).expand(-1, 3, -1, -1)
        features: Tensor = self.to(device())(squares.to(device()))
        return features.double().cpu().numpy()


def start_frozen(network: Backbone, square: Square, weights: Weights | None) -> FrozenFeatures:
    """Return a network's features of squares; without weights of random ones, drawn by PyTorch's seed.

    Raises ValueError for squares that it cannot take, and as `load_backbone` does.
    """
    shape = Shape(square.channels, _CLASSES, square.image_size)
    check(network, shape)
    made = build_backbone(network, shape)
    load_backbone(made, network, shape, weights)
    mean, std = standardisation_of(network)
    told = {"network": network, "image_size": square.image_size, "fit": square.fit, "mean": mean, "std": std}
    without = _without_classifier(made, network, shape)
    outputs = without(torch.zeros(1, *square.shape)).flatten(1).shape[1]
    return FrozenFeatures(FrozenBackbone.model_validate(told | {"outputs": outputs}), without)


def restore_frozen(card: FrozenBackbone, weights: Mapping[str, np.ndarray]) -> FrozenFeatures:
    """Return the features of a network with these weights; raises ValueError or RuntimeError for others."""
    shape = Shape(3, _CLASSES, card.image_size)
    made = _without_classifier(build_backbone(card.network, shape), card.network, shape)
    made.load_state_dict({name: torch.tensor(array) for name, array in weights.items()})
    frozen = FrozenFeatures(card, made)
    found = frozen.of([np.zeros(card.square.shape[1:], dtype=np.uint8)])
    if found.shape[1] != card.outputs or not np.isfinite(found).all():
        raise ValueError(f"{card.network.title}: expected {card.outputs} finite outputs of a black image")
    return frozen


def _without_classifier(made: nn.Module, network: Backbone, shape: Shape) -> nn.Module:
    """Return the network with nothing in place of the layers whose shape depends on the classes."""
    for name in modules_of(head_of(network, shape)):
        parent, _, own = name.rpartition(".")
        setattr(made.get_submodule(parent), own, nn.Identity())
    return made.eval()
