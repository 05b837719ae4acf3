"""A data set of lesion images in memory: decoded once, labelled by name, grouped."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trials.data.decoding import image_digest
from trials.data.duplicates import connected, near_duplicates
from trials.data.labels import label_problems
from trials.data.readers import read
from trials.data.records import DataError, LeftOut, Listing, Record

__all__ = ["DataError", "Examined", "LeftOut", "LesionData", "examine", "load"]


@dataclass(frozen=True, eq=False)
class LesionData:
    """Images that take part, one entry each in `files`, `images`, `labels`, `groups` and `image_digests`.

    Images of contradictory groups (more than one label) are not among them but in `left_out`. `images` are
    uint8 [h, w] or [h, w, 3] of any size; `labels` int64 [n], index into the sorted `classes`; `files`
    relative to `root`. Images of one group must never be on both sides of a split. `notes` are the findings
    that a report of results should repeat.
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
    digest: str
    notes: tuple[str, ...]


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
) -> LesionData:
    """Read a data set of any known layout (see `readers.py`) into memory.

    `positive` names the class that sensitivity is about; `group_column` the manifest's column that says
    which images belong together, `duplicate_group`, `patient` or `group` unless told; without any,
    near-duplicates are found and grouped. `classes` names the label numbers of an `.npz`. Raises
    `DataError` with every problem, one a line.
    """
    examined = examine(path, positive=positive, group_column=group_column, classes=classes)
    if examined.problems or examined.data is None:
        raise DataError("\n".join(examined.problems))
    return examined.data


def examine(
    path: str | Path,
    *,
    positive: str = "malignant",
    group_column: str | None = None,
    classes: Sequence[str] | None = None,
) -> Examined:
    """As `load`, but problems are listed, and what is readable is returned beside them."""
    try:
        listing = read(Path(path).absolute(), group_column, classes)
    except DataError as error:
        return Examined(None, (str(error),))
    problems = [*listing.problems, *label_problems([record.label for record in listing.records], positive)]
    with ThreadPoolExecutor() as pool:
        attempts = list(pool.map(_attempt, listing.records))
    problems += [str(result) for result in attempts if isinstance(result, DataError)]
    pairs = zip(listing.records, attempts, strict=True)
    readable = [(record, pixels) for record, pixels in pairs if isinstance(pixels, np.ndarray)]
    data = _assemble(listing, readable, positive) if readable else None
    return Examined(data, tuple(problems))


def _attempt(record: Record) -> np.ndarray | DataError:
    try:
        return record.decode()
    except DataError as error:
        return error


def _assemble(listing: Listing, readable: list[tuple[Record, np.ndarray]], positive: str) -> LesionData:
    records, images = [record for record, _ in readable], [pixels for _, pixels in readable]
    digests = [image_digest(pixels) for pixels in images]
    groups, merged = _groups(listing, records, images, digests)
    contradictory = _contradictory(records, groups)
    kept = [index for index, group in enumerate(groups) if group not in contradictory]
    classes = tuple(sorted({record.label for record in records}))
    files, labels = [records[i].file for i in kept], [records[i].label for i in kept]
    reason = "its group holds more than one label"
    return LesionData(
        name=listing.name,
        root=listing.root,
        layout=listing.layout,
        files=tuple(files),
        images=tuple(images[i] for i in kept),
        labels=np.array([classes.index(label) for label in labels], dtype=np.int64),
        classes=classes,
        groups=tuple(groups[i] for i in kept),
        group_source=f"column {listing.group_column}" if listing.group_column else "perceptual hash",
        positive=positive,
        left_out=listing.left_out
        + tuple(
            LeftOut(record.file, record.label, group, reason)
            for record, group in zip(records, groups, strict=True)
            if group in contradictory
        ),
        image_digests=tuple(digests[i] for i in kept),
        digest=_digest([files, labels, [groups[i] for i in kept], [digests[i] for i in kept]]),
        notes=listing.notes + tuple(merged),
    )


def _groups(
    listing: Listing, records: list[Record], images: list[np.ndarray], digests: list[str]
) -> tuple[list[str], list[str]]:
    """One group name an image, and a note on groups merged because images have the same pixels."""
    if listing.group_column is None:
        frames = [record.frame() for record in records if record.frame]
        pairs = near_duplicates(images) + _chained(digests) + (near_duplicates(frames) if frames else [])
        return [str(number + 1) for number in connected(len(images), pairs)], []
    named = [str(record.group) for record in records]
    number = connected(len(images), _chained(named) + _chained(digests))
    members: dict[int, dict[str, None]] = defaultdict(dict)
    for index, group in zip(number.tolist(), named, strict=True):
        members[index][group] = None
    notes = [
        f"groups {', '.join(names)} hold images of identical pixels and are one group, {next(iter(names))}"
        for names in members.values()
        if len(names) > 1
    ]
    return [next(iter(members[index])) for index in number.tolist()], notes


def _chained(keys: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs that connect all items of equal key."""
    last: dict[str, int] = {}
    pairs = []
    for index, key in enumerate(keys):
        if key in last:
            pairs.append((last[key], index))
        last[key] = index
    return pairs


def _contradictory(records: list[Record], groups: list[str]) -> set[str]:
    labels = defaultdict(set)
    for record, group in zip(records, groups, strict=True):
        labels[group].add(record.label)
    return {group for group, found in labels.items() if len(found) > 1}


def _digest(parts: list[list[str]]) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
