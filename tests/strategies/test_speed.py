"""What makes a search faster does not change what it computes."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from nni.nas.hub.pytorch.nasnet import ENAS as HubSpace
from nni.nas.hub.pytorch.nasnet import NDS, FactorizedReduce
from nni.nas.oneshot.pytorch.supermodule.base import BaseSuperNetModule
from torch import nn

from search_space.operations import even_and_odd
from strategies import RandomSampling
from strategies.speed import QuickReduction, channels_last, zero_gradients


@pytest.mark.parametrize(("height", "width"), [(6, 6), (7, 7), (6, 9)])
def test_a_stride_of_two_reads_even_and_odd_pixels_with_zeros_beyond_the_border(
    height: int, width: int
) -> None:
    images = torch.arange(1.0, 1 + height * width).view(1, 1, height, width)
    even, odd = even_and_odd(images)
    assert torch.equal(even, images[:, :, ::2, ::2])
    assert torch.equal(odd, nn.functional.pad(images, (0, 1, 0, 1))[:, :, 1::2, 1::2])


@pytest.mark.parametrize("side", [8, 9])
def test_a_quick_reduction_computes_what_the_hubs_reduction_does_and_its_gradient(side: int) -> None:
    torch.manual_seed(0)
    slow = FactorizedReduce(4, 6)
    quick = QuickReduction(deepcopy(slow))
    images = torch.randn(2, 4, side, side)
    outputs, gradients = [], []
    for module in (slow, quick):
        given = images.clone().requires_grad_()
        output = module(given)
        output.square().mean().backward()
        outputs.append(output)
        gradients.append(given.grad)
    assert torch.allclose(*outputs, atol=1e-6)
    assert torch.allclose(gradients[0], gradients[1], atol=1e-6)


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


def test_gradients_in_one_buffer_gather_what_backward_gives_and_are_zeroed_together() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3, groups=4), nn.Flatten(), nn.Linear(16, 2)
    ).to(memory_format=torch.channels_last)
    plain = deepcopy(network)
    [buffer] = zero_gradients(network.parameters())
    images = torch.randn(2, 3, 6, 6)
    for model in (network, plain):
        model(images).square().sum().backward()
    for one, other in zip(network.parameters(), plain.parameters(), strict=True):
        assert one.grad is not None and other.grad is not None
        assert one.grad.stride() == one.stride()
        assert torch.allclose(one.grad, other.grad, atol=1e-5)
    buffer.zero_()
    assert all(not parameter.grad.any() for parameter in network.parameters())


def test_the_hubs_operations_without_choices_stay_plain_modules() -> None:
    space = NDS(
        HubSpace.ENAS_OPS, merge_op="loose_end", num_nodes_per_cell=2, width=4, num_cells=3, dataset="cifar"
    )
    supernet = RandomSampling(seed=0).mutate_model(space)
    kinds = {type(module).__name__ for module in supernet.modules() if isinstance(module, BaseSuperNetModule)}
    assert kinds == {"SharedNniCell", "QuickReduction"}
