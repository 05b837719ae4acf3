"""A trained network on disk: its weights, and `model.json`, all that is needed to rebuild and use it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from nni.nas.space import model_context
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as load_weights
from safetensors.torch import save as dump_weights
from torch import Tensor, nn

from search_space.architecture import Architecture
from search_space.files import write_atomically
from search_space.network import EnasSpace
from trials.data.batches import Batches
from trials.data.images import to_tensor
from trials.inputs import PLAIN_BATCH, device
from trials.run_folder import read_json
from trials.settings import Section

DESCRIPTION, WEIGHTS = "model.json", "model.safetensors"


class ModelError(ValueError):
    """A folder that holds no model of ours, or a damaged one."""


class ModelDescription(Section):
    """What `model.json` holds.

    Images are made square by `fit`, scaled to 0..1 and standardised by `mean` and `std`. `threshold` is
    where the probability of `positive` becomes a positive diagnosis, frozen after training.
    """

    architecture: dict[str, Any]  # NNI's sample
    layout: str
    filters: int
    channels: Literal[1, 3]
    classes: tuple[str, ...]  # in the order of the logits
    positive: str
    image_size: int
    fit: Literal["squash", "pad"]
    mean: tuple[float, ...]  # one value, or one a channel
    std: tuple[float, ...]
    threshold: float
    not_for: str = "clinical use: made for research, never validated on patients"

    def build(self, **options: Any) -> EnasSpace:
        """Return the untrained network; `options` are those of `EnasSpace` that matter in training alone."""
        with model_context(self.architecture):
            return EnasSpace(
                self.layout,
                filters=self.filters,
                channels=self.channels,
                classes=len(self.classes),
                nodes=Architecture.from_sample(self.architecture).nodes,
                image_size=self.image_size,
                **options,
            )


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A network with its weights, and what it needs to be used."""

    network: nn.Module
    description: ModelDescription

    def probabilities(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Return the probability of the positive class [n]; images are uint8 [h, w] or [h, w, 3]."""
        card = self.description
        squares = to_tensor(images, card.image_size, card.fit)
        batches = Batches(
            squares,
            np.zeros(len(squares), dtype=np.int64),  # nothing is asked about labels
            batch_size=PLAIN_BATCH,
            shuffle=False,
            seed=0,
            channels=card.channels,
            mean=card.mean,
            std=card.std,
            device=device(),
        )
        return positive_probabilities(self.network, batches, card.classes.index(card.positive))


def positive_probabilities(network: nn.Module, batches: Batches, positive: int) -> np.ndarray:
    """Return the softmax probability of class `positive`, float64 [n], in the order of the batches."""
    network = network.to(device()).to(memory_format=torch.channels_last).eval()
    with torch.inference_mode():
        logits = [network(images.contiguous(memory_format=torch.channels_last)) for images, _ in batches]
    return torch.cat(logits).double().softmax(1)[:, positive].cpu().numpy()


def save_model(folder: Path, network: nn.Module, description: ModelDescription) -> None:
    """Write both files; the auxiliary head, which only training needs, is left out."""
    weights = {
        name: tensor.cpu().contiguous()
        for name, tensor in network.state_dict().items()
        if not name.startswith("auxiliary_head.")
    }
    write_atomically(folder / WEIGHTS, dump_weights(weights))
    write_atomically(folder / DESCRIPTION, (description.model_dump_json(indent=2) + "\n").encode())


def load_description(folder: Path) -> ModelDescription:
    """Read `model.json`; raises `ModelError` that names what is wrong with it."""
    path = folder / DESCRIPTION
    if not path.is_file():
        raise ModelError(f"{folder}: holds no {DESCRIPTION}; name the output folder of a finished retraining")
    try:
        return ModelDescription.model_validate(read_json(path))
    except ValidationError as error:
        problems = "; ".join(f"{problem['loc'][0]}: {problem['msg']}" for problem in error.errors())
        raise ModelError(f"{path}: not a description of a model: {problems}") from None


def load_model(folder: Path) -> TrainedModel:
    """Read a trained model; raises `ModelError` for missing, damaged or unfitting files."""
    description = load_description(folder)
    network = description.build(dropout=0.0, drop_path=0.0)
    try:
        weights: dict[str, Tensor] = load_weights((folder / WEIGHTS).read_bytes())
        network.load_state_dict(weights)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise ModelError(
            f"{folder / WEIGHTS}: not the weights that {DESCRIPTION} describes: {error}"
        ) from None
    return TrainedModel(network.eval(), description)
