import math

import pytest
import torch
from torch import nn

from search_space.enas.architecture import OPERATIONS
from search_space.enas.operations import (
    AuxiliaryHead,
    DropPath,
    FactorizedReduction,
    SeparableConv,
    even_and_odd,
    initialise,
    operation,
)


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize(("height", "width"), [(8, 8), (7, 7), (9, 6), (1, 1)])
@pytest.mark.parametrize("stride", [1, 2])
def test_operation_halves_any_size_rounding_up(name: str, height: int, width: int, stride: int) -> None:
    images = torch.randn(2, 4, height, width)
    expected = (2, 6, math.ceil(height / stride), math.ceil(width / stride))
    assert operation(name, 4, 6, stride).eval()(images).shape == expected


def test_unknown_operation_is_refused() -> None:
    with pytest.raises(KeyError):
        operation("conv_1x1", 4, 4)


@pytest.mark.parametrize("stride", [1, 2])
def test_average_pool_leaves_padding_out(stride: int) -> None:
    ones = torch.ones(1, 2, 5, 5)
    assert torch.equal(
        operation("avg_pool_3x3", 2, 2, stride)(ones), torch.ones_like(ones[:, :, ::stride, ::stride])
    )


def test_max_pool_never_sees_the_padding() -> None:
    assert operation("max_pool_3x3", 1, 1)(torch.full((1, 1, 4, 4), -3.0)).max() == -3


def test_identity_changes_nothing() -> None:
    images = torch.randn(2, 4, 5, 5)
    assert operation("skip_connect", 4, 4)(images) is images


def test_separable_convolution_is_two_depthwise_pointwise_pairs() -> None:
    kinds = [type(layer) for layer in SeparableConv(4, 6, 5, stride=2)]
    assert kinds == [nn.ReLU, nn.Conv2d, nn.Conv2d, nn.BatchNorm2d] * 2
    depthwise, pointwise, again, last = (m for m in SeparableConv(4, 6, 5, 2) if isinstance(m, nn.Conv2d))
    assert (depthwise.groups, depthwise.stride, depthwise.kernel_size) == (4, (2, 2), (5, 5))
    assert (again.groups, again.stride, again.kernel_size) == (6, (1, 1), (5, 5))
    assert (pointwise.kernel_size, last.kernel_size) == ((1, 1), (1, 1))


@pytest.mark.parametrize("side", [4, 5])
def test_factorized_reduction_reads_even_and_odd_pixels(side: int) -> None:
    reduction = FactorizedReduction(1, 2).eval()
    nn.init.ones_(reduction.even.weight)
    nn.init.ones_(reduction.odd.weight)
    nn.init.constant_(reduction.norm.running_var, 1 - reduction.norm.eps)
    images = torch.arange(1.0, side * side + 1).reshape(1, 1, side, side)
    even, odd = reduction(images)[0]
    padded = nn.functional.pad(images[0, 0], (0, 1, 0, 1))
    assert torch.allclose(even, images[0, 0, ::2, ::2])
    assert torch.allclose(odd, padded[1::2, 1::2])


def test_factorized_reduction_has_no_relu() -> None:
    reduction = FactorizedReduction(1, 2).eval()
    assert not torch.equal(reduction(torch.full((1, 1, 2, 2), -1.0)), reduction(torch.zeros(1, 1, 2, 2)))


def test_factorized_reduction_refuses_odd_channels() -> None:
    with pytest.raises(ValueError, match="even number of output channels, not 3"):
        FactorizedReduction(4, 3)


def test_drop_path_drops_whole_images_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    dropped = DropPath(0.5)
    dropped.progress = 0.5
    result = dropped(torch.ones(20_000, 2, 2, 2))
    per_image = result.flatten(1)
    assert torch.equal(per_image.min(dim=1).values, per_image.max(dim=1).values)
    assert per_image.unique().tolist() == pytest.approx([0, 1 / 0.75])
    assert per_image.mean().item() == pytest.approx(1, abs=0.02)  # its standard error is 0.004


def test_drop_path_does_nothing_outside_training_and_at_its_start() -> None:
    images = torch.ones(100, 1, 1, 1)
    dropped = DropPath(0.9)
    assert dropped(images) is images
    dropped.progress = 1.0
    assert dropped.eval()(images) is images


@pytest.mark.parametrize(("side", "kernel"), [(25, 7), (8, 2), (5, 1), (11, 3)])
def test_auxiliary_head_covers_its_map(side: int, kernel: int) -> None:
    head = AuxiliaryHead(8, side, 3)
    maps: list[torch.Size] = []
    large = next(m for m in head if isinstance(m, nn.Conv2d) and m.out_channels == 768)
    large.register_forward_hook(lambda module, inputs, output: maps.append(output.shape))
    assert large.kernel_size == (kernel, kernel)
    assert head(torch.randn(2, 8, side, side)).shape == (2, 3)
    assert maps == [(2, 768, kernel, kernel)]


def test_auxiliary_head_refuses_small_maps() -> None:
    with pytest.raises(ValueError, match=r"4x4.*auxiliary=False"):
        AuxiliaryHead(8, 4, 3)


@pytest.mark.parametrize(
    ("layer", "fan_in"),
    [
        (nn.Conv2d(64, 256, 3, bias=False), 9 * 64),
        (nn.Conv2d(256, 256, 5, groups=256, bias=False), 25 * 256),
        (nn.Linear(300, 200, bias=False), 300),
    ],
)
def test_weights_start_as_in_enas(layer: nn.Module, fan_in: int) -> None:
    torch.manual_seed(0)
    initialise(layer)
    deviation = math.sqrt(2 / fan_in)
    assert layer.weight.abs().max() <= 2 * deviation
    # A normal distribution cut at two standard deviations keeps 0.8796 of its deviation.
    assert layer.weight.std().item() == pytest.approx(0.8796 * deviation, rel=0.05)


def test_batch_norm_has_enas_constants() -> None:
    norms = [m for m in operation("sep_conv_3x3", 4, 4).modules() if isinstance(m, nn.BatchNorm2d)]
    assert [(norm.eps, norm.momentum) for norm in norms] == [(1e-5, 0.1)] * 2  # decay 0.9 is momentum 0.1


@pytest.mark.parametrize(("height", "width"), [(6, 6), (7, 7), (6, 9)])
def test_a_stride_of_two_reads_even_and_odd_pixels_with_zeros_beyond_the_border(
    height: int, width: int
) -> None:
    images = torch.arange(1.0, 1 + height * width).view(1, 1, height, width)
    even, odd = even_and_odd(images)
    assert torch.equal(even, images[:, :, ::2, ::2])
    assert torch.equal(odd, nn.functional.pad(images, (0, 1, 0, 1))[:, :, 1::2, 1::2])
