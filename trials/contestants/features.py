"""What the cheap baselines look at: the lesion's box, and histograms of gradients."""

from __future__ import annotations

import numpy as np

from trials.data.folders import read_rows
from trials.data.images import to_tensor
from trials.data.sources import DataError, LesionData


def geometry(data: LesionData, indices: np.ndarray) -> np.ndarray:
    """Return width, height (pixels of the source) and their ratio of the boxes at `indices` [n, 3].

    They are columns of the manifest; raises `DataError` where they are missing, empty or no numbers above 0.
    """
    path = data.root / "manifest.csv"
    boxes = {row["file"]: (row["width"], row["height"]) for row in read_rows(path, ("width", "height"))}
    try:
        size = np.array([boxes[data.files[i]] for i in indices], dtype=float)
    except (KeyError, ValueError) as error:
        raise DataError(f"{path}: width and height of every lesion's box are needed ({error})") from None
    if not (size > 0).all():
        raise DataError(f"{path}: width and height of every lesion's box must be numbers above 0")
    return np.column_stack([size, size[:, 0] / size[:, 1]])


def gradients(data: LesionData, indices: np.ndarray) -> np.ndarray:
    """Return histograms of oriented gradients [n, features] (Dalal and Triggs, CVPR 2005).

    Of the grey crop squared to 100x100, 10x10 pixels a cell.
    """
    from skimage.feature import hog  # imported late: seconds

    squares = to_tensor([data.images[i] for i in indices], 100, "squash").float().mean(1).numpy()
    return np.stack([hog(image, pixels_per_cell=(10, 10)) for image in squares])


def geometry_and_gradients(data: LesionData, indices: np.ndarray) -> np.ndarray:
    """Return both side by side, the geometry first."""
    return np.hstack([geometry(data, indices), gradients(data, indices)])
