"""What training lowers, by the name that settings have for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional


def ordinal_loss(
    logits: Tensor, labels: Tensor, weight: Tensor | None = None, label_smoothing: float = 0.0
) -> Tensor:
    """Cross-entropy plus the squared earth mover's distance of ordered classes, 0 to 1: a loss [].

    From logits [b, k], labels [b] int and weights of the classes [k], by which images are averaged as in
    `cross_entropy`, whose labels alone are smoothed. The distance, the mean over the k - 1 limits between
    grades of the squared difference of predicted and true cumulative probability, lets a mistake cost more
    the more grades it is off (Hou, Yu and Samaras, arXiv 1611.05916). It is the ranked probability score
    (Epstein, Journal of Applied Meteorology 8, 1969, 985-987), lowest for the true probabilities as
    cross-entropy is, and so is their sum (ours).
    """
    classes = logits.shape[1]
    sums = torch.ones(classes, classes - 1, device=logits.device, dtype=logits.dtype).triu()
    up_to = logits.softmax(1) @ sums  # not by `cumsum`, which CUDA has no deterministic one of
    truly = (labels[:, None] <= torch.arange(classes - 1, device=labels.device)).to(logits.dtype)
    losses = functional.cross_entropy(logits, labels, reduction="none", label_smoothing=label_smoothing)
    losses = losses + ((up_to - truly) ** 2).mean(1)
    if weight is None:
        return losses.mean()
    of_images = weight[labels]
    return (of_images * losses).sum() / of_images.sum()


LOSSES: Mapping[str, Callable[..., Tensor]] = {
    "cross_entropy": functional.cross_entropy,
    "ordinal": ordinal_loss,
}
