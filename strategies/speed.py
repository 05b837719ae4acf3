"""What makes searches faster without changing what they compute, but for rounding.

Each measure names what it gave on two cores; `benchmarks/` measures the whole.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterable
from typing import Any

import torch
from nni.mutable import Sample
from nni.nas.hub.pytorch.nasnet import FactorizedReduce
from nni.nas.nn.pytorch import ParametrizedModule
from nni.nas.oneshot.pytorch.supermodule.base import BaseSuperNetModule
from torch import Tensor, nn
from torch.nn import functional

from search_space.operations import even_and_odd


def keep_freed_memory() -> None:
    """Let glibc keep the memory that tensors have freed, for this process from now on.

    A training step frees and takes hundreds of megabytes; by default blocks above 32 MB go back to the
    kernel each time, and every page of the next one is faulted in and zeroed: a fifth of a step in a virtual
    machine. The process stays as large as it was at its peak. Does nothing where the C library is not glibc.
    """
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)):
        trim_threshold, mmap_max = -1, -4  # names of malloc.h
        mallopt(mmap_max, 0)
        mallopt(trim_threshold, -1)


def channels_last(model: nn.Module) -> None:
    """Store the weights of two-dimensional convolutions channels last, in place; their outputs follow suit.

    Half the time of a step: oneDNN's depthwise convolutions are ten times faster so, torch's pools three.
    """
    for parameter in model.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.contiguous(memory_format=torch.channels_last)
    for module in model.modules():
        if type(module).forward is nn.Conv2d.forward and module.kernel_size == (1, 1) != module.stride:
            _stride_first(module)


def _stride_first(convolution: Any) -> None:
    """Take a 1x1 convolution's stride before it: oneDNN (3.x, uxlfoundation/oneDNN issue 6035) corrupts
    memory in the backward pass of a strided one of few channels, channels last.
    """
    stride, padding = convolution.stride, convolution.padding

    def pick(module: nn.Module, inputs: tuple[Tensor]) -> Tensor:
        images = functional.pad(inputs[0], (padding[1], padding[1], padding[0], padding[0]))
        return functional.avg_pool2d(images, 1, stride)

    if convolution.padding_mode == "zeros" and not isinstance(padding, str):
        convolution.register_forward_pre_hook(pick)
        convolution.stride, convolution.padding = (1, 1), (0, 0)


def zero_gradients(parameters: Iterable[nn.Parameter]) -> list[Tensor]:
    """Give every parameter a gradient of zeros, and return the buffers that hold them all, one a type.

    A supernet has thousands of small weights: zeroing their gradients together takes a fifth of the time.
    """
    kinds: dict[tuple[torch.dtype, torch.device], list[nn.Parameter]] = {}
    for parameter in parameters:
        kinds.setdefault((parameter.dtype, parameter.device), []).append(parameter)
    buffers = []
    for (dtype, device), members in kinds.items():
        buffer = torch.zeros(sum(member.numel() for member in members), dtype=dtype, device=device)
        parts = buffer.split([member.numel() for member in members])
        for member, part in zip(members, parts, strict=True):
            # as the weight lies in memory, so that the optimiser reads both in one order
            member.grad = (
                part.as_strided(member.shape, member.stride()) if _dense(member) else part.view_as(member)
            )
        buffers.append(buffer)
    return buffers


def _dense(tensor: Tensor) -> bool:
    return tensor.is_contiguous() or tensor.is_contiguous(memory_format=torch.channels_last)


def keep_fixed_operation(
    module: nn.Module, name: str, memo: dict[str, Any], mutate_kwargs: dict[str, Any]
) -> bool | None:
    """NNI's mutation hook: leave an operation without choices among its arguments as it is.

    NNI turns every convolution, norm and linear layer of its hub into one whose arguments are sampled and
    whose weights are sliced at each call. In the hub's ENAS space that is 3,500 modules to set for each
    architecture (11 ms).
    """
    return True if _is_fixed(module) else None


def _is_fixed(module: nn.Module) -> bool:
    return isinstance(module, ParametrizedModule) and not module.simplify()


class QuickReduction(BaseSuperNetModule):
    """The hub's ``FactorizedReduce`` with its stride taken before the ReLU, so that only what is read is
    computed; the gradient is one pass over the map, not five.
    """

    def __init__(self, module: Any) -> None:
        super().__init__()
        self.conv_1, self.conv_2, self.bn = module.conv_1, module.conv_2, module.bn
        self.conv_1.stride = self.conv_2.stride = (1, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Map [b, c, h, w] to [b, outputs, ceil(h / 2), ceil(w / 2)]."""
        even, odd = even_and_odd(images)
        joined: Tensor = self.bn(torch.cat([self.conv_1(even.relu()), self.conv_2(odd.relu())], 1))
        return joined

    def resample(self, memo: Sample) -> Sample:
        """Take nothing: there is nothing to choose here."""
        return {}

    @classmethod
    def mutate(cls, module: nn.Module, name: str, memo: dict[str, Any], mutate_kwargs: dict[str, Any]) -> Any:
        """NNI's mutation hook; a reduction whose width is a choice is left to NNI."""
        fixed = isinstance(module, FactorizedReduce) and _is_fixed(module.conv_1)
        return cls(module) if fixed else None
