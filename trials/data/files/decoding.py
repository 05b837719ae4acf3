"""Decode image files to uint8 grey or RGB.

Rules of ours: a colour image whose three channels are equal is grey; grey of more than 8 bits is mapped to
bytes linearly by the range of the whole data set (`grey_range.py`), and inverted where 0 is white; an image
is reduced (bicubic) so that its longer side is at most 512 pixels, which bounds the memory that a data set of
photographs takes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from trials.data.files.grey_range import (
    BYTES,
    Extent,
    GreyRange,
    Stored,
    common_range,
    notes_on,
    refuse_mostly_beyond,
)
from trials.data.files.image_file import INVERTED, is_deep, open_image, survey
from trials.data.records import Listing, Record
from trials.errors import DataError

LONGEST_SIDE = 512


def decode(
    path: Path, box: tuple[int, int, int, int] | None = None, grey_range: GreyRange = BYTES
) -> np.ndarray:
    """Return the image, or its half-open `box` (x0, y0, x1, y1): uint8 [h, w] if grey, else [h, w, 3].

    `grey_range` is that of its data set, or of a model. Raises `DataError` as `open_image`, and for an image
    that the range would make mostly black or white.
    """
    image = to_eight_bits(open_image(path), path, grey_range)
    image = image.crop(box) if box else image
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.BICUBIC)
    pixels = np.asarray(image)
    if pixels.ndim == 3 and (pixels == pixels[..., :1]).all():
        pixels = pixels[..., 0]
    return np.ascontiguousarray(pixels)


def to_eight_bits(image: Image.Image, path: Path, grey_range: GreyRange) -> Image.Image:
    """Convert an image of `open_image` to mode L or RGB. Raises `DataError` as `decode`."""
    if not is_deep(image):
        return image.convert("L" if image.mode in ("1", "L", "LA") else "RGB")
    values = np.asarray(image)
    refuse_mostly_beyond(Extent.of(values), grey_range, path)
    scaled = grey_range.to_bytes(values)
    return Image.fromarray(255 - scaled if image.info[INVERTED] else scaled)


def decode_all(paths: Sequence[Path], grey_range: GreyRange) -> tuple[list[np.ndarray], list[str]]:
    """Decode images by a model's range; return them, and notes on how greys were read."""
    notes = notes_on([(str(path), survey(path)) for path in paths], grey_range, own=False)
    return [decode(path, grey_range=grey_range) for path in paths], list(notes)


def in_one_range(listing: Listing, grey_range: GreyRange | None) -> tuple[Listing, GreyRange]:
    """Make all records of a listing decode by one range, their own unless a model's is given.

    Return the listing, with notes on how greys are read, and the range.
    """
    with ThreadPoolExecutor() as pool:
        files = [(record.file, record.path) for record in listing.records if record.path]
        stored = [found for found in pool.map(_surveyed, files) if found]
    known = grey_range or common_range([one for _, one in stored])
    notes = (*listing.notes, *notes_on(stored, known, own=grey_range is None))
    records = tuple(_by_range(known, record) for record in listing.records)
    return replace(listing, records=records, notes=notes), known


def _surveyed(image: tuple[str, Path]) -> tuple[str, Stored] | None:
    file, path = image
    try:
        return file, survey(path)
    except DataError:  # decoding raises it again, where it is reported
        return None


def _by_range(known: GreyRange, record: Record) -> Record:
    if record.path is None:
        return record
    frame = partial(record.frame, grey_range=known) if record.frame else None
    return replace(record, decode=partial(record.decode, grey_range=known), frame=frame)


def image_digest(pixels: np.ndarray) -> str:
    """Return the first 16 hex digits of the SHA-256 of pixels and their shape."""
    header = "x".join(map(str, pixels.shape)).encode()
    return hashlib.sha256(header + b":" + pixels.tobytes()).hexdigest()[:16]
