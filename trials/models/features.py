"""What the cheap baselines see of an image: histograms of gradients, statistics of colour and gradient."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from search_space.progress import progress
from trials.data.images import to_array

SIDE, CELL, ORIENTATIONS = 100, 10, 9  # of histograms of gradients: pixels, pixels, bins
_BLOCK = 3  # cells

Images = Sequence[np.ndarray]  # uint8 [h, w] or [h, w, 3]


def gradients(images: Images) -> np.ndarray:
    """Return histograms of oriented gradients [n, features] (Dalal and Triggs, CVPR 2005).

    Of the grey image squared to 100x100, 10x10 pixels a cell.
    """
    from skimage.feature import hog  # imported late: seconds

    squares = progress(_squares(images), "images turned to features")
    return np.stack([hog(image, pixels_per_cell=(CELL, CELL)) for image in squares])


def gradient_cells(images: Images) -> np.ndarray:
    """Return histograms as `gradients`, of each cell by itself, with its mean and deviation [n, features].

    A cell's histogram is divided by its own length, so that no neighbour's edges count; how light and how
    uneven the cell is, which that hides, stands beside it. Ours.
    """
    from skimage.feature import hog  # imported late: seconds

    squares = _squares(images)
    shapes = np.stack(
        [
            hog(image, pixels_per_cell=(CELL, CELL), cells_per_block=(1, 1), block_norm="L2")
            for image in progress(squares, "images turned to features")
        ]
    )
    across = SIDE // CELL
    cells = squares.reshape(-1, across, CELL, across, CELL)
    levels = [
        np.asarray(level, dtype=float).reshape(-1, across**2)
        for level in (cells.mean((2, 4)), cells.std((2, 4)))
    ]
    return np.hstack([shapes, *levels])


def _squares(images: Images) -> np.ndarray:
    """Return grey images, float32 [n, 100, 100] in 0 to 255."""
    squares: np.ndarray = to_array(images, SIDE, "stretch").astype(np.float32).mean(1)
    return squares


QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
STATISTICS = 2 * 4 * (2 + len(QUANTILES))  # of each image


def statistics(images: Images) -> np.ndarray:
    """Return statistics of colour and gradient [n, `STATISTICS`]; which are ours.

    Mean, standard deviation and quantiles of red, green, blue and the size of the grey gradient, over the
    image and over its middle third of both sides: 32x32 of 96x96, by which PatchCamelyon labels a patch.
    """
    return np.stack([_statistics(image) for image in progress(images, "images turned to features")])


def _statistics(image: np.ndarray) -> np.ndarray:
    colours = np.broadcast_to(image.reshape(*image.shape[:2], -1), (*image.shape[:2], 3)).astype(np.float32)
    steep = np.hypot(*np.gradient(np.pad(colours.mean(2), 1, mode="edge")))[1:-1, 1:-1]
    maps = np.dstack([colours, steep])
    height, width = image.shape[0] // 3, image.shape[1] // 3
    parts = (maps, maps[height : len(maps) - height, width : maps.shape[1] - width])
    return np.concatenate([np.concatenate(_summary(part.reshape(-1, 4))) for part in parts])


def _summary(values: np.ndarray) -> list[np.ndarray]:
    return [values.mean(0), values.std(0), *np.quantile(values, QUANTILES, axis=0)]


_ACROSS = SIDE // CELL
FEATURES: Mapping[str, tuple[Callable[[Images], np.ndarray], int]] = {  # by name, and how many they are
    "gradients": (gradients, (_ACROSS - _BLOCK + 1) ** 2 * _BLOCK**2 * ORIENTATIONS),
    "gradient_cells": (gradient_cells, _ACROSS**2 * (ORIENTATIONS + 2)),
    "statistics": (statistics, STATISTICS),
}
