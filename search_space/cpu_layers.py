"""Layers of two-dimensional networks as a processor computes them fastest: channels last.

PyTorch's own loops over channels-last maps are vectorised within one pixel. If the number of channels is not
a multiple of eight, as ENAS's 20 or 36, each pixel ends in a slow remainder. oneDNN's depthwise convolutions
have no such remainder, but no fast gradient for kernels wider than three. Each function here computes the
layer's result, up to rounding, and calls the layer itself for other devices, types and memory layouts.

Milliseconds below: forward and backward, two threads of an AVX-512 processor, [8, 20, 100, 100] float32.
"""

from __future__ import annotations

import ctypes
import math
import sys
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

_PIXELS = 16  # neighbouring pixels that a loop takes together, at most


def keep_freed_memory() -> None:
    """Let glibc keep the memory that tensors have freed, for this process from now on.

    A training step frees and allocates hundreds of megabytes. By default blocks above 32 MB go back to the
    kernel each time, and every page of the next one is faulted in and zeroed, which takes a fifth of a step
    in a virtual machine. The process stays as large as it was at its peak. With a C library other than glibc
    this does nothing.
    """
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)):
        trim_threshold, mmap_max = -1, -4  # names of malloc.h
        mallopt(mmap_max, 0)
        mallopt(trim_threshold, -1)


def channels_last(model: nn.Module) -> None:
    """Store the weights of two-dimensional convolutions channels last, in place; their outputs follow.

    That halves the time of a step: oneDNN's depthwise convolutions become ten times faster, torch's pools
    three times.
    """
    for parameter in model.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.contiguous(memory_format=torch.channels_last)
    for module in model.modules():
        if type(module).forward is nn.Conv2d.forward and module.kernel_size == (1, 1) != module.stride:
            _stride_first(module)
    quicken(model)


def _stride_first(convolution: Any) -> None:
    """Apply a 1x1 convolution's stride before it.

    oneDNN (3.x, uxlfoundation/oneDNN issue 6035) corrupts memory in the backward pass of a strided 1x1
    convolution of few channels, channels last.
    """
    stride, padding = convolution.stride, convolution.padding

    def pick(module: nn.Module, inputs: tuple[Tensor]) -> Tensor:
        images = functional.pad(inputs[0], (padding[1], padding[1], padding[0], padding[0]))
        return functional.avg_pool2d(images, 1, stride)

    if convolution.padding_mode == "zeros" and not isinstance(padding, str):
        convolution.register_forward_pre_hook(pick)
        convolution.stride, convolution.padding = (1, 1), (0, 0)


def quicken(network: nn.Module) -> None:
    """Let the layers of a network compute this way in training, in place.

    Names, classes and weights stay the same, and so do inference and export.
    """
    for layer in network.modules():
        forward = type(layer).forward
        if forward is nn.BatchNorm2d.forward:
            layer.forward = partial(_normalise, layer)
        elif forward is nn.AvgPool2d.forward:
            layer.forward = partial(_average, layer)
        elif forward is nn.Conv2d.forward and _is_depthwise_5x5(layer):
            layer.forward = partial(_convolve, layer)


def _suits(layer: nn.Module, images: Tensor) -> bool:
    return (
        layer.training
        and images.device.type == "cpu"
        and images.dtype == torch.float32
        and images.dim() == 4
        and images.is_contiguous(memory_format=torch.channels_last)
        and not torch.is_autocast_enabled("cpu")
    )


def _leaves_a_remainder(images: Tensor) -> bool:
    return images.shape[1] % 8 != 0


def _normalise(layer: Any, images: Tensor) -> Tensor:
    """Batch normalisation by the batch's own statistics: 3.5 ms instead of 6 to 12."""
    usual = layer.affine and layer.momentum is not None
    if not (usual and _leaves_a_remainder(images) and _suits(layer, images)):
        return type(layer).forward(layer, images)
    result, mean, variance = _BatchNorm.apply(images, layer.weight, layer.bias, layer.eps)
    if layer.track_running_stats:
        values = images.numel() // images.shape[1]
        layer.num_batches_tracked.add_(1)
        layer.running_mean.lerp_(mean, layer.momentum)
        layer.running_var.lerp_(variance * (values / max(values - 1, 1)), layer.momentum)
    return result


class _BatchNorm(torch.autograd.Function):
    """Ioffe and Szegedy's equations (ICML 2015, arXiv 1502.03167), on rows of several pixels.

    Maps [b, c, h, w] are read as rows of n pixels of c channels each. Values of a channel are repeated n
    times along a row, and sums over rows are added up over the pixels of a row.
    """

    @staticmethod
    def forward(
        ctx: Any, images: Tensor, weight: Tensor, bias: Tensor, epsilon: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        rows, pixels = _rows(images)
        values = images.numel() // images.shape[1]
        mean = _over_pixels(rows.sum(0), pixels) / values
        centred = rows - _along(mean, pixels)
        variance = _over_pixels((centred * centred).sum(0), pixels) / values
        inverse = (variance + epsilon).rsqrt()
        ctx.save_for_backward(centred, weight, inverse)
        result = torch.addcmul(_along(bias, pixels), centred, _along(weight * inverse, pixels))
        ctx.mark_non_differentiable(mean, variance)
        return _maps(result, images.shape), mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *unused: Any) -> tuple[Tensor, Tensor, Tensor, None]:
        centred, weight, inverse = ctx.saved_tensors
        rows, pixels = _rows(gradient)
        values = gradient.numel() // gradient.shape[1]
        of_bias = _over_pixels(rows.sum(0), pixels)
        of_weight = _over_pixels((rows * centred).sum(0), pixels) * inverse
        scale = weight * inverse
        shift = scale * of_bias / -values
        slope = scale * inverse * of_weight / -values
        of_images = torch.addcmul(_along(shift, pixels), rows, _along(scale, pixels))
        of_images.addcmul_(centred, _along(slope, pixels))
        return _maps(of_images, gradient.shape), of_weight, of_bias, None


