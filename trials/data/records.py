"""The images of a data set as a reader lists them: records that decode themselves when asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

# The parts of a published split, whatever its files call them (`split_names.py`); `Split` has the same names.
SPLITS = ("training", "validation", "test")


@dataclass(frozen=True)
class LeftOut:
    """An image that takes no part, and why."""

    file: str
    label: str
    group: str
    reason: str


@dataclass(frozen=True)
class Record:
    """A labelled image: `decode()` returns uint8 [h, w] or [h, w, 3], or raises `DataError`.

    Images of one `group`, such as a patient, stay on one side of every split. Images of one `lesion` must
    have one label. `path` is the image file, if the image has one of its own; `decode` and `frame` then take
    the `grey_range` of the data set. `frame()` returns the whole picture that the image is cut from, if it
    is, and `box` is its place there (x0, y0, x1, y1, half-open). `split` is one of `SPLITS` if the data come
    with a split of their own; then every record of a listing has one. `cells` is what else a table beside the
    images says of this one, by column.
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
    cells: Mapping[str, str] = field(default_factory=dict)


AT_ONCE = 1024  # records whose images are decoded side by side, in any order


@dataclass(frozen=True)
class Stored:
    """The few files that hold all pixels of a data set, and nothing else says how these are decoded.

    `unpacked` is how many bytes of pixels have to be decoded; others are mapped as they lie there.
    """

    files: tuple[Path, ...]
    unpacked: int


@dataclass(frozen=True)
class Listing:
    """All records of a data set, and every problem (fatal) and note found while listing them.

    `group_column` names the column that the records' groups come from; None: there is none. `stored` is told
    by a format with a few files of many images, so that these are decoded once, and not in every run.
    """

    name: str
    root: Path
    layout: str
    records: tuple[Record, ...]
    group_column: str | None = None
    left_out: tuple[LeftOut, ...] = ()
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    ungrouped: int = 0  # images for which the column of groups is blank
    stored: Stored | None = None
