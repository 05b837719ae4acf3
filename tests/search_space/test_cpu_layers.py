"""A quick layer computes what the layer it stands in for does, and its gradients."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from search_space.cpu_layers import channels_last, quicken

LAYERS: dict[str, Callable[[int], nn.Module]] = {
    "depthwise 5x5": lambda c: nn.Conv2d(c, c, 5, padding=2, groups=c, bias=False),
    "depthwise 5x5 of stride 2": lambda c: nn.Conv2d(c, c, 5, 2, padding=2, groups=c, bias=False),
}
# The first two are small, the third leaves no remainder, the last is lower than a window.
SHAPES = [(4, 6, 8, 8), (3, 5, 5, 7), (2, 32, 32, 33), (3, 20, 34, 33), (40, 182, 3, 3)]


def results(layer: nn.Module, images: Tensor) -> list[Tensor]:
    """The output, the gradients of images and weights, and what the layer remembers."""
    given = images.clone().requires_grad_()
    output = layer(given)
    upstream = torch.randn(output.shape, generator=torch.Generator().manual_seed(1))
    gradients = torch.autograd.grad(output, [given, *layer.parameters()], upstream)
    return [output, *gradients, *layer.buffers()]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", LAYERS)
def test_a_quick_layer_computes_what_the_layer_does(kind: str, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    slow = LAYERS[kind](shape[1]).to(memory_format=torch.channels_last)
    with torch.no_grad():
        for weight in slow.parameters():
            weight.normal_()
    quick = deepcopy(slow)
    quicken(quick)
    images = (3 + 2 * torch.randn(shape)).contiguous(memory_format=torch.channels_last)
    for one, other in zip(results(slow, images), results(quick, images), strict=True):
        torch.testing.assert_close(other, one, rtol=1e-3, atol=1e-3)


def network() -> nn.Module:
    layers = nn.Sequential(nn.Conv2d(6, 6, 5, padding=2, groups=6, bias=False))
    quicken(layers)
    return layers


IMAGES = torch.randn(2, 6, 74, 74)


def is_quick(layers: nn.Module, images: Tensor) -> bool:
    return layers(images).grad_fn.name() == "_DepthwiseBackward"


def test_training_channels_last_is_quick() -> None:
    assert is_quick(network(), IMAGES.contiguous(memory_format=torch.channels_last))


@pytest.mark.parametrize("unfit", ["in use", "other memory layout", "double", "small"])
def test_what_a_quick_layer_was_not_made_for_is_left_to_the_layer(unfit: str) -> None:
    layers, images = network(), IMAGES[..., :73] if unfit == "small" else IMAGES
    if unfit == "in use":
        layers.eval()
    if unfit != "other memory layout":
        images = images.contiguous(memory_format=torch.channels_last)
    if unfit == "double":
        layers, images = layers.double(), images.double()
    assert not is_quick(layers, images)


def test_a_quick_networks_copy_has_weights_of_its_own() -> None:
    one = network()
    other = deepcopy(one)
    with torch.no_grad():
        one[0].weight.zero_()
    images = torch.ones(2, 6, 8, 8).contiguous(memory_format=torch.channels_last)
    assert other[0](images).any() and not one[0](images).any()
    assert list(one.state_dict()) == list(other.state_dict())


def test_channels_last_changes_no_output_and_leaves_no_strided_pointwise_convolution() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.Conv2d(4, 6, 1, stride=2),
        nn.Conv2d(6, 2, 1, stride=(1, 2), padding=1),
    )
    images = torch.randn(2, 3, 9, 9)
    before = network(images)
    channels_last(network)
    after = network(images)
    assert torch.allclose(before, after, atol=1e-6)
    assert after.is_contiguous(memory_format=torch.channels_last)
    assert all(layer.stride == (1, 1) for layer in network)


def test_channels_last_takes_networks_of_volumes_too() -> None:
    network = nn.Conv3d(1, 2, 3)
    channels_last(network)
    assert network(torch.zeros(1, 1, 4, 4, 4)).shape == (1, 2, 2, 2, 2)
