"""What a reader of one on-disk layout hands over: records that decode themselves when asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

# The parts of a published split, whatever its files call them (`split_names.py`); `Split` has the same names.
SPLITS = ("training", "validation", "test")


@dataclass(frozen=True)
class LeftOut:
    """An image that takes no part in anything, and why."""

    file: str
    label: str
    group: str
    reason: str


@dataclass(frozen=True)
class Record:
    """A labelled image: `decode()` gives uint8 [h, w] or [h, w, 3], or raises `DataError`.

    Images of one `group`, a patient perhaps, stay on one side of every split. Those of one `lesion` have one
    label too, or are contradictory; without it nothing is known but what the pixels say.
    `frame()` gives the whole picture that the image is cut from, where there is one, and `box` its place
    there (x0, y0, x1, y1, half-open). Where it is an image file, that is `path`, and both take the
    `grey_range` of the data set. `split` is one of `SPLITS` where the data come with a split of their own;
    then every record of a listing has it.
    """

    file: str
    label: str
    decode: Callable[..., np.ndarray]
    group: str | None = None
    frame: Callable[..., np.ndarray] | None = None
    split: str | None = None
    path: Path | None = None
    lesion: str | None = None
    box: tuple[int, int, int, int] | None = None


@dataclass(frozen=True)
class Listing:
    """All records of a data set, with every problem (fatal) and note (worth saying) met while listing them.

    `group_column` is the manifest's column that the records' groups come from; None where the layout has no
    groups.
    """

    name: str
    root: Path
    layout: str
    records: tuple[Record, ...]
    group_column: str | None = None
    left_out: tuple[LeftOut, ...] = ()
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    ungrouped: int = 0  # images of which the column of groups says nothing, where it should
