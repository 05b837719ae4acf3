"""Outer folds and inner splits: stratified by class, grouped so that no group is ever on both sides.

Generated folds are scikit-learn's `StratifiedGroupKFold`, whose shuffling differs between its versions;
`write_folds` keeps them, and a `folds.csv` (`file,fold`) in the data folder goes before generated ones. Data
with a split of their own need none of this: their test images are the one outer fold, 0 of 1. scikit-learn is
imported when folds are generated, as that takes most of a second.
"""

from __future__ import annotations

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trials.data.dataset import LesionData
from trials.data.findings import excessive, findings
from trials.data.grouping import COPIES_ALONE, HASH
from trials.data.records import LeftOut
from trials.data.tables.cells import is_blank, same_key
from trials.data.tables.csv_rows import read_rows
from trials.errors import DataError
from trials.files import write_atomically

if TYPE_CHECKING:
    from sklearn.model_selection import StratifiedGroupKFold

FILE_NAME = "folds.csv"
OWN_SPLIT = "the data's own split"
GENERATED = "generated"
NO_FOLD = "their cells in folds.csv name no fold"
SHUFFLINGS, RESEED = 20, 7919  # tries at a split with every class in every part; their seeds lie so far apart


@dataclass(frozen=True, eq=False)
class Folds:
    """`fold` int64 [n] counts from 0, -1 = left out; `source` is "folds.csv" or "generated".

    `notes` say which images that could take part are in no fold.
    """

    fold: np.ndarray
    count: int
    source: str
    notes: tuple[str, ...] = ()

    def split(self, fold: int) -> tuple[np.ndarray, np.ndarray]:
        """Indices (of all other folds, of this fold). Raises `ValueError` for a fold that is not there."""
        if not 0 <= fold < self.count:
            raise ValueError(f"fold {fold} is not one of the {self.count} folds, which count from 0")
        return np.flatnonzero((self.fold != fold) & (self.fold >= 0)), np.flatnonzero(self.fold == fold)


def assign_folds(data: LesionData, folds: int = 5, seed: int = 0, accept: Sequence[str] = ()) -> Folds:
    """The folds in the data folder's `folds.csv`, else generated from `seed` (not that of the training).

    Raises `DataError` where a class has fewer groups than folds, a fold lacks a class, or the file's folds
    are not `folds` in number, miss an image, split a group, or leave out too many, unless that is among what
    `accept` names.
    """
    if folds < 2:
        raise ValueError(
            f"{folds} folds: at least 2 are needed, as one is tested and the others are trained on"
        )
    _refuse(group_shortages(data, folds))
    if _has_file(data):
        result = _stored(data, folds, accept)
    else:
        result = Folds(_generated(data, folds, seed), folds, GENERATED)
    _refuse(_lacking_classes(data, result))
    return result


def check_folds(data: LesionData, folds: int = 5, accept: Sequence[str] = ()) -> tuple[str, tuple[str, ...]]:
    """Return the `source` and `notes` of the folds that `assign_folds` would give; raises as it does.

    Where each group is of one class, and each class has as many groups as folds, none can lack a class, as a
    group goes to the fold with least of its class; then none are generated.
    """
    one_class = len(set(zip(data.groups, data.labels.tolist(), strict=True))) == len(set(data.groups))
    if folds >= 2 and one_class and not _has_file(data) and not list(group_shortages(data, folds)):
        return GENERATED, ()
    assigned = assign_folds(data, folds, accept=accept)
    return assigned.source, assigned.notes


def _has_file(data: LesionData) -> bool:
    return data.layout != "medmnist" and (data.root / FILE_NAME).exists()


def _stored(data: LesionData, folds: int, accept: Sequence[str]) -> Folds:
    file = data.root / FILE_NAME
    fold = _read_folds(file, data, folds)
    blank = [LeftOut(data.files[i], "", data.groups[i], NO_FOLD) for i in np.flatnonzero(fold < 0)]
    _refuse(f"{file}: {line}" for line in excessive(blank, len(data.files), accept))
    return Folds(fold, folds, FILE_NAME, tuple(findings(blank, ())))


def _shuffling(parts: int, seed: int, again: int) -> StratifiedGroupKFold:
    """Return the split of try `again`."""
    from sklearn.model_selection import StratifiedGroupKFold

    return StratifiedGroupKFold(parts, shuffle=True, random_state=(seed + again * RESEED) % 2**32)


def _generated(data: LesionData, folds: int, seed: int) -> np.ndarray:
    """Return each image's fold; where one lacks a class, those of the next shuffling that lacks none.

    Groups of several classes can leave a fold without one, though there are enough groups.
    """
    for again in range(SHUFFLINGS):
        splitter = _shuffling(folds, seed, again)
        fold = np.full(len(data.files), -1)
        for number, (_, test) in enumerate(splitter.split(data.stratum, data.stratum, data.groups)):
            fold[test] = number
        if not again:
            first = fold
        if not list(_lacking_classes(data, Folds(fold, folds, GENERATED))):
            return fold
    return first


def group_shortages(data: LesionData, folds: int) -> Iterator[str]:
    """A line for each class with fewer groups than folds."""
    groups = np.array(data.groups)
    hint = f"; where images share a frame, {COPIES_ALONE}" if data.group_source == HASH else ""
    for index, name in enumerate(data.classes):
        count = len(np.unique(groups[data.labels == index]))
        if count < folds:
            yield (
                f"{data.root}: class {name} has {count} groups of images, too few for {folds} folds; "
                f"add images or ask for fewer folds{hint}"
            )


