"""The weights of an optimizer as one tensor: a supernet has thousands of small ones.

Durations are those of two cores; `benchmarks/speed/` measures the whole.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor, nn

# Optimizers that move each weight by its own gradients alone, however weights are grouped.
_ELEMENTWISE = (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop)


def gather(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """Store an optimizer's weights in one tensor and their gradients, zeros, in another; return the latter.

    There is one pair of tensors for each parameter group, type and device. A supernet has thousands of small
    weights. As one tensor they move in 2 ms instead of 30, and one call zeroes their gradients. Weights and
    gradients become views, so that replacing a weight's ``data`` or ``grad`` afterwards detaches it. An
    optimizer that is not known to treat each weight by itself keeps its weights one by one; their gradients
    are in one tensor all the same.
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
    """Let an optimizer step while some weights have no gradient yet: those of operations not sampled so far.

    PyTorch's fused SGD (2.14) with momentum fails if some weights have their first gradient and others have
    had one before; its other implementations make the same steps.
    """
    if isinstance(optimizer, torch.optim.SGD):
        for group in optimizer.param_groups:
            group["fused"] = None
        optimizer._step_supports_amp_scaling = False  # which the fused one has set, for gradient scalers


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
    """Return the distance, in numbers, from a weight's start to the next one's.

    Each starts at a multiple of 64 bytes, as it would by itself: kernels that read 16 at once need it.
    """
    step = 64 // weight.element_size()
    return math.ceil(weight.numel() / step) * step


def _dense(tensor: Tensor) -> bool:
    return tensor.is_contiguous() or tensor.is_contiguous(memory_format=torch.channels_last)
