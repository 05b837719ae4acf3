"""The weights of an optimizer as one tensor: a supernet has thousands of small ones.

Durations are those of two cores; `benchmarks/speed/` measures the whole.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor, nn

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
