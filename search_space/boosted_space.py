"""Boosted EfficientNet's choices around shared pretrained weights, to be searched in one training.

`BoostedEfficientNet` lists its choices for strategies that train a network for each. Here one network holds
all of them as NNI's `LayerChoice`s, so that a one-shot strategy (:mod:`strategies`) trains them together. It
starts from weights of other images, and what a choice adds to them starts as an identity: at first every
architecture of one downsampling computes the same. Every tensor is [batch, channels, height, width].
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from copy import copy, deepcopy
from dataclasses import asdict, dataclass
from os import PathLike
from typing import Any, Self

import numpy as np
import torch
from nni.nas.nn.pytorch import LayerChoice
from nni.nas.space import model_context
from torch import Tensor, nn
from torch.nn import functional

from search_space.boosted_efficientnet import (
    CBAM,
    CHOICES,
    FROZEN,
    FUSED,
    LAST,
    STAGES,
    UNSTRIDED,
    BoostedEfficientNet,
    Weights,
    stage_widths,
)
from search_space.enas.network import ModelSpace
from search_space.strict_json import dump_json, parse_json

SHARED: dict[str, tuple[Any, ...]] = {  # by label; the first ones are the library's network, all trained
    "downsampling": CHOICES["downsampling"],
    "attention": ("library", "cbam"),
    "fusion": CHOICES["fusion"],
    "frozen": FROZEN,
}


@dataclass(frozen=True)
class BoostedArchitecture:
    """One network of the space, as plain data; the values are those of `SHARED`, by default the first ones.

    Raises ValueError for another value.
    """

    downsampling: int = 32
    attention: str = "library"
    fusion: bool = False
    frozen: int = 0

    def __post_init__(self) -> None:
        for label, value in asdict(self).items():
            if _name(value) not in map(_name, SHARED[label]):
                raise ValueError(
                    f"{label} is one of {', '.join(map(_name, SHARED[label]))}, not {value!r:.60}"
                )

    @classmethod
    def from_sample(cls, sample: Mapping[str, Any]) -> Self:
        """Read NNI's sample, the name of a value for each label; raises ValueError for anything else."""
        if not isinstance(sample, Mapping) or sample.keys() != SHARED.keys():
            raise ValueError(f"expected the labels {', '.join(SHARED)}, not {sample!r:.60}")
        values = {label: {_name(value): value for value in SHARED[label]} for label in SHARED}
        chosen: dict[str, Any] = {label: values[label].get(str(name), name) for label, name in sample.items()}
        return cls(**chosen)

    def to_sample(self) -> dict[str, str]:
        """Return NNI's sample."""
        return {label: _name(value) for label, value in self.chosen.items()}

    @property
    def chosen(self) -> dict[str, Any]:
        """The value of each label, as settings and `BoostedEfficientNet` have them."""
        return asdict(self)

    @property
    def row(self) -> dict[str, str]:
        """What a table's columns hold of it."""
        return self.to_sample()

    @classmethod
    def random(cls, seed: int) -> Self:
        """Draw every choice uniformly."""
        generator = np.random.default_rng(seed)
        return cls(**{label: values[generator.integers(len(values))] for label, values in SHARED.items()})

    @classmethod
    def parse(cls, content: bytes, path: str | PathLike[str]) -> Self:
        """Read the content of a sample's JSON file; raises ValueError that names `path`."""
        try:
            return cls.from_sample(parse_json(content))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path} is no architecture of this space: {error}") from None

    def to_json(self) -> str:
        """Return the sample as a JSON text."""
        return f"{dump_json(self.to_sample())}\n"


