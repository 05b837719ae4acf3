"""Decoded images of any size to one tensor of bytes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image

from trials.data.sources import LesionData

FITS = ("squash", "pad")


def to_tensor(data: LesionData | Sequence[np.ndarray], side: int = 100, fit: str = "squash") -> torch.Tensor:
    """uint8 [n, channels, side, side], bicubic; one channel if all images are grey, else three.

    `fit="squash"` stretches to the square as Ahmed et al. (2020) do at side 100; `"pad"` keeps the
    proportions and adds black borders (our choice: taller than wide is a sign of malignancy that squashing
    hides).
    """
    if fit not in FITS:
        raise ValueError(f"fit {fit!r}: expected one of {', '.join(FITS)}")
    images = data.images if isinstance(data, LesionData) else data
    mode = "RGB" if any(image.ndim == 3 for image in images) else "L"
    squares = np.stack([_square(Image.fromarray(image).convert(mode), side, fit) for image in images])
    return torch.from_numpy(squares[:, None] if mode == "L" else squares.transpose(0, 3, 1, 2).copy())


def _square(image: Image.Image, side: int, fit: str) -> np.ndarray:
    if fit == "squash":
        return np.asarray(image.resize((side, side), Image.Resampling.BICUBIC))
    scale = side / max(image.size)
    width, height = (max(1, round(length * scale)) for length in image.size)
    canvas = Image.new(image.mode, (side, side))
    canvas.paste(
        image.resize((width, height), Image.Resampling.BICUBIC), ((side - width) // 2, (side - height) // 2)
    )
    return np.asarray(canvas)


def with_channels(images: torch.Tensor, channels: int) -> torch.Tensor:
    """[n, 1 or 3, h, w] with 1 or 3 `channels`: grey is repeated without a copy, colour weighted as ITU-R
    601 luma.
    """
    if images.shape[1] == channels:
        return images
    if (images.shape[1], channels) == (1, 3):
        return images.expand(-1, 3, -1, -1)
    if (images.shape[1], channels) == (3, 1):
        weights = torch.tensor([0.299, 0.587, 0.114], device=images.device).view(1, 3, 1, 1)
        return (images.float() * weights).sum(1, keepdim=True).round().to(images.dtype)
    raise ValueError(f"images of {images.shape[1]} channels to {channels}: only 1 and 3 are known")
