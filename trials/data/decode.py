"""Decode all images that a reader lists, and say once of each what can be said of its pixels alone.

Large data sets lie in a file (`storage.py`). Where a format keeps all pixels in a few files, what was decoded
and said of them is kept for later runs, by the names, sizes and times of these files; what can be mapped as
it lies there is not copied.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np

from search_space.progress import progress
from search_space.strict_json import dump_json
from trials.data import cache, storage
from trials.data.duplicates import copy_digest
from trials.data.files.decoding import image_digest
from trials.data.masks.pixels import is_blank, looks_like_mask
from trials.data.records import AT_ONCE, LeftOut, Listing, Record
from trials.errors import DataError

FORMAT = 1  # of what is kept; another where `Decoded` says other things of the same pixels
_FACTS = "facts.npy"
_FACT = np.dtype(
    [
        *(("start", "i8"), ("height", "u4"), ("width", "u4"), ("channels", "u4")),
        *(("digest", "S16"), ("copy_digest", "S16"), ("blank", "?"), ("like_mask", "?")),
    ]
)  # of an image whose pixels start there in the file; start -1: the record decodes them
Found = tuple[list["Decoded"], list[str]]


@dataclass(frozen=True, eq=False, slots=True)
class Decoded:
    """A record and its pixels, uint8 [h, w] or [h, w, 3].

    `digest` is the same for the same pixels, `copy_digest` for copies, mirrored, turned or inverted perhaps.
    """

    record: Record
    pixels: np.ndarray
    digest: str
    copy_digest: str
    blank: bool
    like_mask: bool

    def left_out(self, group: str, reason: str) -> LeftOut:
        """Say why the image takes no part."""
        return LeftOut(self.record.file, self.record.label, group, reason)


def decode_all(listing: Listing) -> Found:
    """Return the images that can be decoded, in their order, and what is wrong with the others."""
    large = len(listing.records) > storage.IN_MEMORY
    if large and listing.stored and (images := _kept(listing)):
        return images, []
    images, problems = [], []
    for some, wrong in _blocks(listing.records):
        images += _in_file(some) if large else some
        problems += wrong
    return images, problems


def _blocks(records: Sequence[Record]) -> Iterator[Found]:
    attempted = iter(progress(_attempts(records), "images decoded", total=len(records)))
    while attempts := list(islice(attempted, AT_ONCE)):
        yield (
            [one for one in attempts if isinstance(one, Decoded)],
            [one for one in attempts if isinstance(one, str)],
        )


def _attempts(records: Sequence[Record]) -> Iterator[Decoded | str]:
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(records), AT_ONCE):
            yield from pool.map(_attempt, records[start : start + AT_ONCE])


def _attempt(record: Record) -> Decoded | str:
    try:
        pixels = record.decode()
    except DataError as error:
        return str(error)
    said = image_digest(pixels), copy_digest(pixels), is_blank(pixels), looks_like_mask(pixels)
    return Decoded(record, pixels, *said)


def _in_file(images: Sequence[Decoded]) -> list[Decoded]:
    moved = storage.in_file([image.pixels for image in images])
    return [
        Decoded(one.record, pixels, one.digest, one.copy_digest, one.blank, one.like_mask)
        for one, pixels in zip(images, moved, strict=True)
    ]


def _kept(listing: Listing) -> list[Decoded] | None:
    """Return all images by the cache; None: they cannot be kept, or some are damaged, which is said later."""
    assert listing.stored
    size = listing.stored.unpacked + len(listing.records) * _FACT.itemsize
    try:
        return cache.kept(
            f"decoded-{_name(listing)}",
            size,
            lambda folder: _make(folder, listing.records),
            lambda folder: _read(folder, listing.records),
        )
    except DataError:
        return None


def _name(listing: Listing) -> str:
    files = [path.resolve() for path in listing.stored.files] if listing.stored else []
    stats = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return hashlib.sha256(dump_json([FORMAT, listing.layout, stats]).encode()).hexdigest()[:16]


def _make(folder: Path, records: Sequence[Record]) -> None:
    facts = [np.empty(0, _FACT)]
    with (folder / storage.PIXELS).open("wb") as file:
        for images, problems in _blocks(records):
            if problems:
                raise DataError("\n".join(problems))
            facts.append(np.array([_fact(image, file) for image in images], _FACT))
    np.save(folder / _FACTS, np.concatenate(facts))


def _fact(image: Decoded, file: BinaryIO) -> tuple[object, ...]:
    """Return what is kept of an image, whose pixels go to the file if no other has them."""
    start = -1 if storage.is_mapped(image.pixels) else file.tell()
    if start >= 0:
        storage.write(file, [image.pixels])
    height, width, channels = (*image.pixels.shape, 0)[:3]
    return start, height, width, channels, image.digest, image.copy_digest, image.blank, image.like_mask


def _read(folder: Path, records: Sequence[Record]) -> list[Decoded]:
    facts, stored = np.load(folder / _FACTS), storage.mapped(folder / storage.PIXELS)
    images = []
    for begin in range(0, len(records), AT_ONCE):
        some = slice(begin, begin + AT_ONCE)
        for record, fact in zip(records[some], facts[some].tolist(), strict=True):
            start, height, width, channels, digest, copied, blank, like_mask = fact
            shape = (height, width, channels) if channels else (height, width)
            size = height * width * max(1, channels)
            pixels = record.decode() if start < 0 else stored[start : start + size].reshape(shape)
            images.append(Decoded(record, pixels, digest.decode(), copied.decode(), blank, like_mask))
    return images
