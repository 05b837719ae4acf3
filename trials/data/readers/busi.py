"""Full frames with masks, cut to the lesion, as BUSI is published
(Al-Dhabyani et al. 2020, 10.1016/j.dib.2019.104863).

There an image `benign (1).png` has the masks `benign (1)_mask.png`, `benign (1)_mask_1.png`, ... beside it;
`masks.py` finds those of other names and places. The crop is the box around all masks of an image, widened
by 10 % of its size on every side. Frames without a lesion are in the folder `normal`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from trials.data.readers.decoding import decode
from trials.data.readers.image_file import open_image
from trials.data.readers.mask_pixels import FAINT, Box, Shape, read_shape
from trials.data.records import DataError, LeftOut, Listing, Record

MARGIN = 0.1
WITHOUT_LESION = "normal"
WHOLE = 0.1  # the share of crops as large as their frame from which on masks are not believed; ours
SHOWN = 5
EMPTY = "its masks mark no pixel; a lesion cannot be cut out"
MISSING = "no mask, so its lesion cannot be cut out; add it, or take all masks out of the data"
_BUSIS = re.compile(r".+_mask(_\d+)?$")


def is_busis(masks: Mapping[Path, Sequence[Path]]) -> bool:
    """Whether all masks are named and placed as BUSI's."""
    return all(
        _BUSIS.match(mask.stem) and mask.parent == image.parent
        for image, some in masks.items()
        for mask in some
    )


def cut(listing: Listing, masks: Mapping[Path, Sequence[Path]]) -> Listing:
    """The listing with each frame cut to the lesion that its masks mark.

    Frames of the class `normal` without a lesion are left out; any other without one is a problem, and so is
    a mask that does not fit its frame.
    """
    attempts = _lesions([listing.root / record.file for record in listing.records], masks)
    records, left_out, problems, whole = [], [], list(listing.problems), []
    for record, found in zip(listing.records, attempts, strict=True):
        if isinstance(found, Lesion):
            whole += [record.file] if found.is_whole else []
            records.append(_cut_out(record, listing.root / record.file, found.crop))
        elif isinstance(found, NoLesionError) and record.label.casefold() == WITHOUT_LESION:
            left_out.append(LeftOut(record.file, record.label, "", "no lesion"))
        else:
            problems.append(str(found))
    notes = [*listing.notes, *([_whole_frames(whole)] if whole else [])]
    if len(whole) > WHOLE * len(records):
        problems.append(
            f"{listing.root}: {_whole_frames(whole)}; masks must be bright where the lesion is and dark "
            "elsewhere: mend them, or take all masks out if the images are crops already"
        )
    return replace(
        listing,
        records=tuple(records),
        left_out=(*listing.left_out, *left_out),
        problems=tuple(problems),
        notes=tuple(notes),
    )


def _cut_out(record: Record, frame: Path, box: Box) -> Record:
    return replace(record, decode=partial(decode, frame, box), frame=partial(decode, frame), box=box)


def _whole_frames(files: Sequence[str]) -> str:
    shown = ", ".join(files[:SHOWN]) + (", ..." if len(files) > SHOWN else "")
    return f"{len(files)} crops are as large as their frames, by their masks ({shown})"


class NoLesionError(DataError):
    """A frame in which no mask marks anything."""


@dataclass(frozen=True)
class Lesion:
    """The crop of a frame in its pixels, and the frame's size (width, height)."""

    crop: Box
    frame: tuple[int, int]

    @property
    def is_whole(self) -> bool:
        """Whether nothing is cut off."""
        return self.crop == (0, 0, *self.frame)


def _lesions(frames: Sequence[Path], masks: Mapping[Path, Sequence[Path]]) -> list[Lesion | DataError]:
    """Each frame's lesion, or what is wrong with its masks."""
    with ThreadPoolExecutor() as pool:
        every = [mask for some in masks.values() for mask in some]
        shapes = dict(zip(every, pool.map(partial(_attempt, read_shape), every), strict=True))
        faint = FAINT * max((shape.peak for shape in shapes.values() if isinstance(shape, Shape)), default=0)

        def lesion(frame: Path) -> Lesion | DataError:
            return _attempt(partial(_lesion, masks=masks, shapes=shapes, faint=faint), frame)

        return list(pool.map(lesion, frames))


def _attempt(read: Callable[[Path], Any], path: Path) -> Any:
    try:
        return read(path)
    except DataError as error:
        return error


def _lesion(
    frame: Path,
    masks: Mapping[Path, Sequence[Path]],
    shapes: Mapping[Path, Shape | DataError],
    faint: float,
) -> Lesion:
    """The lesion of a frame. Raises `DataError` for masks that do not fit or mark nothing."""
    size, boxes = open_image(frame).size, []
    for mask in masks.get(frame, ()):
        shape = shapes[mask]
        if isinstance(shape, DataError):
            raise shape
        width, height = shape.size
        if abs(width * size[1] - height * size[0]) > max(size) / 2:  # half a pixel: sizes are rounded
            raise DataError(
                f"{mask}: mask of {shape.size} pixels for a frame of {size}; expected the same, or the same "
                "proportions"
            )
        if shape.box and shape.peak >= faint:
            boxes.append(_scaled(shape.box, size[0] / width, size[1] / height))
    if not boxes:
        raise NoLesionError(f"{frame}: {EMPTY if masks.get(frame) else MISSING}")
    left, top, right, bottom = zip(*boxes, strict=True)
    return Lesion(widened_box((min(left), min(top), max(right), max(bottom)), size), size)


def _scaled(box: Box, across: float, down: float) -> Box:
    x0, y0, x1, y1 = box
    return round(x0 * across), round(y0 * down), round(x1 * across), round(y1 * down)


def widened_box(box: Box, size: tuple[int, int]) -> Box:
    """The box, wider by `MARGIN` on every side but within the frame of `size` (width, height)."""
    x0, y0, x1, y1 = box
    dx, dy = round(MARGIN * (x1 - x0)), round(MARGIN * (y1 - y0))
    return max(0, x0 - dx), max(0, y0 - dy), min(size[0], x1 + dx), min(size[1], y1 + dy)
