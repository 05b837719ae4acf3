"""Outer folds and inner splits: stratified by class, grouped so that no group is ever on both sides.

Generated folds are scikit-learn's `StratifiedGroupKFold`, whose shuffling differs between its versions;
`write_folds` keeps them, and a `folds.csv` (`file,fold`) in the data folder goes before generated ones.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from search_space.files import write_atomically
from trials.data.folders import read_rows
from trials.data.sources import DataError, LesionData

FILE_NAME = "folds.csv"


@dataclass(frozen=True, eq=False)
class Folds:
    """`fold` int64 [n] counts from 0, -1 = left out; `source` is "folds.csv" or "generated"."""

    fold: np.ndarray
    count: int
    source: str

    def split(self, fold: int) -> tuple[np.ndarray, np.ndarray]:
        """Indices (of all other folds, of this fold). Raises `ValueError` for a fold that is not there."""
        if not 0 <= fold < self.count:
            raise ValueError(f"fold {fold} is not one of the {self.count} folds, which count from 0")
        return np.flatnonzero((self.fold != fold) & (self.fold >= 0)), np.flatnonzero(self.fold == fold)


def assign_folds(data: LesionData, folds: int = 5, seed: int = 0) -> Folds:
    """The folds in the data folder's `folds.csv`, else generated from `seed`, which is not the training's
    seed.

    Raises `DataError` where a class has fewer groups than folds, a fold lacks a class, or the file's folds
    are not `folds` in number, miss an image, or split a group.
    """
    if folds < 2:
        raise ValueError(f"{folds} folds: at least 2 are needed")
    stored = data.root / FILE_NAME
    if data.layout != "medmnist" and stored.exists():
        result = Folds(_read_folds(stored, data, folds), folds, FILE_NAME)
    else:
        _require_groups(data, folds)
        splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
        fold = np.full(len(data.files), -1)
        for number, (_, test) in enumerate(splitter.split(data.labels, data.labels, data.groups)):
            fold[test] = number
        result = Folds(fold, folds, "generated")
    _require_classes(data, result)
    return result


def groups_per_class(data: LesionData) -> dict[str, int]:
    """Class name -> number of groups."""
    groups = np.array(data.groups)
    return {name: len(np.unique(groups[data.labels == index])) for index, name in enumerate(data.classes)}


def _require_groups(data: LesionData, folds: int) -> None:
    for name, count in groups_per_class(data).items():
        if count < folds:
            raise DataError(
                f"{data.root}: class {name} has {count} groups of images, too few for {folds} folds; "
                "add images or ask for fewer folds"
            )


def _require_classes(data: LesionData, folds: Folds) -> None:
    for number in range(folds.count):
        present = set(data.labels[folds.fold == number].tolist())
        for index, name in enumerate(data.classes):
            if index not in present:
                raise DataError(
                    f"{data.root}: fold {number} of {folds.count} ({folds.source}) holds no {name}; "
                    "ask for fewer folds or another fold seed, or correct folds.csv"
                )


def _read_folds(path: Path, data: LesionData, folds: int) -> np.ndarray:
    rows = read_rows(path, ("file", "fold"))
    stored = {row["file"]: row["fold"] for row in rows}
    if len(stored) < len(rows):
        raise DataError(f"{path}: {len(rows) - len(stored)} files are named twice")
    _require_same_files(path, data, stored)
    try:
        fold = np.array([int(stored[file] or -1) for file in data.files], dtype=np.int64)
    except ValueError as error:
        raise DataError(
            f"{path}: folds are whole numbers from 0, empty for an image left out ({error})"
        ) from None
    found = sorted(set(fold.tolist()) - {-1})
    if found != list(range(folds)):
        raise DataError(
            f"{path}: holds folds {found}, but {folds} folds counted from 0 are asked for; ask for its number"
        )
    for group in np.unique(data.groups):
        parts = set(fold[np.array(data.groups) == group].tolist()) - {-1}
        if len(parts) > 1:
            raise DataError(
                f"{path}: group {group} is split over folds {sorted(parts)}; correct the file or remove it"
            )
    return fold


def _require_same_files(path: Path, data: LesionData, stored: Mapping[str, str]) -> None:
    missing = [file for file in data.files if file not in stored]
    unknown = sorted(stored.keys() - set(data.files) - {item.file for item in data.left_out})
    for files, what in ((missing, "has no row for"), (unknown, "names files that the data does not have:")):
        if files:
            raise DataError(
                f"{path}: {what} {', '.join(files[:5])} ({len(files)} in all); correct or remove it"
            )


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
    indices = np.asarray(indices)
    labels, groups = data.labels[indices], np.array(data.groups)[indices]
    parts = min(
        round(1 / fraction), *(len(np.unique(groups[labels == label])) for label in np.unique(labels))
    )
    if parts >= 2:
        splitter = StratifiedGroupKFold(parts, shuffle=True, random_state=seed)
        for training, validation in splitter.split(labels, labels, groups):
            if set(labels[training]) == set(labels[validation]) == set(labels):
                return indices[training], indices[validation]
    raise DataError(
        f"{data.root}: {len(indices)} images in {len(np.unique(groups))} groups cannot be split into "
        "training and validation with every class in both; add images"
    )
