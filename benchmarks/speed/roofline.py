"""The least time that the operations of a training step can take: the roofline model.

An operation has floating-point operations to do, and tensors to read and write once; it takes at least the
longer of the two at the rates that the machine reaches (Williams, Waterman and Patterson, Commun. ACM 2009).
Summed over a step, at the rate of tensors in the cache, this bounds every implementation that computes the
same operations one after another; one that fuses several of them moves less.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

aten = torch.ops.aten


@dataclass(frozen=True)
class Operation:
    """One that ran: its name, floating-point operations of convolutions and products, bytes moved."""

    name: str
    flops: int
    moved: int


class _Recorder(TorchDispatchMode):
    """Records each of PyTorch's operations that reads or writes, forward and backward."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Operation] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        made = function(*args, **kwargs)
        name = str(function.overloadpacket)
        if not function.is_view and not name.startswith("aten.empty"):
            flops = _flops(function.overloadpacket, args, kwargs, made)
            tensors = [one for one in tree_leaves((args, kwargs, made)) if isinstance(one, Tensor)]
            self.found.append(Operation(name, flops, sum(one.nbytes for one in tensors)))
        return made


def _flops(function: Any, args: Any, kwargs: Any, made: Any) -> int:
    """Return what PyTorch counts; of a convolution's gradients, where it knows no groups, what they take."""
    if function == aten.convolution_backward:
        flowing, _, weight, *_, wanted = args
        return int(2 * flowing.numel() * weight[0].numel() * sum(wanted[:2]))
    count = flop_registry.get(function)
    return count(*args, **kwargs, out_val=made) if count else 0


def operations_of(step: Callable[[], object]) -> list[Operation]:
    """Return the operations of one run of `step`, in their order."""
    with _Recorder() as recorder:
        step()
    return recorder.found


def least_seconds(operations: Sequence[Operation], flops_a_second: float, bytes_a_second: float) -> float:
    """Return the least that they take together at these rates."""
    return sum(max(one.flops / flops_a_second, one.moved / bytes_a_second) for one in operations)
