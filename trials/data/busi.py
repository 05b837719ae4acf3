"""BUSI as published (Al-Dhabyani et al. 2020, 10.1016/j.dib.2019.104863): full frames, cut to the lesion.

Folders `benign`, `malignant`, `normal`; an image `benign (1).png` has the masks `benign (1)_mask.png`,
`benign (1)_mask_1.png`, ... The crop is the box around all masks, widened by 10 % of its size on every side.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from trials.data.decoding import decode, open_image
from trials.data.grey_range import BYTES, GreyRange
from trials.data.records import DataError, LeftOut, Listing, Record

MARGIN = 0.1
WITHOUT_LESION = "normal"
Box = tuple[int, int, int, int]  # x0, y0, x1, y1, half-open
_MASK = re.compile(r"^(?P<image>.+)_mask(_\d+)?$")


@dataclass(frozen=True)
class Case:
    """A frame with its masks."""

    label: str
    image: Path
    masks: tuple[Path, ...]

    def box(self) -> Box:
        """The crop in pixels of the frame. Raises `DataError` for masks that do not fit."""
        size = open_image(self.image).size
        lesion = np.zeros(size[::-1], dtype=bool)
        for path in self.masks:
            mask = open_image(path)
            if mask.size != size:
                raise DataError(
                    f"{path}: mask of {mask.size} pixels for a frame of {size}; expected the same"
                )
            lesion |= np.asarray(mask.convert("L")) > 0
        if not lesion.any():
            raise DataError(f"{self.image}: its masks mark no pixel; a lesion cannot be cut out")
        return widened_box(lesion)

    def decode(self, grey_range: GreyRange = BYTES) -> np.ndarray:
        """The crop as uint8 [h, w] or [h, w, 3]."""
        return decode(self.image, self.box(), grey_range)


def widened_box(lesion: np.ndarray) -> Box:
    """The box around the marked pixels [h, w], wider by `MARGIN` on every side but within the frame."""
    height, width = lesion.shape
    ys, xs = np.flatnonzero(lesion.any(1)), np.flatnonzero(lesion.any(0))
    (x0, x1), (y0, y1) = (xs[0], xs[-1] + 1), (ys[0], ys[-1] + 1)
    dx, dy = round(MARGIN * (x1 - x0)), round(MARGIN * (y1 - y0))
    return max(0, int(x0) - dx), max(0, int(y0) - dy), min(width, int(x1) + dx), min(height, int(y1) + dy)


def is_busi(images: dict[str, list[Path]]) -> bool:
    """Whether any class folder holds masks named as BUSI names them."""
    return any(_MASK.match(path.stem) for paths in images.values() for path in paths)


def find_cases(images: dict[str, list[Path]]) -> tuple[list[Case], list[str]]:
    """All frames with their masks, those without a lesion included, and what does not match."""
    cases, problems = [], []
    for label, paths in images.items():
        masks: dict[str, list[Path]] = {}
        for path in paths:
            if match := _MASK.match(path.stem):
                masks.setdefault(match["image"], []).append(path)
        for frame in (path for path in paths if not _MASK.match(path.stem)):
            found = tuple(masks.pop(frame.stem, ()))
            if found or label == WITHOUT_LESION:
                cases.append(Case(label, frame, found))
            else:
                problems.append(f"{frame}: no mask, so its lesion cannot be cut out")
        problems += [f"{mask}: a mask without its image" for orphans in masks.values() for mask in orphans]
    return cases, problems


def read_busi(root: Path, images: dict[str, list[Path]]) -> Listing:
    """The crops of all frames with a lesion; `normal` frames have none and are left out."""
    cases, problems = find_cases(images)
    records, left_out = [], []
    for case in cases:
        file = case.image.relative_to(root).as_posix()
        if case.label == WITHOUT_LESION:
            left_out.append(LeftOut(file, case.label, "", "no lesion"))
        else:
            frame = partial(decode, case.image)
            records.append(Record(file, case.label, case.decode, frame=frame, path=case.image))
    return Listing(root.name, root, "busi", tuple(records), None, tuple(left_out), tuple(problems))
