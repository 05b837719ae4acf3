"""Keep pixels in memory, or those of large data sets in a file that is mapped into memory.

The operating system then keeps in memory what there is room for, as with any file. The file is an entry of
the cache (`cache.py`), or a temporary one without a name, which lies where `TMPDIR` says and is gone with the
process. Files are written from front to back: a full disk is an error then, not the end of the process.
"""

from __future__ import annotations

import mmap
import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from math import prod
from pathlib import Path
from typing import BinaryIO

import numpy as np

from trials.data import cache
from trials.errors import DataError

IN_MEMORY = 8192  # images; ours: at 96x96 in colour 230 MB
PIXELS = "pixels"  # the file of an entry


def stack(
    images: Callable[[], Iterable[np.ndarray]], shape: tuple[int, ...], name: str | None = None
) -> np.ndarray:
    """Return images of bytes, which `images()` yields, as one array: uint8 `shape`, [images, ...].

    More than `IN_MEMORY` are a file, read only: the entry `name` of the cache, if they have a name. Raises
    `DataError` for a full disk.
    """
    if shape[0] <= IN_MEMORY:
        array = np.empty(shape, np.uint8)
        for place, image in zip(array, images(), strict=True):
            place[...] = image
        return array

    def make(folder: Path) -> None:
        with (folder / PIXELS).open("wb") as file:
            write(file, images())

    def read(folder: Path) -> np.ndarray:
        return mapped(folder / PIXELS).reshape(shape)

    kept = cache.kept(name, prod(shape), make, read) if name else None
    return _in_temporary_file(images(), prod(shape)).reshape(shape) if kept is None else kept


def write(file: BinaryIO, images: Iterable[np.ndarray]) -> None:
    """Write images of bytes, one after the other."""
    for image in images:
        file.write(np.ascontiguousarray(image).data)


def mapped(path: Path) -> np.ndarray:
    """Return the bytes of a file, uint8 [n], read only."""
    return np.memmap(path, np.uint8, "r").view(np.ndarray) if path.stat().st_size else np.empty(0, np.uint8)


def is_mapped(array: np.ndarray) -> bool:
    """Return whether an array lies in a file."""
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    return isinstance(base, mmap.mmap)


def in_file(images: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return images of bytes as they were, in a temporary file; those that lie in a file stay there.

    Raises `DataError` for a full disk.
    """
    loose = [image for image in images if not is_mapped(image)]
    if not loose:
        return list(images)
    pixels = _in_temporary_file(loose, sum(image.nbytes for image in loose))
    ends = np.cumsum([image.nbytes for image in loose])[:-1]
    moved = iter(np.split(pixels, ends))
    return [image if is_mapped(image) else next(moved).reshape(image.shape) for image in images]


def _in_temporary_file(images: Iterable[np.ndarray], size: int) -> np.ndarray:
    """Return the bytes of all images, uint8 [size], read only."""
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if size > free:
        raise DataError(
            f"{tempfile.gettempdir()}: the images need {size / 1e6:,.0f} MB, the disk has "
            f"{free / 1e6:,.0f} MB; set TMPDIR to a folder on a larger one"
        )
    with tempfile.TemporaryFile() as file:
        write(file, images)
        file.flush()
        return np.memmap(file, np.uint8, "r").view(np.ndarray)
