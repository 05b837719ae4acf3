"""Zero-cost proxies: scores of a network without any training, cheap controls for a search.

Synaptic flow (Tanaka et al., NeurIPS 2020, arXiv 2006.05467) as a score of a whole network (Abdelfattah et
al., ICLR 2021, arXiv 2101.08134), and how differently the ReLUs see the images of a batch (NASWOT; Mellor et
al., ICML 2021, arXiv 2006.04647). A higher score stands for a better network. Parameters and multiply-adds,
which are proxies as well, are in `cost`.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy

import torch
from torch import Tensor, nn


def synflow(network: nn.Module, channels: int, side: int) -> float:
    """Return the logarithm of the synaptic flow of images [channels, side, side], from the weights alone.

    The flow is the sum, over all weights, of weight times gradient of the sum of logits, for an image of
    ones, with the weights' absolute values and, as Abdelfattah et al. have it, without batch norm. Nothing is
    dropped. The network stays as it is. Not finite for a flow beyond double precision; seventeen cells of
    ENAS's width stay far below, at 10^158 at most.
    """
    copy = _without_norms(deepcopy(network)).double().eval()
    weights = list(copy.parameters())
    with torch.no_grad():
        for weight in weights:
            weight.abs_()
    image = weights[0].new_ones(1, channels, side, side)
    gradients = torch.autograd.grad(copy(image).sum(), weights, allow_unused=True)
    pairs = zip(weights, gradients, strict=True)
    with torch.no_grad():
        flow = sum(float((weight * flowing).sum()) for weight, flowing in pairs if flowing is not None)
    return math.log(flow) if flow else -math.inf


def naswot(network: nn.Module, images: Tensor) -> float:
    """Return the log determinant of how alike the ReLUs see `images` [b, channels, side, side].

    Entry (i, j) of the matrix [b, b] counts the units of all `nn.ReLU` modules that are on for both images or
    off for both. Batch norm takes the batch's own statistics; nothing is dropped. Equal images count once.
    Minus infinity for a network that cannot tell two of them apart. The network stays as it is.
    """
    distinct = torch.unique(images, dim=0)
    agreement = torch.zeros(len(distinct), len(distinct), dtype=torch.float64, device=images.device)
    copy = deepcopy(network).eval()
    for module in copy.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.train()
    with torch.no_grad(), _watch_relus(copy, agreement):
        copy(distinct)
    sign, logarithm = torch.linalg.slogdet(agreement)
    return float(logarithm) if sign > 0 else -math.inf


@contextmanager
def _watch_relus(network: nn.Module, agreement: Tensor) -> Iterator[None]:
    """While the network runs, add to `agreement` [b, b] in how many units of its ReLUs two images agree."""

    def count(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        on = (inputs[0] > 0).flatten(1).float()
        both, each = on @ on.T, on.sum(1)
        agreement.add_(on.shape[1] - each[:, None] - each[None, :] + 2 * both)

    relus = [module for module in network.modules() if isinstance(module, nn.ReLU)]
    hooks = [relu.register_forward_pre_hook(count) for relu in relus]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _without_norms(module: nn.Module) -> nn.Module:
    """Replace every batch norm inside, in place, by the identity."""
    for name, child in module.named_children():
        norm = isinstance(child, nn.BatchNorm2d)
        setattr(module, name, nn.Identity() if norm else _without_norms(child))
    return module
