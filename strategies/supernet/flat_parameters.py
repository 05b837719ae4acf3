"""What makes searches faster without changing what they compute, but for rounding.

Each measure names what it gave on two cores; `benchmarks/` measures the whole.
"""

from __future__ import annotations

import ctypes
import math
import sys
from collections.abc import Collection, Iterable, Sequence
from functools import cached_property
from itertools import accumulate
from typing import Any

import torch
from nni.mutable import Sample
from nni.nas.hub.pytorch.nasnet import FactorizedReduce, ReLUConvBN
from nni.nas.nn.pytorch import ParametrizedModule
from nni.nas.oneshot.pytorch.supermodule.base import BaseSuperNetModule
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._pytree import tree_map

from search_space.cpu_layers import quicken
from search_space.enas.operations import even_and_odd


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
    quicken(model)


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


# Optimisers that move each weight by its own gradient and past alone, however weights are grouped.
_ELEMENTWISE = (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop)


def gather(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """Lay an optimiser's weights, and gradients of zeros, out in one piece each; return those of gradients.

    A supernet has thousands of small weights. As one tensor they move in 2 ms instead of 30, and one call
    zeroes their gradients. Weights and gradients stay views of the pieces, so what replaces a weight's
    ``data`` or ``grad`` afterwards breaks it off. An optimiser that is not known to treat each weight by
    itself keeps its weights one by one; their gradients are in one piece all the same.
    """
    pieces = []
    for group in optimizer.param_groups:
        kinds: dict[tuple[torch.dtype, torch.device], list[nn.Parameter]] = {}
        for parameter in group["params"]:
            if parameter.requires_grad:
                kinds.setdefault((parameter.dtype, parameter.device), []).append(parameter)
        wholes = [_gathered(members) for members in kinds.values()]
        pieces += [whole.grad for whole in wholes if whole.grad is not None]
        if type(optimizer) in _ELEMENTWISE:
            group["params"] = wholes
    return pieces


def step_without_all_gradients(optimizer: torch.optim.Optimizer) -> None:
    """Let an optimiser step where weights have no gradient yet, as those of operations not sampled so far.

    PyTorch's fused SGD (2.14) with momentum fails where some weights have their first gradient and others
    have had one before; its other implementations make the same steps.
    """
    if isinstance(optimizer, torch.optim.SGD):
        for group in optimizer.param_groups:
            group["fused"] = None
        optimizer._step_supports_amp_scaling = False  # what a fused one says of itself to gradient scalers


def _gathered(members: Sequence[nn.Parameter]) -> nn.Parameter:
    # Each weight keeps its own order in memory, so that gradients arrive in that order too.
    dense = [member.data if _dense(member) else member.data.contiguous() for member in members]
    places = list(accumulate((_room(weight) for weight in dense), initial=0))
    whole = nn.Parameter(dense[0].new_zeros(places[-1]))
    whole.grad = torch.zeros_like(whole)
    for member, weight, place in zip(members, dense, places, strict=False):
        member.data = whole.data.as_strided(weight.shape, weight.stride(), place)
        member.data.copy_(weight)
        member.grad = whole.grad.as_strided(weight.shape, weight.stride(), place)
    return whole


def _room(weight: Tensor) -> int:
    """Return how many numbers lie between a weight's start and the next one's.

    Each starts on 64 bytes, as it would by itself: kernels that read 16 at once fail on a start elsewhere.
    """
    step = 64 // weight.element_size()
    return math.ceil(weight.numel() / step) * step


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


class LooseEnds(Tensor):
    """Maps joined along one dimension, some of them zeros that nobody has written yet.

    To whatever reads it, it is the joined tensor, made when first asked for; :func:`rectified` never asks.
    Most nodes of the hub's ENAS cells are such zeros: written, rectified and multiplied by weights at each
    step, and their gradients as well. Not to be changed in place.
    """

    maps: Sequence[Tensor]
    zeros: Collection[int]
    along: int

    @staticmethod
    def join(maps: Sequence[Tensor], zeros: Collection[int], along: int = 1) -> LooseEnds:
        """Join maps, for instance [b, channels, h, w]; those at the indices ``zeros`` count as zeros."""
        ends = maps[-1].as_subclass(LooseEnds)  # its own numbers are never read; any tensor would do
        ends.maps, ends.zeros, ends.along = maps, zeros, along
        return ends

    @cached_property
    def whole(self) -> Tensor:
        """The joined tensor, zeros included."""
        filled = [torch.zeros_like(m) if index in self.zeros else m for index, m in enumerate(self.maps)]
        return torch.cat(filled, self.along)

    @cached_property
    def active(self) -> Tensor:
        """The ReLU of the maps that are not zeros, joined along the channels; one for all readers."""
        return self._join_kept(self.maps).relu_()

    def reading(self, weight: Tensor) -> Tensor:
        """Return the part of a convolution's weight [out, in, ...] that reads maps that are not zeros."""
        return self._join_kept(weight.split([m.shape[1] for m in self.maps], 1))

    def _join_kept(self, parts: Iterable[Tensor]) -> Tensor:
        return torch.cat([part for index, part in enumerate(parts) if index not in self.zeros], 1)

    @classmethod
    def __torch_function__(
        cls, function: Any, types: Any, arguments: Any = (), keywords: dict[str, Any] | None = None
    ) -> Any:
        def plain(value: Any) -> Any:
            return value.whole if isinstance(value, LooseEnds) else value

        return function(*tree_map(plain, arguments), **tree_map(plain, keywords or {}))


def rectified(images: Tensor, *weights: Tensor) -> tuple[Tensor, ...]:
    """Return the ReLU of images [b, c, h, w], and the weights [out, c, ...] of convolutions that read it;
    all without the channels that :class:`LooseEnds` says are zeros.
    """
    if isinstance(images, LooseEnds) and images.along == 1:
        return images.active, *(images.reading(weight) for weight in weights)
    return functional.relu(images), *weights


class QuickEntry(nn.Sequential, BaseSuperNetModule):
    """The hub's ``ReLUConvBN`` that leaves out what is zeros by construction."""

    def forward(self, images: Tensor) -> Tensor:
        """Map [b, c, h, w] to [b, outputs, h, w]."""
        layers: Any = self
        _, convolution, norm = layers
        positive, weight = rectified(images, convolution.weight)
        result: Tensor = norm(
            functional.conv2d(positive, weight, None, convolution.stride, convolution.padding)
        )
        return result

    def resample(self, memo: Sample) -> Sample:
        """Take nothing: there is nothing to choose here."""
        return {}

    @classmethod
    def mutate(cls, module: nn.Module, name: str, memo: dict[str, Any], mutate_kwargs: dict[str, Any]) -> Any:
        """NNI's mutation hook; an entry whose width is a choice is left to NNI."""
        return cls(*module) if isinstance(module, ReLUConvBN) and _is_fixed(module[1]) else None


class QuickReduction(BaseSuperNetModule):
    """The hub's ``FactorizedReduce`` that leaves out what is zeros by construction and takes its stride
    before the ReLU, so that only what is read is computed; the gradient is one pass over the map, not five.
    """

    def __init__(self, module: Any) -> None:
        super().__init__()
        self.conv_1, self.conv_2, self.bn = module.conv_1, module.conv_2, module.bn
        self.conv_1.stride = self.conv_2.stride = (1, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Map [b, c, h, w] to [b, outputs, ceil(h / 2), ceil(w / 2)]."""
        first, second = self.conv_1.weight, self.conv_2.weight
        if isinstance(images, LooseEnds):  # their ReLU is made for both readers; another does nothing
            images, first, second = rectified(images, first, second)
        even, odd = even_and_odd(images)
        halves = functional.conv2d(even.relu(), first), functional.conv2d(odd.relu(), second)
        joined: Tensor = self.bn(torch.cat(halves, 1))
        return joined

    def resample(self, memo: Sample) -> Sample:
        """Take nothing: there is nothing to choose here."""
        return {}

    @classmethod
    def mutate(cls, module: nn.Module, name: str, memo: dict[str, Any], mutate_kwargs: dict[str, Any]) -> Any:
        """NNI's mutation hook; a reduction whose width is a choice is left to NNI."""
        fixed = isinstance(module, FactorizedReduce) and _is_fixed(module.conv_1)
        return cls(module) if fixed else None
