"""Read HAM10000 as published, and other dermatoscopic images with a table of diagnoses.

HAM10000 (Tschandl, Rosendahl and Kittler 2018, 10.1038/sdata.2018.161) has `HAM10000_metadata` with a row an
image: `image_id` names its JPEG file in `HAM10000_images_part_1` or `_2`, `dx` is the class (`mel`, `nv`,
...) and `lesion_id` the lesion, of which there may be several images. Tables of the ISIC Archive have
`isic_id`, and `patient_id` perhaps; `diagnosis` is the class.
"""

from __future__ import annotations

from pathlib import Path

from trials.data.files.paths import some
from trials.data.readers.base import Options, Reader
from trials.data.readers.images_by_name import LABEL, NAME, list_by_name, name_column
from trials.data.records import Listing
from trials.data.tables.csv_rows import Row, headings, read_rows
from trials.errors import DataError

CLASSES = ("dx", "diagnosis")  # headings
BARE, TABBED = "HAM10000_metadata", "HAM10000_metadata.tab"  # a CSV without a suffix, and what is none


def holds(path: Path) -> bool:
    """Return whether a folder has a table that names images and their diagnoses."""
    return path.is_dir() and bool(_tables(path) or (path / TABBED).is_file())


def read(root: Path, options: Options) -> Listing:
    """List the images of the table, grouped by `patient_id`, by `lesion_id` or by another of its columns.

    Raises `DataError` for two such tables, for rows without a diagnosis, and as `read_rows`.
    """
    tables = _tables(root)
    if not tables:
        raise DataError(f"{root / TABBED}: has tabs, no commas; download it in its original format, as CSV")
    (table, (name, column)), *others = tables.items()
    if others:
        named = ", ".join(path.name for path in tables)
        raise DataError(f"{root}: {named} all name images and diagnoses; keep one of them there")
    rows: list[Row] = [
        row | {NAME: row.pop(name), LABEL: row.pop(column)} for row in read_rows(table, (name, column))
    ]
    if blank := [row[NAME] for row in rows if not row[LABEL]]:
        raise DataError(f"{table}: {len(blank)} images have no {column} ({some(blank)}); take their rows out")
    return list_by_name(root, "ham10000", table, rows, options.group_column)


def class_column(columns: list[str]) -> str | None:
    """Return the heading of the column of classes; None: there is none."""
    return next((name for name in CLASSES if name in columns), None)


def _tables(root: Path) -> dict[Path, tuple[str, str]]:
    """Return the headings of the names of images and of the classes, by table."""
    paths = [path for path in sorted(root.iterdir()) if path.suffix.lower() == ".csv" or path.name == BARE]
    return {path: columns for path in paths if (columns := _columns(path))}


def _columns(table: Path) -> tuple[str, str] | None:
    found = headings(table)
    name, label = name_column(found), class_column(found)
    return (name, label) if name and label else None


HAM10000 = Reader(
    "ham10000",
    "HAM10000 as published, or images with a table of image_id (isic_id) and dx (diagnosis)",
    holds,
    read,
    group_columns=True,
)