def _rows(images: Tensor) -> tuple[Tensor, int]:
    """Return maps [b, c, h, w] as [rows, n * c], and n."""
    batch, channels, height, width = images.shape
    pixels = math.gcd(batch * height * width, _PIXELS)
    return images.permute(0, 2, 3, 1).reshape(-1, pixels * channels), pixels


def _maps(rows: Tensor, shape: torch.Size) -> Tensor:
    batch, channels, height, width = shape
    return rows.view(batch, height, width, channels).permute(0, 3, 1, 2)


def _along(values: Tensor, pixels: int) -> Tensor:
    """Repeat [c] to [n * c]."""
    return values.expand(pixels, -1).reshape(-1)


def _over_pixels(sums: Tensor, pixels: int) -> Tensor:
    """Add up [n * c] to [c]."""
    return sums.view(pixels, -1).sum(0)


def _average(layer: Any, images: Tensor) -> Tensor:
    """An average pool as a depthwise convolution by ones: 2 to 3 ms instead of 7."""
    usual = not layer.ceil_mode and layer.divisor_override is None
    if not (usual and _leaves_a_remainder(images) and _suits(layer, images)):
        return type(layer).forward(layer, images)
    size, stride, padding = (_pair(of) for of in (layer.kernel_size, layer.stride, layer.padding))
    channels, *sides = images.shape[1:]
    sums = functional.conv2d(images, _ones(channels, *size), None, stride, padding, groups=channels)
    if layer.count_include_pad:
        return sums / (size[0] * size[1])
    return sums * _shares(tuple(sides), size, stride, padding)


@cache
def _ones(channels: int, height: int, width: int) -> Tensor:
    return torch.ones(channels, 1, height, width).contiguous(memory_format=torch.channels_last)


@cache
def _shares(sides: tuple[int, ...], *window: tuple[int, int]) -> Tensor:
    """One over the number of pixels in each window, padding left out: [1, 1, height, width]."""
    (size, stride, padding) = window
    return functional.conv2d(
        torch.ones(1, 1, *sides), torch.ones(1, 1, *size), None, stride, padding
    ).reciprocal()


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return value if isinstance(value, tuple) else (value, value)


def _is_depthwise_5x5(layer: Any) -> bool:
    return (
        layer.groups == layer.in_channels == layer.out_channels
        and layer.kernel_size == (5, 5)
        and layer.padding == (2, 2)
        and layer.stride in ((1, 1), (2, 2))
        and layer.dilation == (1, 1)
        and layer.bias is None
        and layer.padding_mode == "zeros"
    )


def _convolve(layer: Any, images: Tensor) -> Tensor:
    """A depthwise 5x5 convolution: 5 ms instead of 9."""
    if not _suits(layer, images):
        return type(layer).forward(layer, images)
    return _Depthwise.apply(images, layer.weight, layer.stride)


class _Depthwise(torch.autograd.Function):
    """The gradient of 5x5 weights as two of 5x3, for which oneDNN has a fast kernel.

    That kernel does not take maps lower than its window without padding, so that such maps are padded with
    rows of zeros here (1.5 instead of 11 ms for [32, 1152, 3, 3], one thread).
    """

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, stride: tuple[int, int]) -> Tensor:
        ctx.save_for_backward(images, weight)
        ctx.stride = stride
        return functional.conv2d(images, weight, stride=stride, padding=2, groups=len(weight))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        images, weight = ctx.saved_tensors
        of_images = of_weight = None
        if ctx.needs_input_grad[0]:
            of_images = _gradients(gradient, images, weight, ctx.stride, (2, 2), (True, False))[0]
        if ctx.needs_input_grad[1]:
            low = images.shape[2] < weight.shape[2]
            rows, left_out = ((2, 2), 0) if low else ((0, 0), 2)
            left, right = (
                _gradients(
                    gradient,
                    functional.pad(images, (*columns, *rows)),
                    weight[..., :3],
                    ctx.stride,
                    (left_out, 0),
                    (False, True),
                )[1]
                for columns in ((2, 0), (0, 2))  # those of the weights -2 to 0, and 0 to 2
            )
            of_weight = torch.cat([left, right[..., 1:]], 3)
        return of_images, of_weight, None


def _gradients(
    gradient: Tensor,
    images: Tensor,
    weight: Tensor,
    stride: tuple[int, int],
    padding: tuple[int, int],
    wanted: tuple[bool, bool],
) -> tuple[Tensor, Tensor]:
    found = torch.ops.aten.convolution_backward(
        gradient,
        images,
        weight,
        None,
        stride,
        padding,
        (1, 1),
        False,
        (0, 0),
        len(weight),
        (*wanted, False),
    )
    return found[0], found[1]
