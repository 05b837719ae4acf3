"""Reader of a folder whose `manifest.csv` names an image a row, and of CSV files alike."""

from __future__ import annotations

import csv
import difflib
import io
from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath

from search_space.files import read_file
from trials.data.decoding import decode
from trials.data.records import SPLITS, DataError, Listing, Record

GROUP_COLUMNS = ("duplicate_group", "patient", "group")


def read_rows(path: Path, required: tuple[str, ...]) -> list[dict[str, str]]:
    """The rows of a CSV file, cells stripped. Raises `DataError` where a required column is missing."""
    try:
        reader = csv.DictReader(io.StringIO(read_file(path).decode("utf-8-sig"), newline=""))
        columns = [name.strip() for name in reader.fieldnames or ()]
        rows = [dict(zip(columns, _cells(row), strict=False)) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as UTF-8 CSV ({error})") from error
    if twice := sorted({name for name in columns if columns.count(name) > 1}):
        raise DataError(f"{path}: more than one column {twice[0]!r}; rename or remove the others")
    missing = [name for name in required if name not in columns]
    if missing:
        raise DataError(f"{path}: no column {', '.join(missing)}; its first line has {columns}")
    return rows


def _cells(row: dict[str, str | None]) -> list[str]:
    return [(cell or "").strip() for cell in row.values() if not isinstance(cell, list)]


def read_manifest(root: Path, group_column: str | None) -> Listing:
    """`manifest.csv` with `file`, `label` and groups: the column asked for, else the first of
    `GROUP_COLUMNS`.

    An image whose group cell is blank is a group of its own, and that is noted. A column `split` of train,
    valid and test is the split of every run. The name of a data set whose `source` is "synthetic" throughout
    starts with that word.
    """
    manifest = root / "manifest.csv"
    rows = read_rows(manifest, ("file", "label"))
    column = _group_column(manifest, list(rows[0]) if rows else [], group_column)
    records, notes = [], []
    for row in rows:
        file, group = row["file"], row[column] if column else None
        if file and row["label"] and _stays_inside(file) and row.get("split", SPLITS[0]) in SPLITS:
            group = file if group == "" else group
            path = root / file
            decoded = partial(decode, path)
            records.append(Record(file, row["label"], decoded, group, split=row.get("split"), path=path))
    if blank := sum(row[column] == "" for row in rows) if column else 0:
        notes.append(f"{blank} images without {column} in {manifest.name}: each is a group of its own")
    synthetic = bool(rows) and all(row.get("source") == "synthetic" for row in rows)
    name = f"synthetic-{root.name.removeprefix('synthetic-')}" if synthetic else root.name
    problems = tuple(_row_problems(manifest, rows))
    return Listing(name, root, "manifest", tuple(records), column, problems=problems, notes=tuple(notes))


def _group_column(manifest: Path, columns: list[str], asked: str | None) -> str | None:
    if asked is None:
        return next((name for name in GROUP_COLUMNS if name in columns), None)
    if asked not in columns:
        near = difflib.get_close_matches(asked, columns, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise DataError(f"{manifest}: no group column {asked}, only {', '.join(columns)}{hint}")
    return asked


def _stays_inside(file: str) -> bool:
    path = PurePosixPath(file)
    return not path.is_absolute() and ".." not in path.parts


def _row_problems(manifest: Path, rows: list[dict[str, str]]) -> Iterator[str]:
    first_row: dict[str, int] = {}
    for number, row in enumerate(rows, start=1):
        file, where = row["file"], f"{manifest}, image {number}"
        if not file:
            yield f"{where}: no file is named"
            continue
        if not row["label"]:
            yield f"{where}: {file} has no label"
        if not _stays_inside(file):
            yield f"{where}: {file} lies outside the folder; name files relative to it"
        if row.get("split", SPLITS[0]) not in SPLITS:
            yield (
                f"{where}: {file} is of split {row['split']!r}, expected one of {', '.join(SPLITS)}; correct "
                "it, or give the column another name if it is no split"
            )
        if file in first_row:
            yield f"{where}: {file} is already image {first_row[file]}; keep one of the two rows"
        first_row.setdefault(file, number)