class BoostedSpace(ModelSpace):
    """EfficientNet with all choices of `SHARED` in place; `freeze` gives the network of one sample.

    `downsampling`: strided convolutions of stages 4 and 6, and the same without their stride, of one weight.

    `attention`: nothing or a `CBAM`, which starts as an identity, after each stage.

    `fusion`: the means of stages 3 and 5 reach the classifier or are zeros; its weights of them start at
    zero.

    `frozen`: the stem and so many stages as they are trained, or an untouched copy of them. With the shared
    weights alone, which other architectures train, architectures that freeze more could not be told apart.

    Args:
        variant: as `BoostedEfficientNet`'s.
        classes: number of logits.
        weights: where all starts, such as `imagenet_weights(variant)`.

    Raises as `BoostedEfficientNet`.
    """

    trace_args: tuple[Any, ...]  # those of the constructor, as NNI keeps them
    trace_kwargs: dict[str, Any]

    def __init__(self, variant: str, *, classes: int, weights: Weights) -> None:
        super().__init__()
        self._start = {"variant": variant, "classes": classes, "weights": weights}
        network = _build(BoostedArchitecture(), **self._start)
        widths = stage_widths(network.features)
        self.avgpool = network.avgpool
        self.features = nn.Sequential(*_parts(network.features, widths))
        self.fusion = _fusion(sum(widths[stage] for stage in FUSED))
        self.classifier = _widened(network.classifier, sum(widths[stage] for stage in FUSED))

    def forward(self, images: Tensor) -> Tensor:
        """Map images [b, 3, h, w] to logits [b, classes]."""
        vectors = []
        for index, part in enumerate(self.features):
            images = part(images)
            if index in (*FUSED, LAST):
                vectors.append(self.avgpool(images).flatten(1))
        logits: Tensor = self.classifier(self.fusion(torch.cat(vectors, dim=1)))
        return logits

    def freeze(self, sample: Mapping[str, Any]) -> BoostedEfficientNet:
        """Build the network of a sample as `BoostedEfficientNet` does, from the weights given at first."""
        return _build(BoostedArchitecture.from_sample(sample), **self._start)


def _build(architecture: BoostedArchitecture, **start: Any) -> BoostedEfficientNet:
    chosen = {**architecture.chosen, "cropping": "none"}
    frozen = chosen.pop("frozen")
    with model_context(chosen):
        return BoostedEfficientNet(**start, frozen=frozen)


def _name(value: object) -> str:
    """Return the name of a value in NNI's samples: candidates of a `LayerChoice` are named by texts."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _choice(label: str, candidates: Iterable[nn.Module]) -> LayerChoice:
    """Return a choice among modules, one for each value; the same one may stand for several."""
    named = dict(zip(map(_name, SHARED[label]), candidates, strict=True))
    return LayerChoice(named, label=label)


def _parts(features: nn.Sequential, widths: Mapping[int, int]) -> Iterator[nn.Module]:
    """Yield stem, stages and last convolution, each with its choices."""
    for index, part in enumerate(features):
        untouched = deepcopy(part).requires_grad_(False)
        for one in (part, untouched):
            _let_choose_stride(one, index)
        copies = (untouched if frozen and index <= frozen else part for frozen in FROZEN)
        chosen = _choice("frozen", copies)
        if index in STAGES:
            attention = _choice("attention", (nn.Identity(), CBAM(widths[index], neutral=True)))
            yield nn.Sequential(chosen, attention)
        else:
            yield chosen


def _let_choose_stride(part: nn.Module, stage: int) -> None:
    """Let the strided convolution of a stage, where it may go without, have its stride or none."""
    if not any(stage in stages for stages in UNSTRIDED.values()):
        return
    for parent in list(part.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, nn.Conv2d) and layer.stride != (1, 1):
                unstrided = copy(layer)  # of the same weights
                unstrided.stride = (1, 1)
                kept = (unstrided if stage in UNSTRIDED[by] else layer for by in SHARED["downsampling"])
                setattr(parent, name, _choice("downsampling", kept))


class _Without(nn.Module):
    """Makes the first `features` zeros."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.features = features

    def forward(self, vectors: Tensor) -> Tensor:
        """Keep the shape [b, features]."""
        return functional.pad(vectors[:, self.features :], (self.features, 0))


def _fusion(joined: int) -> LayerChoice:
    return _choice("fusion", (_Without(joined), nn.Identity()))


def _widened(classifier: Any, joined: int) -> nn.Sequential:
    """Return the classifier with so many inputs more, before its own; their weights are zero."""
    dropout, narrow = classifier
    head = nn.Linear(joined + narrow.in_features, narrow.out_features)
    with torch.no_grad():
        head.weight.copy_(functional.pad(narrow.weight, (joined, 0)))
        head.bias.copy_(narrow.bias)
    return nn.Sequential(dropout, head)
