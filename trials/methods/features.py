"""What the cheap baselines look at: covariates, the box, histograms of gradients, statistics of colour."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from trials.data.covariates import CovariateCoding
from trials.data.dataset import LesionData
from trials.data.images import to_array
from trials.errors import DataError
from trials.settings.schema import SIZE


def coded(coding: CovariateCoding, data: LesionData, indices: np.ndarray) -> np.ndarray:
    """Return the inputs that the covariates of the images at `indices` become [n, d]."""
    return coding.code(data.cells(indices))


def with_covariates(
    features: Callable[[LesionData, np.ndarray], np.ndarray],
    coding: CovariateCoding,
    data: LesionData,
    indices: np.ndarray,
) -> np.ndarray:
    """Return other features of the images at `indices`, and behind them the covariates' inputs."""
    return np.hstack([features(data, indices), coded(coding, data, indices)])


def geometry(data: LesionData, indices: np.ndarray) -> np.ndarray:
    """Return width, height (pixels of the source) and their ratio of the boxes at `indices` [n, 3].

    Raises `DataError` where the table beside the images and their masks do not say them, or as no numbers
    above 0.
    """
    if missing := [name for name in SIZE if name not in data.table]:
        raise DataError(
            f"{data.root}: no column {' and '.join(missing)} in a table beside the images, and no masks: "
            "width and height of every lesion's box are needed"
        )
    try:
        size = np.array([[data.table[name][i] for name in SIZE] for i in indices], dtype=float)
    except ValueError as error:
        raise DataError(f"{data.root}: width and height of every lesion's box are needed ({error})") from None
    if not (size > 0).all():
        raise DataError(f"{data.root}: width and height of every lesion's box must be numbers above 0")
    return np.column_stack([size, size[:, 0] / size[:, 1]])


def gradients(data: LesionData, indices: np.ndarray) -> np.ndarray:
    """Return histograms of oriented gradients [n, features] (Dalal and Triggs, CVPR 2005).

    Of the grey crop squared to 100x100, 10x10 pixels a cell.
    """
    from skimage.feature import hog  # imported late: seconds

    squares = to_array([data.images[i] for i in indices], 100, "stretch").astype(np.float32).mean(1)
    return np.stack([hog(image, pixels_per_cell=(10, 10)) for image in squares])


QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
STATISTICS = 2 * 4 * (2 + len(QUANTILES))  # of each image


def statistics(data: LesionData, indices: np.ndarray) -> np.ndarray:
    """Return statistics of colour and gradient [n, `STATISTICS`]; which are ours.

    Mean, standard deviation and quantiles of red, green, blue and the size of the grey gradient, over the
    image and over its middle third of both sides: 32x32 of 96x96, by which PatchCamelyon labels a patch.
    """
    return np.stack([_statistics(data.images[i]) for i in indices])


def _statistics(image: np.ndarray) -> np.ndarray:
    colours = np.broadcast_to(image.reshape(*image.shape[:2], -1), (*image.shape[:2], 3)).astype(np.float32)
    steep = np.hypot(*np.gradient(np.pad(colours.mean(2), 1, mode="edge")))[1:-1, 1:-1]
    maps = np.dstack([colours, steep])
    height, width = image.shape[0] // 3, image.shape[1] // 3
    parts = (maps, maps[height : len(maps) - height, width : maps.shape[1] - width])
    return np.concatenate([np.concatenate(_summary(part.reshape(-1, 4))) for part in parts])


def _summary(values: np.ndarray) -> list[np.ndarray]:
    return [values.mean(0), values.std(0), *np.quantile(values, QUANTILES, axis=0)]


def geometry_and_gradients(data: LesionData, indices: np.ndarray) -> np.ndarray:
    """Return both side by side, the geometry first."""
    return np.hstack([geometry(data, indices), gradients(data, indices)])
