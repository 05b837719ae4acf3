"""One search in several processes, each with a share of every batch, through Lightning's DDP.

All processes draw the same architectures, because their seeds and rewards are the same. This module does what
DDP does not: it divides each batch, weights each share by its images, and normalises by the statistics of the
whole batch. Without dropout the search is then that of one process, up to rounding.

With one process these functions do nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import torch
from pytorch_lightning.utilities.data import extract_batch_size
from torch import Tensor, distributed
from torch.autograd.function import once_differentiable
from torch.utils._pytree import tree_map


def processes() -> int:
    """Return how many processes search together."""
    running = distributed.is_available() and distributed.is_initialized()
    return distributed.get_world_size() if running else 1


def share(batch: Any) -> tuple[Any, float]:
    """Return this process's share of a batch, every n-th image with n processes, and the weight of its loss.

    DDP averages the processes' gradients; with that weight the average is the gradient of the whole batch.

    Raises:
        ValueError: if there are fewer images than processes.
    """
    count = processes()
    if count == 1:
        return batch, 1.0
    images = extract_batch_size(batch)
    if images < count:
        raise ValueError(
            f"a batch of {images} images for {count} processes: choose a batch size that leaves at least "
            f"{count} for the last batch, or let the loader drop it (drop_last)"
        )
    first = distributed.get_rank()

    def pick(value: Any) -> Any:
        return value[first::count] if isinstance(value, Tensor) else value

    mine = len(range(first, images, count))
    return tree_map(pick, batch), mine * count / images


def weighted(output: Any, weight: float) -> Any:
    """Return a training step's output, a loss or a dict with one, with its loss multiplied."""
    if weight == 1:
        return output
    if isinstance(output, Mapping):
        return {**output, "loss": output["loss"] * weight}
    return output * weight


def agreed(value: float, device: torch.device) -> float:
    """Return the mean of a number over all processes, so that rounding cannot make them diverge."""
    count = processes()
    if count == 1:
        return value
    total = torch.tensor(value, device=device)
    distributed.all_reduce(total)
    return float(total) / count


def normalise_together(norms: Iterable[Any]) -> None:
    """Let batch norms without running statistics use those of all processes' images, in place.

    PyTorch's own SyncBatchNorm does not run on processors.
    """
    if processes() > 1:
        for norm in norms:
            norm.forward = partial(_normalise, norm)


def _normalise(norm: Any, images: Tensor) -> Tensor:
    """Batch normalisation of [b, c, ...] (Ioffe and Szegedy, ICML 2015, arXiv 1502.03167)."""
    others = [0, *range(2, images.dim())]
    along = (1, -1, *[1] * (images.dim() - 2))
    precise = images.float()
    values = precise.new_tensor([precise.numel() / precise.shape[1]])
    sums = _AllReduce.apply(torch.cat([precise.sum(others), values]))
    count = sums[-1].detach()
    centred = precise - (sums[:-1] / count).view(along)
    variance = _AllReduce.apply(centred.square().sum(others)) / count
    scale = (variance + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight
    result = centred * scale.view(along)
    if norm.bias is not None:
        result = result + norm.bias.view(along)
    return result.to(images.dtype)


class _AllReduce(torch.autograd.Function):
    """The sum over processes; every process's loss depends on every process's summand."""

    @staticmethod
    def forward(ctx: Any, summand: Tensor) -> Tensor:
        total = summand.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(total)
        return total
