"""The operations of ENAS's cells, and their initial weights.

Source: Pham et al. 2018 (arXiv 1802.03268) and the code that its authors released. Every tensor is
[batch, channels, height, width]. At stride 2 every operation maps a side of n to ceil(n / 2).

Padding is symmetrical, as usual in PyTorch. That is our choice: TensorFlow, which ENAS used, pads the right
and bottom more if the stride is 2 and the side even, which moves the window by one pixel.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional


class Calibration(nn.Sequential):
    """ReLU, 1x1 convolution, batch norm: [b, inputs, h, w] to [b, outputs, h, w]."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(nn.ReLU(), nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))


class Stem(nn.Sequential):
    """3x3 convolution to `outputs` channels and batch norm: [b, channels, h, w] to [b, outputs, h, w].

    That is ENAS's stem, for images of 32x32. A `stride` of 2 or 4 is ours, for larger images: the cells then
    work on maps of h / stride by w / stride, rounded up. At stride 4 a convolution to half the outputs, batch
    norm and ReLU come first; each of the two convolutions halves the size.
    """

    def __init__(self, channels: int, outputs: int, stride: int = 1) -> None:
        layers: list[nn.Module] = []
        if stride == 4:
            half = outputs // 2
            layers += [nn.Conv2d(channels, half, 3, 2, 1, bias=False), nn.BatchNorm2d(half), nn.ReLU()]
            channels = half
        layers += [
            nn.Conv2d(channels, outputs, 3, min(stride, 2), 1, bias=False),
            nn.BatchNorm2d(outputs),
        ]
        super().__init__(*layers)


