"""A data set of lesion images: decoded once, labelled by name, grouped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from trials.data import storage
from trials.data.duplicates import copy_digest
from trials.data.faults import excessive_shares, faults
from trials.data.files.decoding import image_digest, in_one_range
from trials.data.files.grey_range import BYTES, GreyRange
from trials.data.findings import ACCEPTABLE, findings, large_groups, say
from trials.data.grouping import contradictions, group_images, group_source
from trials.data.labels import label_notes, label_problems
from trials.data.masks.checks import like_masks
from trials.data.official_split import look_alikes, overlaps
from trials.data.readers.base import Options
from trials.data.readers.choose import read
from trials.data.records import LeftOut, Listing, Record
from trials.data.tables.patient_folders import with_folder_groups
from trials.data.tables.split_names import SHORT
from trials.errors import DataError
from trials.evaluation.two_classes import as_two

__all__ = ["ACCEPTABLE", "DataError", "Examined", "LeftOut", "LesionData", "examine", "load"]


@dataclass(frozen=True, eq=False)
class LesionData:
    """Images that take part, one entry each in `files`, `images`, `labels`, `groups` and both digests.

    Copies of one picture and images of one lesion that are not labelled alike are not among them but in
    `left_out`; a patient may have lesions of several classes. `images` are uint8 [h, w] or
    [h, w, 3] of any size; `labels` int64 [n], index into the sorted `classes`; `files`
    relative to `root`. Images of one group must never be on both sides of a split. `notes` are the findings
    that a report of results should repeat. `splits` has one of `SPLITS` for each image where the data come
    with a split of their own, in which no image twice is trained on. `copy_digests` are equal where images
    are, mirrored, turned or inverted perhaps. `grey_range` is what became black and white of images that
    store more than 8 bits.
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
    positive: str
    left_out: tuple[LeftOut, ...]
    image_digests: tuple[str, ...]
    copy_digests: tuple[str, ...]
    digest: str
    notes: tuple[str, ...]
    splits: tuple[str, ...] | None = None
    grey_range: GreyRange = BYTES

    def of_split(self, name: str) -> np.ndarray:
        """Indices of the images of a part of the data's own split; raises `ValueError` where it has none."""
        if self.splits is None:
            raise ValueError(f"{self.root}: has no split of its own")
        return np.flatnonzero(np.array(self.splits) == name)

    @property
    def positive_index(self) -> int:
        """The label of the positive class."""
        return self.classes.index(self.positive)

    def found(self) -> dict[str, object]:
        """Return, as JSON values, what reading the data has found."""
        return {
            "name": self.name,
            "left_out": [asdict(item) for item in self.left_out],
            "notes": list(self.notes),
        }

    @property
    def tested(self) -> np.ndarray:
        """Indices of the images that are tested on: all of them, each in its outer fold, or the split's."""
        return np.arange(len(self.files)) if self.splits is None else self.of_split("test")


@dataclass(frozen=True)
class Examined:
    """What could be read (None: nothing), and all that forbids its use."""

    data: LesionData | None
    problems: tuple[str, ...]


def load(
    path: str | Path,
    *,
    positive: str = "malignant",
    group_column: str | None = None,
    classes: Sequence[str] | None = None,
    duplicates: str = "near",
    accept: Sequence[str] = (),
    grey_range: GreyRange | None = None,
) -> LesionData:
    """Read a data set of any known layout (see `readers.py`); `storage.py` says where its pixels are kept.

    `positive` names the class that sensitivity is about; `group_column` the manifest's column that says
    which images belong together, by `columns.find` unless told, "none" for none; without any, near-
    duplicates are found and grouped, in data with a split of their own copies only. Such a split has
    every class in each part; what lies in two of them leaves training, then validation. `classes` names
    the label numbers of an `.npz`; `duplicates` says whether near-duplicates ("near") or copies alone
    ("copies") are grouped. `accept` names problems that are none here, of `ACCEPTABLE`. `grey_range` is that
    of a model which is to look at the data; unless told it is decided from them.
    Raises `DataError` with every problem, one a line; says on standard error what was left out or joined.
    """
    examined = examine(
        path,
        positive=positive,
        group_column=group_column,
        classes=classes,
        duplicates=duplicates,
        accept=accept,
        grey_range=grey_range,
    )
    if examined.problems or examined.data is None:
        raise DataError("\n".join(examined.problems))
    say(findings(examined.data.left_out, examined.data.notes))
    return examined.data