def _refuse(problems: Iterable[str]) -> None:
    found = list(problems)
    if found:
        raise DataError("\n".join(found))


def _lacking_classes(data: LesionData, folds: Folds) -> Iterator[str]:
    for number in range(folds.count):
        for index in sorted(set(range(len(data.classes))) - set(data.labels[folds.fold == number].tolist())):
            yield (
                f"{data.root}: fold {number} of {folds.count} ({folds.source}) holds no "
                f"{data.classes[index]}; ask for fewer folds or another fold seed, or correct folds.csv"
            )


def _read_folds(path: Path, data: LesionData, folds: int) -> np.ndarray:
    rows = read_rows(path, ("file", "fold"))
    stored = {row["file"]: row["fold"] for row in rows}
    _refuse(_file_mismatches(path, data, [row["file"] for row in rows]))
    try:
        fold = np.array([_fold(stored[file]) for file in data.files], dtype=np.int64)
    except ValueError as error:
        raise DataError(f"{path}: expected whole numbers, empty for an image left out ({error})") from None
    _refuse(_fold_problems(path, data, fold, folds))
    return fold


def _fold(cell: str) -> int:
    return -1 if is_blank(cell) else int(same_key(cell))  # a spreadsheet writes 3 as 3.0


def _file_mismatches(path: Path, data: LesionData, named: list[str]) -> Iterator[str]:
    counts = Counter(named)
    twice = [file for file, count in counts.items() if count > 1]
    missing = [file for file in data.files if file not in counts]
    unknown = sorted(counts.keys() - set(data.files) - {item.file for item in data.left_out})
    for files, what in ((twice, "named twice"), (missing, "without a row"), (unknown, "not in the data")):
        if files:
            yield f"{path}: {len(files)} files {what}, {files[0]} for one; correct the file or remove it"


def _fold_problems(path: Path, data: LesionData, fold: np.ndarray, folds: int) -> Iterator[str]:
    found = sorted(set(fold.tolist()) - {-1})
    if found != list(range(len(found))):
        yield f"{path}: holds folds {found}; expected 0, 1, 2, ..."
    elif len(found) != folds:
        yield f"{path}: holds {len(found)} folds, not {folds}; ask for {len(found)}, or remove the file"
    parts = defaultdict(set)
    for group, number in zip(data.groups, fold.tolist(), strict=True):
        if number >= 0:
            parts[group].add(number)
    for group, numbers in parts.items():
        if len(numbers) > 1:
            yield f"{path}: group {group} is split over folds {sorted(numbers)}; correct or remove it"


def write_folds(path: Path, data: LesionData, folds: Folds) -> None:
    """Write `file,fold` (empty = left out) for every image, those left out included; whole or not at all."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("file", "fold"))
    writer.writerows(
        (file, "" if fold < 0 else fold) for file, fold in zip(data.files, folds.fold, strict=True)
    )
    writer.writerows((item.file, "") for item in data.left_out)
    write_atomically(path, text.getvalue().encode())


def inner_split(
    data: LesionData, indices: np.ndarray, fraction: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Split `indices` into (training, validation), about `fraction` of the images in the latter.

    Raises `DataError` where no grouped split leaves every class on both sides.
    """
    if not 0 < fraction <= 0.5:
        raise ValueError(f"an inner validation fraction of {fraction}: expected above 0, at most 0.5")
    for split in _inner_shufflings(data, indices, round(1 / fraction), seed):
        for training, validation in split:
            if _all_classes(data, indices, training) and _all_classes(data, indices, validation):
                return training, validation
    raise _too_few(data, indices, "training and validation with every class in both")


def inner_splits(
    data: LesionData, indices: np.ndarray, parts: int, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Divide `indices` into `parts` of whole groups; return for each (all others, the part itself).

    Raises `DataError` where no division leaves every class on both sides of each.
    """
    fewest = _fewest_groups(data, indices)
    for split in _inner_shufflings(data, indices, parts, seed) if parts <= fewest else ():
        if all(_all_classes(data, indices, side) for sides in split for side in sides):
            return split
    raise _too_few(data, indices, f"{parts} parts with every class in each")


def _inner_shufflings(
    data: LesionData, indices: np.ndarray, parts: int, seed: int
) -> Iterator[list[tuple[np.ndarray, np.ndarray]]]:
    """Yield divisions of `indices` into so many parts, of fewer groups fewer: (all others, the part) each."""
    indices = np.asarray(indices)
    labels, groups = data.stratum[indices], np.array(data.groups)[indices]
    parts = min(parts, _fewest_groups(data, indices))
    for again in range(SHUFFLINGS if parts >= 2 else 0):
        splitter = _shuffling(parts, seed, again)
        yield [(indices[rest], indices[part]) for rest, part in splitter.split(labels, labels, groups)]


def _fewest_groups(data: LesionData, indices: np.ndarray) -> int:
    labels, groups = data.stratum[indices], np.array(data.groups)[indices]
    return min(len(np.unique(groups[labels == label])) for label in np.unique(labels))


def _all_classes(data: LesionData, indices: np.ndarray, some: np.ndarray) -> bool:
    return set(data.stratum[some].tolist()) == set(data.stratum[indices].tolist())


def _too_few(data: LesionData, indices: np.ndarray, wanted: str) -> DataError:
    groups = len({data.groups[i] for i in indices})
    return DataError(
        f"{data.root}: {len(indices)} images in {groups} groups cannot be split into {wanted}; add images"
    )