class SeparableConv(nn.Sequential):
    """ReLU, depthwise and pointwise convolution, batch norm, twice; the stride is that of the first half."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        layers: list[nn.Module] = []
        for channels, step in ((inputs, stride), (outputs, 1)):
            layers += [
                nn.ReLU(),
                nn.Conv2d(channels, channels, kernel, step, kernel // 2, groups=channels, bias=False),
                nn.Conv2d(channels, outputs, 1, bias=False),
                nn.BatchNorm2d(outputs),
            ]
        super().__init__(*layers)


class FactorizedReduction(nn.Module):
    """Halve height and width by two 1x1 convolutions of stride 2, side by side, and batch norm; no ReLU.

    The second convolution sees the image moved by one pixel, with zeros beyond the border: half of the
    output channels read even rows and columns, half odd ones. Raises ValueError for an odd number of outputs.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        if outputs % 2:
            raise ValueError(f"a factorized reduction has an even number of output channels, not {outputs}")
        self.even = nn.Conv2d(inputs, outputs // 2, 1, bias=False)
        self.odd = nn.Conv2d(inputs, outputs // 2, 1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, images: Tensor) -> Tensor:
        """Map [b, inputs, h, w] to [b, outputs, ceil(h / 2), ceil(w / 2)]."""
        even, odd = even_and_odd(images)
        return self.norm(torch.cat([self.even(even), self.odd(odd)], dim=1))


def even_and_odd(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return what two convolutions of stride 2 read: even rows and columns, and odd ones, zeros beyond the
    border; each [b, c, ceil(h / 2), ceil(w / 2)] of [b, c, h, w].

    The stride is taken here, not in the convolutions: oneDNN (3.x, uxlfoundation/oneDNN issue 6035) corrupts
    memory in the backward pass of a strided 1x1 convolution of few channels, channels last.
    """
    if torch.is_grad_enabled() and images.requires_grad:
        even, odd = _EvenAndOdd.apply(images)
        return even, odd
    moved = functional.pad(images, (-1, 1, -1, 1))
    return functional.avg_pool2d(images, 1, 2), functional.avg_pool2d(moved, 1, 2)


class _EvenAndOdd(torch.autograd.Function):
    """Both selections of pixels with one gradient; two gradients would each fill and add a map of zeros."""

    @staticmethod
    def forward(ctx: Any, images: Tensor) -> tuple[Tensor, Tensor]:
        ctx.sides = images.shape[2:]
        moved = functional.pad(images, (-1, 1, -1, 1))
        return functional.avg_pool2d(images, 1, 2), functional.avg_pool2d(moved, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_even: Tensor, of_odd: Tensor) -> Tensor:
        height, width = ctx.sides
        batch, channels = of_even.shape[:2]
        last = of_even.is_contiguous(memory_format=torch.channels_last)
        gradient = of_even.new_zeros(
            (batch, height, width, channels) if last else (batch, channels, height, width)
        )
        if last:
            gradient = gradient.permute(0, 3, 1, 2)
        gradient[:, :, ::2, ::2] = of_even
        gradient[:, :, 1::2, 1::2] = of_odd[:, :, : height // 2, : width // 2]
        return gradient


class DropPath(nn.Module):
    """Drop the whole result of an operation for single images of a batch, in training (Larsson et al. 2017).

    An image is dropped with probability `probability * progress`; the others are scaled up so that the mean
    stays the same. `progress`, from 0 to 1, is the fraction of the training that is done.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability
        self.progress = 0.0

    def forward(self, images: Tensor) -> Tensor:
        """Keep the shape [b, c, h, w]."""
        keep = 1 - self.probability * self.progress
        if not self.training or keep == 1:
            return images
        kept = images.new_empty(images.shape[0], 1, 1, 1).bernoulli_(keep)
        return images * (kept / keep)


class AuxiliaryHead(nn.Sequential):
    """A second classifier half-way, for training only: [b, channels, side, side] to logits [b, classes].

    As in ENAS, its second convolution is as large as the map that it reads, 7x7 for images of 100x100 pixels.
    Raises ValueError for a map smaller than the 5x5 window of the average pool.
    """

    def __init__(self, channels: int, side: int, classes: int) -> None:
        if side < 5:
            raise ValueError(
                f"the auxiliary head needs a map of at least 5x5, and finds {side}x{side} there: "
                "use larger images, or auxiliary=False"
            )
        kernel = (side - 5) // 3 + 1
        before, after = (kernel - 1) // 2, kernel // 2  # keeps the size for even kernels too
        super().__init__(
            nn.ReLU(),
            nn.AvgPool2d(5, stride=3),
            nn.Conv2d(channels, 128, 1, bias=False),
            nn.BatchNorm2d(128),
            nn.ReLU(),
            nn.ZeroPad2d((before, after, before, after)),
            nn.Conv2d(128, 768, kernel, bias=False),
            nn.BatchNorm2d(768),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(768, classes, bias=False),
        )


def operation(name: str, inputs: int, outputs: int, stride: int = 1) -> nn.Module:
    """Build one of `OPERATIONS`: [b, inputs, h, w] to [b, outputs, ceil(h / stride), ceil(w / stride)].

    The average pool leaves padding out of the mean. An identity of stride 2 is a factorized reduction. A
    calibration follows an operation without weights that has to change the channels. Raises KeyError for
    another name.
    """
    if name == "sep_conv_3x3":
        return SeparableConv(inputs, outputs, 3, stride)
    if name == "sep_conv_5x5":
        return SeparableConv(inputs, outputs, 5, stride)
    if name == "skip_connect" and stride == 2:
        return FactorizedReduction(inputs, outputs)
    plain = {
        "avg_pool_3x3": nn.AvgPool2d(3, stride, padding=1, count_include_pad=False),
        "max_pool_3x3": nn.MaxPool2d(3, stride, padding=1),
        "skip_connect": nn.Identity(),
    }[name]
    return plain if inputs == outputs else nn.Sequential(plain, Calibration(inputs, outputs))


def initialise(module: nn.Module) -> None:
    """Draw the weights of a convolution or linear layer as ENAS does; made for `nn.Module.apply`.

    This is He's normal distribution (He et al. 2015) as TensorFlow draws it: cut at two standard deviations,
    and with kernel^2 x channels for the fan-in of a depthwise convolution, where PyTorch takes kernel^2.
    """
    if isinstance(module, nn.Conv2d | nn.Linear):
        fan_in = module.weight[0].numel() * (module.groups if isinstance(module, nn.Conv2d) else 1)
        deviation = math.sqrt(2 / fan_in)
        nn.init.trunc_normal_(module.weight, std=deviation, a=-2 * deviation, b=2 * deviation)
