"""Read the classification tasks of the ISIC challenges of 2018 (task 3) and 2019, as published.

The ground truth `..._GroundTruth.csv` (beside the images' folder, or in a folder of its own) has the name of
an `image` in each row and a column for each class (`MEL`, `NV`, `BCC`, ...), of which one is 1. Another table
has the `lesion_id` of each image: `..._LesionGroupings.csv` in 2018, `..._Metadata.csv` in 2019. The
challenge of 2018 trains on HAM10000 (Tschandl et al. 2018, 10.1038/sdata.2018.161).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from trials.data.readers.base import Options, Reader
from trials.data.readers.ham10000 import class_column
from trials.data.readers.images_by_name import LABEL, LESION, NAME, PATIENT, SPLIT, list_by_name, name_column
from trials.data.records import SPLITS, Listing
from trials.data.tables.csv_rows import Row, headings, read_rows
from trials.data.tables.one_hot import one_class
from trials.data.tables.split_names import part_of
from trials.errors import DataError

TRUTH = "_GroundTruth.csv"
NO_CLASSES = (PATIENT, LESION, "score_weight", "validation_weight")  # the weights are for scores
GROUPS = ("_LesionGroupings.csv", "_Metadata.csv")


def holds(path: Path) -> bool:
    """Return whether a folder, or one in it, has a ground truth with a column for each class."""
    return path.is_dir() and bool(_truths(path))


def read(root: Path, options: Options) -> Listing:
    """List the images of the ground truth, grouped by lesion, or by patient where a table names them.

    Three ground truths, of training, validation and test, are the split of every run. Raises `DataError` for
    other numbers of them, for rows without one class, and for tables that cannot be read.
    """
    truths = _truths(root)
    parts = _parts(root, truths)
    rows = [row for truth in truths for row in _rows(truth, parts)]
    if not rows:
        raise DataError(f"{truths[0]}: has no row; download it again")
    return list_by_name(root, "isic_challenge", truths[0], _with_groups(root, rows), options.group_column)


def _truths(root: Path) -> list[Path]:
    return [path for path in _ending(root, TRUTH) if _is_truth(path)]


def _is_truth(path: Path) -> bool:
    columns = headings(path)
    return bool(name_column(columns)) and not class_column(columns) and len(_classes(columns)) > 1


def _classes(columns: list[str]) -> list[str]:
    return [name for name in columns if name not in ("", name_column(columns), *NO_CLASSES)]


def _parts(root: Path, truths: Sequence[Path]) -> dict[Path, str]:
    """Return the part of a split of each ground truth; {}: there is one, and no split."""
    if len(truths) == 1:
        return {}
    parts = {truth: _part(truth) for truth in truths}
    known = {truth: part for truth, part in parts.items() if part}
    if sorted(known.values()) == sorted(SPLITS) and len(truths) == len(SPLITS):
        return known
    names = ", ".join(truth.name for truth in truths)
    raise DataError(
        f"{root}: holds {names}; expected one of them, or one each of {', '.join(SPLITS)}. Put those of "
        "another part, with its images, into a folder elsewhere"
    )


def _part(truth: Path) -> str | None:
    """Return which of `SPLITS` is in a name such as ISIC2018_Task3_Training_GroundTruth.csv."""
    return next((part for word in truth.name.split("_") if (part := part_of(word))), None)


def _rows(truth: Path, parts: dict[Path, str]) -> list[Row]:
    columns = headings(truth)
    rows, classes = read_rows(truth, ()), _classes(columns)
    names = [row.pop(name_column(columns) or "") for row in rows]
    labels = one_class(truth, names, rows, classes)
    split = {SPLIT: parts[truth]} if parts else {}
    return [
        {key: cell for key, cell in row.items() if key not in classes} | {NAME: name, LABEL: label} | split
        for row, name, label in zip(rows, names, labels, strict=True)
    ]


def _with_groups(root: Path, rows: Sequence[Row]) -> list[Row]:
    """Return the rows with what the tables of lesions and patients say of their images, perhaps nothing."""
    more: dict[str, Row] = {}
    for table in (path for end in GROUPS for path in _ending(root, end)):
        if column := name_column(headings(table)):
            for row in read_rows(table, (column,)):
                name = row.pop(column)
                more[name] = more.get(name, {}) | row
    blank = {heading: "" for row in more.values() for heading in row}
    return [blank | more.get(row[NAME], {}) | row for row in rows]


def _ending(root: Path, end: str) -> list[Path]:
    """Return the files of a folder, and of those in it, whose names end so."""
    return [path for path in sorted([*root.glob(f"*{end}"), *root.glob(f"*/*{end}")]) if path.name[0] != "."]


ISIC_CHALLENGE = Reader(
    "isic_challenge", "an ISIC challenge of 2018 or 2019 as published", holds, read, group_columns=True
)
