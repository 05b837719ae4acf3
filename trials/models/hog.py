"""Histograms of oriented gradients as a module: what scikit-image's `hog` computes, in a graph that travels.

After Dalal and Triggs, Histograms of oriented gradients for human detection, CVPR 2005. Which bin a gradient
falls into is decided by which side of the bins' edges it lies on, in float64 and without an arc tangent:
runtimes round that differently, and a gradient at an edge would change its bin.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

Norm = Literal["L2", "L2-Hys"]
_EPS = 1e-5  # as scikit-image's
_LARGEST = 0.2  # of a value, before L2-Hys normalises once more


def grey(images: Tensor) -> Tensor:
    """Return the mean of the channels [b, side, side], float32, of uint8 images [b, channels, side, side]."""
    mean: Tensor = images.float().sum(1) / images.shape[1]
    return mean


def cell_moments(pixels: Tensor, cell: int) -> Tensor:
    """Return the mean of each cell, then the standard deviation of each, float64 [b, 2 x cells].

    `pixels` are grey [b, side, side], cells of `cell` x `cell` in rows.
    """
    cells = _cells(pixels.double(), cell)
    mean = cells.mean((2, 4))
    spread = (cells - mean[:, :, None, :, None]).square().mean((2, 4)).sqrt()
    return torch.cat([mean.flatten(1), spread.flatten(1)], dim=1)


class Hog(nn.Module):
    """Maps grey images [b, side, side] to histograms, float64 [b, features], as `skimage.feature.hog` does.

    Cells have `cell` pixels a side, blocks `block` cells a side; `norm` is what blocks are normalised by.
    """

    def __init__(
        self, cell: int = 10, block: int = 3, norm: Norm = "L2-Hys", orientations: int = 9, side: int = 100
    ) -> None:
        super().__init__()
        self.cell, self.block, self.norm = cell, block, norm
        places = torch.arange((side // cell) ** 2).view(side // cell, -1)
        self.register_buffer("cells", places.unfold(0, block, 1).unfold(1, block, 1).flatten())
        edges = [math.pi * index / orientations for index in range(1, orientations)]
        for name, turn in (("cosines", math.cos), ("sines", math.sin)):
            values = torch.tensor([turn(edge) for edge in edges], dtype=torch.float64)
            self.register_buffer(name, values.view(-1, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the histograms of blocks in rows, of their cells in rows, of orientations from 0 degrees."""
        down, right = _gradients(pixels)
        votes = self._bins(down, right) * (down.square() + right.square()).sqrt()[:, None]
        histograms = _cells(votes, self.cell).mean((3, 5)).permute(0, 2, 3, 1)
        return self._normalised(self._blocks(histograms)).flatten(1)

    def _bins(self, down: Tensor, right: Tensor) -> Tensor:
        """Return 1 in the bin of each pixel's gradient and 0 in others, [b, orientations, side, side]."""
        turned = (down < 0) | ((down == 0) & (right < 0))  # to angles from 0 to below 180 degrees
        sign = torch.where(turned, -1.0, 1.0).double()
        down, right = (down * sign)[:, None], (right * sign)[:, None]
        beyond = (self.get_buffer("cosines") * down - self.get_buffer("sines") * right >= 0).double()
        every, none = torch.ones_like(down), torch.zeros_like(down)
        return torch.cat([every, beyond], dim=1) - torch.cat([beyond, none], dim=1)

    def _blocks(self, histograms: Tensor) -> Tensor:
        """Return [b, blocks, cells of a block, orientations] of [b, cells, cells, orientations]."""
        chosen = histograms.flatten(1, 2).index_select(1, self.get_buffer("cells"))
        blocks = chosen.shape[1] // self.block**2
        return chosen.reshape(-1, blocks, self.block**2, chosen.shape[2])  # ONNX would fix another batch

    def _normalised(self, blocks: Tensor) -> Tensor:
        blocks = _scaled(blocks)
        return _scaled(blocks.clamp(max=_LARGEST)) if self.norm == "L2-Hys" else blocks


def _gradients(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the difference of both neighbours of each pixel, down and to the right; 0 at the border."""
    down, right = pixels[:, 2:] - pixels[:, :-2], pixels[:, :, 2:] - pixels[:, :, :-2]
    pad = nn.functional.pad
    return pad(down, (0, 0, 1, 1)).double(), pad(right, (1, 1)).double()


def _cells(values: Tensor, cell: int) -> Tensor:
    """Return [..., rows, cell, columns, cell] of values [..., side, side]; what is left over is dropped."""
    rows, columns = (length // cell for length in values.shape[-2:])
    whole = values[..., : rows * cell, : columns * cell]
    return whole.reshape(*values.shape[:-2], rows, cell, columns, cell)


def _scaled(blocks: Tensor) -> Tensor:
    length = (blocks.square().sum((2, 3), keepdim=True) + _EPS**2).sqrt()
    return blocks / length