def examine(
    path: str | Path,
    *,
    positive: str = "malignant",
    group_column: str | None = None,
    classes: Sequence[str] | None = None,
    duplicates: str = "near",
    accept: Sequence[str] = (),
    grey_range: GreyRange | None = None,
) -> Examined:
    """As `load`, but problems are listed, and what is readable is returned beside them."""
    if unknown := sorted(set(accept) - set(ACCEPTABLE)):
        return Examined(None, (f"accept {unknown[0]}: expected one of {', '.join(ACCEPTABLE)}",))
    try:
        listing = read(Path(path).absolute(), Options(group_column, classes))
        listing = with_folder_groups(listing, group_column)
    except DataError as error:
        return Examined(None, (str(error),))
    labels = [record.label for record in listing.records]
    of_labels = label_problems(labels, positive, accept)
    problems = [*listing.problems, *(f"{listing.root}: {problem}" for problem in of_labels)]
    listing = replace(listing, notes=(*listing.notes, *label_notes(labels, accept)))
    listing, grey_range = in_one_range(listing, grey_range)
    attempts = _decoded(listing.records)
    problems += [str(result) for result in attempts if isinstance(result, DataError)]
    pairs = zip(listing.records, attempts, strict=True)
    readable = [(record, pixels) for record, pixels in pairs if isinstance(pixels, np.ndarray)]
    masked, notes = like_masks(listing, [record.file for record, _ in readable], [one for _, one in readable])
    problems, listing = [*problems, *masked], replace(listing, notes=(*listing.notes, *notes))
    data = None
    if readable:
        data = replace(_assemble(listing, readable, positive, duplicates), grey_range=grey_range)
        problems += [*faults(data), *excessive_shares(data, listing, accept)]
    return Examined(data, tuple(problems))


def _decoded(records: Sequence[Record]) -> list[np.ndarray | DataError]:
    """Each record's pixels, or what is wrong with it; a block after the other where memory is not enough."""
    found: list[np.ndarray | DataError] = []
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(records), storage.IN_MEMORY):
            block = list(pool.map(_attempt, records[start : start + storage.IN_MEMORY]))
            if len(records) > storage.IN_MEMORY:
                moved = iter(storage.in_file([pixels for pixels in block if isinstance(pixels, np.ndarray)]))
                block = [next(moved) if isinstance(result, np.ndarray) else result for result in block]
            found += block
    return found


def _attempt(record: Record) -> np.ndarray | DataError:
    try:
        return record.decode()
    except DataError as error:
        return error


def _assemble(
    listing: Listing, readable: list[tuple[Record, np.ndarray]], positive: str, duplicates: str
) -> LesionData:
    classes = tuple(sorted({record.label for record, _ in readable}))
    readable, same, crossing = _within_parts(readable, [copy_digest(pixels) for _, pixels in readable])
    records, images = [record for record, _ in readable], [pixels for _, pixels in readable]
    digests = [image_digest(pixels) for pixels in images]
    grouped = group_images(listing, records, images, same, duplicates)
    groups, reasons = grouped.names, contradictions(records, grouped, digests)
    kept = [index for index, reason in enumerate(reasons) if reason is None]
    files, labels = [records[i].file for i in kept], [records[i].label for i in kept]
    splits = tuple(split for i in kept if (split := records[i].split)) or None
    source = group_source(listing, records, duplicates)
    return LesionData(
        name=listing.name,
        root=listing.root,
        layout=listing.layout,
        files=tuple(files),
        images=tuple(images[i] for i in kept),
        labels=np.array([classes.index(label) for label in labels], dtype=np.int64),
        classes=classes,
        groups=tuple(groups[i] for i in kept),
        group_source=source,
        positive=positive,
        left_out=listing.left_out
        + crossing
        + tuple(
            LeftOut(record.file, record.label, group, reason)
            for record, group, reason in zip(records, groups, reasons, strict=True)
            if reason is not None
        ),
        image_digests=tuple(digests[i] for i in kept),
        copy_digests=tuple(same[i] for i in kept),
        digest=_digest(
            [files, labels, [groups[i] for i in kept], [digests[i] for i in kept]]
            + ([[SHORT[split] for split in splits]] if splits else [])
        ),
        notes=(
            *as_two(classes, positive),
            *listing.notes,
            *grouped.notes,
            *look_alikes(records, images),
            *large_groups([groups[i] for i in kept], source),
        ),
        splits=splits,
    )


def _within_parts(
    readable: list[tuple[Record, np.ndarray]], same: list[str]
) -> tuple[list[tuple[Record, np.ndarray]], list[str], tuple[LeftOut, ...]]:
    """What stays of the data's own split, its copy digests, and what is left out for lying in two parts."""
    records = [record for record, _ in readable]
    splits = [record.split for record in records if record.split]
    reasons = overlaps(splits, same, [record.group for record in records]) if splits else [None] * len(same)
    staying = [index for index, reason in enumerate(reasons) if reason is None]
    crossing = tuple(
        LeftOut(record.file, record.label, record.group or "", reason)
        for record, reason in zip(records, reasons, strict=True)
        if reason is not None
    )
    return [readable[i] for i in staying], [same[i] for i in staying], crossing


def _digest(parts: list[list[str]]) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
