"""Show an image to a model in several views: as it is, and slightly zoomed and shifted."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from trials.data.augment import Plain, Policy, RandomCenterCropping


class Moved(Plain):
    """Zoom images about their centre and shift them, both as shares of the side; the border is repeated."""

    def __init__(
        self,
        images: Tensor,
        crop: RandomCenterCropping | None = None,
        *,
        zoom: float = 1.0,
        right: float = 0.0,
        down: float = 0.0,
    ) -> None:
        super().__init__(images, crop)
        self._matrix = torch.tensor([[1 / zoom, 0, -2 * right], [0, 1 / zoom, -2 * down]])

    def __call__(self, indices: Tensor, generator: torch.Generator) -> Tensor:
        """Return a batch as `Plain` does."""
        batch = super().__call__(indices, generator)
        matrices = self._matrix.to(batch.device).expand(len(batch), 2, 3)
        grid = functional.affine_grid(matrices, list(batch.shape), align_corners=False)
        return functional.grid_sample(batch, grid, padding_mode="border", align_corners=False)


# The image as it is comes first. The others are half of what training with "ultrasound" draws at most; ours.
# A mirror image is no view of its own: a model that looks at it does so in each.
VIEWS: tuple[Policy, ...] = (
    Plain,
    *(partial(Moved, zoom=zoom) for zoom in (0.95, 1.05)),
    *(partial(Moved, right=shift) for shift in (-0.025, 0.025)),
    *(partial(Moved, down=shift) for shift in (-0.025, 0.025)),
)
