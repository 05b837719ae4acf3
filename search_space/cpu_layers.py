"""Two-dimensional networks as a processor trains them fastest: channels last.

oneDNN has no fast gradient for depthwise kernels wider than three, such as the 5x5 of ENAS and EfficientNet.
The function here computes it, up to rounding, and calls the layer itself for other devices, types and memory
layouts, and where it would gain nothing.

Ratios below: PyTorch 2.14's milliseconds over ours, forward and backward, one thread of an AMD EPYC with
AVX-512; `benchmarks/speed/layers.py` has whole networks, and other processors' instructions.
"""

from __future__ import annotations

import ctypes
import sys
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

_LARGE = 2**16  # values of maps from which on two gradients of 5x3 weights are faster than one of 5x5


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
    """Let depthwise 5x5 convolutions compute their gradients the quick way in training, in place.

    Names, classes and weights stay the same, and so do inference and export.
    """
    for layer in network.modules():
        if type(layer).forward is nn.Conv2d.forward and _is_depthwise_5x5(layer):
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
    """A depthwise 5x5 convolution: from 1.4 times as fast on 24 maps of 16x16 to 3.6 on 1152 of 3x3."""
    if images.numel() < _LARGE or not _suits(layer, images):
        return type(layer).forward(layer, images)
    return _Depthwise.apply(images, layer.weight, layer.stride)


class _Depthwise(torch.autograd.Function):
    """The gradient of 5x5 weights as two of 5x3, for which oneDNN has a fast kernel.

    That kernel does not take maps lower than its window without padding, so that such maps are padded with
    rows of zeros here.
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
