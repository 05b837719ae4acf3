"""Networks that can be trained, as plain data: what `model.json` holds of one and `zoo.build` makes it of."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field

from trials.models.square import Fit, Square
from trials.settings.schema import BoostedSettings
from trials.settings.section import LARGEST_SIDE, Section

Library = Literal["timm", "torchvision"]  # whose networks can be had by name
_Positive = Annotated[float, Field(gt=0)]
NOT_FOR = "clinical use: made for research, never validated on patients"  # a model


class Shape(NamedTuple):
    """What a network maps: square images of `side` pixels to `classes` logits."""

    channels: int
    classes: int
    side: int


class CellNetwork(Section):
    """The final network of one architecture in one layout."""

    kind: Literal["cells"] = "cells"
    architecture: dict[str, Any]  # NNI's sample
    layout: str
    filters: int
    stem_stride: Literal[1, 2, 4] = 1
    output_norm: bool = False


class KnownNetwork(Section):
    """A network that nobody searched for, by its name; it brings its own regularisation."""

    kind: Literal["alexnet", "cnn3", "resnet18", "efficientnet_b0", "efficientnet_lite0"]


class BoostedNetwork(BoostedSettings):
    """One choice of Boosted EfficientNet's space; `cropping` tells how it was trained and changes nothing."""

    kind: Literal["boosted_efficientnet"] = "boosted_efficientnet"
    cropping: Literal["none", "random_center"] = "none"


class Backbone(Section):
    """An image classifier of timm or torchvision, by that library's name for it."""

    kind: Literal["backbone"] = "backbone"
    library: Library
    name: str

    @property
    def method(self) -> str:
        """The name of the method that trains it, and of its runs' folders."""
        return f"{self.library}-{self.name}"

    @property
    def title(self) -> str:
        """Its name as a user gives it."""
        return f"{self.library}:{self.name}"


class FrozenBackbone(Section):
    """A backbone as it was published: another classifier takes the `outputs` that its own would see.

    Images are made square by `fit`, scaled to 0..1 and standardised by `mean` and `std`, as for its training.
    """

    network: Backbone
    image_size: int = Field(ge=1, le=LARGEST_SIDE)
    fit: Fit
    mean: tuple[float, float, float]
    std: tuple[_Positive, _Positive, _Positive]
    outputs: int = Field(ge=1)

    @property
    def square(self) -> Square:
        """What the network sees of an image."""
        return Square(self.image_size, self.fit, 3)


Network = Annotated[CellNetwork | KnownNetwork | BoostedNetwork | Backbone, Field(discriminator="kind")]
