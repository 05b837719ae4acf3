"""Cut full frames to the lesion that their masks mark, as BUSI is published.

Al-Dhabyani et al. 2020, 10.1016/j.dib.2019.104863: an image `benign (1).png` has the masks
`benign (1)_mask.png`, `benign (1)_mask_1.png`, ... beside it; `pairs.py` finds those of other names and
places. The crop is the box around all masks of an image, widened by 10 % of its size on every side. Frames
without a lesion are in the folder `normal`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from trials.data.files.decoding import decode
from trials.data.files.image_file import open_image
from trials.data.files.paths import some
from trials.data.masks.pixels import FAINT, Box, Shape, read_shape
from trials.data.records import LeftOut, Listing, Record
from trials.errors import DataError, NoLesionError

MARGIN = 0.1
WITHOUT_LESION = "normal"
WHOLE = 0.1  # the share of crops as large as their frames above which masks are not believed; ours
EMPTY = "its masks mark no pixel, so its lesion cannot be cut out; correct them"
MISSING = "no mask, so its lesion cannot be cut out; add one, or remove all masks from the data"
_AS_BUSI = re.compile(r".+_mask(_\d+)?$")
Masks = Mapping[Path, Sequence[Path]]  # of frames that have some
_T = TypeVar("_T")


def named_as_busi(masks: Masks) -> bool:
    """Return whether all masks are named and placed as BUSI's."""
    return all(
        _AS_BUSI.match(mask.stem) and mask.parent == image.parent
        for image, of_image in masks.items()
        for mask in of_image
    )


def cut(listing: Listing, masks: Masks) -> Listing:
    """Return the listing with each frame cut to the lesion that its masks mark.

    Frames of the class `normal` without a lesion are left out. Any other frame without one is a problem, and
    so is a mask that does not fit its frame.
    """
    attempts = _lesions([listing.root / record.file for record in listing.records], masks)
    records, left_out, problems, uncut = [], [], [], []
    for record, found in zip(listing.records, attempts, strict=True):
        if isinstance(found, Lesion):
            uncut += [record.file] if found.is_whole else []
            records.append(_cut_out(record, listing.root / record.file, found.crop))
        elif isinstance(found, NoLesionError) and record.label.casefold() == WITHOUT_LESION:
            left_out.append(LeftOut(record.file, record.label, "", "no lesion"))
        else:
            problems.append(str(found))
    listing = replace(
        listing,
        records=tuple(records),
        left_out=(*listing.left_out, *left_out),
        problems=(*listing.problems, *problems),
    )
    return _with_whole_frames(listing, uncut) if uncut else listing


def whole(listing: Listing, masks: Masks) -> Listing:
    """Return the listing of frames as they are, with a note on the masks that are passed over."""
    count = sum(map(len, masks.values()))
    note = f"whole frames, as data.frames asks: {count} masks of {len(masks)} images are passed over"
    return replace(listing, notes=(*listing.notes, note))


def _cut_out(record: Record, frame: Path, box: Box) -> Record:
    return replace(record, decode=partial(decode, frame, box), frame=partial(decode, frame), box=box)


def _with_whole_frames(listing: Listing, uncut: Sequence[str]) -> Listing:
    """Return the listing with a note on crops that cut nothing off, and a problem where they are many."""
    note = f"{len(uncut)} crops are as large as their frames, by their masks ({some(uncut)})"
    listing = replace(listing, notes=(*listing.notes, note))
    if len(uncut) <= WHOLE * len(listing.records):
        return listing
    problem = (
        f"{listing.root}: {note}; masks must be bright where the lesion is and dark elsewhere: correct them, "
        "or remove all masks if the images are crops already"
    )
    return replace(listing, problems=(*listing.problems, problem))


@dataclass(frozen=True)
class Lesion:
    """The crop of a frame in its pixels, and the frame's size (width, height)."""

    crop: Box
    frame: tuple[int, int]

    @property
    def is_whole(self) -> bool:
        """Whether nothing is cut off."""
        return self.crop == (0, 0, *self.frame)


def _lesions(frames: Sequence[Path], masks: Masks) -> list[Lesion | DataError]:
    """Return each frame's lesion, or what is wrong with its masks."""
    with ThreadPoolExecutor() as pool:
        every = [mask for of_image in masks.values() for mask in of_image]
        shapes = dict(zip(every, pool.map(partial(_attempt, read_shape), every), strict=True))
        faint = FAINT * max((shape.peak for shape in shapes.values() if isinstance(shape, Shape)), default=0)

        def lesion(frame: Path) -> Lesion:
            return _lesion(frame, {mask: shapes[mask] for mask in masks.get(frame, ())}, faint)

        return list(pool.map(partial(_attempt, lesion), frames))


def _attempt(read: Callable[[Path], _T], path: Path) -> _T | DataError:
    try:
        return read(path)
    except DataError as error:
        return error


def _lesion(frame: Path, shapes: Mapping[Path, Shape | DataError], faint: float) -> Lesion:
    """Return the lesion of a frame, by the shapes of its masks.

    Raises `DataError` for masks that cannot be read, do not fit or mark nothing.
    """
    size = open_image(frame).size
    boxes = [box for mask, shape in shapes.items() if (box := _marked(mask, shape, size, faint))]
    if not boxes:
        raise NoLesionError(f"{frame}: {EMPTY if shapes else MISSING}")
    left, top, right, bottom = zip(*boxes, strict=True)
    return Lesion(widened_box((min(left), min(top), max(right), max(bottom)), size), size)


def _marked(mask: Path, shape: Shape | DataError, size: tuple[int, int], faint: float) -> Box | None:
    """Return the box that a mask marks in a frame of `size`; None: it marks nothing."""
    if isinstance(shape, DataError):
        raise shape
    width, height = shape.size
    if abs(width * size[1] - height * size[0]) > max(size) / 2:  # half a pixel: sizes are rounded
        raise DataError(
            f"{mask}: mask of {shape.size} pixels for a frame of {size}; expected the same, or the same "
            "proportions"
        )
    if shape.box is None or shape.peak < faint:
        return None
    return _scaled(shape.box, size[0] / width, size[1] / height)


def _scaled(box: Box, across: float, down: float) -> Box:
    x0, y0, x1, y1 = box
    return round(x0 * across), round(y0 * down), round(x1 * across), round(y1 * down)


def widened_box(box: Box, size: tuple[int, int]) -> Box:
    """Return the box, wider by `MARGIN` on every side but within the frame of `size` (width, height)."""
    x0, y0, x1, y1 = box
    dx, dy = round(MARGIN * (x1 - x0)), round(MARGIN * (y1 - y0))
    return max(0, x0 - dx), max(0, y0 - dy), min(size[0], x1 + dx), min(size[1], y1 + dy)
