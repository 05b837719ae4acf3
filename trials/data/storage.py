"""Keep pixels in memory, or those of large data sets in a temporary file that is mapped into memory.

The operating system then keeps in memory what there is room for, as with any file. The temporary file has no
name, lies where `TMPDIR` says and is gone with the process.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from math import prod

import numpy as np

from trials.errors import DataError

IN_MEMORY = 8192  # images; ours: at 96x96 in colour 230 MB


def room(shape: tuple[int, ...]) -> np.ndarray:
    """Return zeros, uint8 [images, ...], where `IN_MEMORY` says. Raises `DataError` for a full disk."""
    return np.zeros(shape, np.uint8) if shape[0] <= IN_MEMORY else _in_file(shape)


def in_file(images: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Move images of bytes to a file; return them as they were. Raises `DataError` for a full disk."""
    pixels = _in_file((max(1, sum(image.nbytes for image in images)),))  # an empty file cannot be mapped
    moved, start = [], 0
    for image in images:
        place = pixels[start : start + image.nbytes].reshape(image.shape)
        place[...] = image
        moved.append(place)
        start += image.nbytes
    return moved


def _in_file(shape: tuple[int, ...]) -> np.ndarray:
    size, free = prod(shape), shutil.disk_usage(tempfile.gettempdir()).free
    if size > free:  # writing more would end the process without a message
        raise DataError(
            f"{tempfile.gettempdir()}: the images need {size / 1e6:,.0f} MB, the disk has "
            f"{free / 1e6:,.0f} MB; set TMPDIR to a folder on a larger one"
        )
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, np.uint8, "w+", shape=shape).view(np.ndarray)
