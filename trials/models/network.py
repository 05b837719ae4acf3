"""A trained network: its weights, and all that is needed to rebuild and use it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
import torch
from pydantic import Field, model_validator
from safetensors import SafetensorError
from safetensors.torch import load as load_weights
from safetensors.torch import save as dump_weights
from torch import Tensor, nn

from trials.data.augment import Plain, Policy
from trials.data.batches import Batches
from trials.data.covariates import Table
from trials.data.images import to_tensor
from trials.data.inputs import PLAIN_BATCH, device
from trials.errors import ModelError
from trials.evaluation.decisions import canonical
from trials.files import write_atomically
from trials.models import zoo
from trials.models.covariate_head import PREFIX, CovariateHead
from trials.models.description import ModelDescription, write_description
from trials.models.inference import InferenceNetwork
from trials.models.model import Model, refuse_not_finite, refuse_other_images
from trials.models.specs import Network, Shape
from trials.models.square import Fit, Square
from trials.nni_host.watchdog import heartbeat
from trials.runs.folder import read
from trials.runs.layout import MODEL_FILE, WEIGHTS
from trials.settings.section import LARGEST_SIDE


class NetworkDescription(ModelDescription):
    """What `model.json` holds of a network.

    Images are made square by `fit`, scaled to 0..1 and standardised by `mean` and `std`. With `per_image`
    each is standardised once more by its own grey levels (`standardise_each`); with `mirror` the logits are
    the mean of those for the image and for its mirror image, left to right.
    """

    kind: Literal["network"] = "network"
    network: Network
    channels: Literal[1, 3]
    image_size: int = Field(ge=1, le=LARGEST_SIDE)
    fit: Fit
    mean: tuple[float, ...]  # one value, or one a channel
    std: tuple[Annotated[float, Field(gt=0)], ...]
    per_image: bool = False
    mirror: bool = False

    @property
    def square(self) -> Square:
        """What the network sees of an image."""
        return Square(self.image_size, self.fit, self.channels)

    @model_validator(mode="after")
    def _standardises_each_channel(self) -> Self:
        if len(self.mean) not in (1, self.channels) or len(self.mean) != len(self.std):
            raise ValueError(f"mean {self.mean} and std {self.std}: expected one value, or {self.channels}")
        return self

    def build(self) -> nn.Module:
        """Return the untrained network; raises ValueError for a network that cannot be."""
        return zoo.build(self.network, Shape(self.channels, len(self.classes), self.image_size))

    def build_head(self) -> CovariateHead | None:
        """Return what takes the covariates, not fitted; None: there are none."""
        coding = self.covariates
        return CovariateHead(len(coding.inputs), len(self.classes)) if coding else None


@dataclass(frozen=True, eq=False)
class TrainedModel(Model):
    """A network with its weights, and what it needs to be used.

    `head` takes the covariates; None: the model takes images alone.
    """

    network: nn.Module
    description: NetworkDescription
    name: str = "the network"  # in errors
    head: CovariateHead | None = None

    @property
    def inference_network(self) -> nn.Module:
        """What maps standardised images [b, channels, side, side], and covariates [b, inputs] where the model
        takes some, to the logits that count.
        """
        card = self.description
        return InferenceNetwork(self.network, self.head, per_image=card.per_image, mirror=card.mirror)

    def logits(
        self, images: Sequence[np.ndarray], view: Policy | None = None, covariates: Table | None = None
    ) -> np.ndarray:
        """As `Model.logits`; `view` is of the square images."""
        refuse_other_images(images, self.name)
        card, beside = self.description, self.inputs(covariates, images)
        squares = to_tensor(images, card.image_size, card.fit, card.channels)
        batches = Batches(
            squares,
            np.zeros(len(squares), dtype=np.int64),  # nothing is asked about labels
            batch_size=PLAIN_BATCH,
            shuffle=False,
            seed=0,
            channels=card.channels,
            mean=card.mean,
            std=card.std,
            augment=view or Plain,
            device=device(),
        )
        logits = network_logits(replace(self, head=None).inference_network, batches)
        if self.head is not None and beside is not None:
            logits = self.head.join(logits, beside)
        refuse_not_finite(logits, self.name)
        return canonical(logits, card.known.index)


def network_logits(network: nn.Module, batches: Batches) -> np.ndarray:
    """Return the logits of a network, float64 [n, k], in the order of the batches."""
    network = network.to(device()).to(memory_format=torch.channels_last).eval()
    with torch.inference_mode():
        logits = []
        for images, _ in batches:
            heartbeat()
            logits.append(network(images.contiguous(memory_format=torch.channels_last)))
    return torch.cat(logits).double().cpu().numpy()


def save_network(
    folder: Path, network: nn.Module, description: NetworkDescription, head: CovariateHead | None = None
) -> None:
    """Write `model.json` and the weights; the auxiliary head, which only training needs, is left out."""
    beside = head.state_dict(prefix=PREFIX) if head else {}
    weights = {
        name: tensor.cpu().contiguous()
        for name, tensor in {**network.state_dict(), **beside}.items()
        if not name.startswith("auxiliary_head.")
    }
    write_atomically(folder / WEIGHTS, dump_weights(weights))
    write_description(folder, description)


def load_network(folder: Path, description: NetworkDescription) -> TrainedModel:
    """Read a network's weights; raises `ModelError` for missing or unfitting ones, and as `read` does."""
    try:
        network, head = description.build(), description.build_head()
    except (ValueError, RuntimeError, MemoryError) as error:  # the last two: too large
        raise ModelError(f"{folder / MODEL_FILE}: describes no network of ours: {error}") from None
    try:
        weights: dict[str, Tensor] = load_weights(read(folder / WEIGHTS))
        _load_weights(network, head, weights)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise ModelError(
            f"{folder / WEIGHTS}: not the weights that {MODEL_FILE} describes: {error}"
        ) from None
    _refuse_weights(folder / WEIGHTS, weights)
    return TrainedModel(network.eval(), description, str(folder / WEIGHTS), head)


def _load_weights(network: nn.Module, head: CovariateHead | None, weights: Mapping[str, Tensor]) -> None:
    """Raises `RuntimeError` for weights that are missing, or of another network."""
    beside = {name: weight for name, weight in weights.items() if head and name.startswith(PREFIX)}
    network.load_state_dict({name: weight for name, weight in weights.items() if name not in beside})
    if head:
        head.load_state_dict({name.removeprefix(PREFIX): weight for name, weight in beside.items()})


def _refuse_weights(path: Path, weights: Mapping[str, Tensor]) -> None:
    for name, tensor in weights.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            value = tensor[~tensor.isfinite()][0].item()
            raise ModelError(
                f"{path}: {name} holds {value}, expected finite numbers: its training has diverged or the "
                "file is damaged; put it back, or train it again with a lower retrain.learning_rate"
            )
