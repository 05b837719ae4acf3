"""The type of a data set of lesion images: decoded once, labelled by name, grouped.

`load.py` reads one from a folder or a file, `assemble.py` makes one of decoded images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from trials.data.files.grey_range import BYTES, GreyRange
from trials.data.records import SPLITS, LeftOut
from trials.runs.predictions import Classes


@dataclass(frozen=True, eq=False)
class LesionData:
    """Images that take part, one entry each in `files`, `images`, `labels`, `groups` and both digests.

    Copies of one picture and images of one lesion that are not labelled alike are not among them but in
    `left_out`; a patient may have lesions of several classes. `images` are uint8 [h, w] or [h, w, 3] of any
    size; `labels` int64 [n], index into `classes`; `files` relative to `root`. Images of one group must never
    be on both sides of a split. `notes` are the findings that a report of results should repeat. `splits` has
    one of `SPLITS` for each image where the data come with a split of their own, in which no image twice is
    trained on. `copy_digests` are equal where images are, mirrored, turned or inverted perhaps. `positive` is
    the class of a two-class diagnosis, or of a reading of more classes as one against the others; None: there
    is no such. Of classes that are `ordered` the labels are grades, from the least to the most. `grey_range`
    is what became black and white of images that store more than 8 bits. `table` has the cells beside the
    images by column, one an image, and `covariates` names those columns that models are given.
    """

    name: str
    root: Path
    layout: str
    files: tuple[str, ...]
    images: tuple[np.ndarray, ...]
    labels: np.ndarray
    classes: tuple[str, ...]
    groups: tuple[str, ...]
    group_source: str
    positive: str | None
    left_out: tuple[LeftOut, ...]
    image_digests: tuple[str, ...]
    copy_digests: tuple[str, ...]
    digest: str
    notes: tuple[str, ...]
    splits: tuple[str, ...] | None = None
    grey_range: GreyRange = BYTES
    ordered: bool = False
    table: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    covariates: tuple[str, ...] = ()

    def of_split(self, name: str) -> np.ndarray:
        """Return the indices of the images of a part, one of `SPLITS`, of the data's own split: int64 [n].

        Raises `ValueError` for data without such a split, and for an unknown part.
        """
        if self.splits is None:
            raise ValueError(f"{self.root}: has no split of its own")
        if name not in SPLITS:
            raise ValueError(
                f"{self.root}: no part {name!r} of its split, expected one of {', '.join(SPLITS)}"
            )
        return np.flatnonzero(np.array(self.splits) == name)

    def cells(self, indices: np.ndarray, names: Sequence[str] | None = None) -> dict[str, list[str]]:
        """Return cells of the images at `indices` by column: of those columns among `names` that are there.

        None: the covariates.
        """
        asked = self.covariates if names is None else [name for name in names if name in self.table]
        return {name: [self.table[name][i] for i in indices] for name in asked}

    @property
    def known(self) -> Classes:
        """Its classes, of which one may be positive."""
        return Classes(self.classes, self.positive)

    @property
    def stratum(self) -> np.ndarray:
        """The number of each image's class among the sorted names, by which folds are made: int64 [n]."""
        ranks = np.argsort(np.argsort(np.array(self.classes)))
        stratum: np.ndarray = ranks[self.labels]
        return stratum

    @property
    def positive_index(self) -> int | None:
        """The label of the positive class; None: no class is positive."""
        return self.known.index

    def found(self) -> dict[str, object]:
        """Return, as JSON values, what reading the data has found."""
        return {
            "name": self.name,
            "left_out": [asdict(item) for item in self.left_out],
            "notes": list(self.notes),
        }

    @property
    def tested(self) -> np.ndarray:
        """Indices of the images that are tested on: all, each in its outer fold, or the split's test."""
        return np.arange(len(self.files)) if self.splits is None else self.of_split("test")
