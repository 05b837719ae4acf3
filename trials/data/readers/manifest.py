"""Read a folder whose `manifest.csv` names an image a row."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath

from trials.data.files.decoding import decode
from trials.data.masks.checks import without_listed_masks
from trials.data.readers.base import Options, Reader
from trials.data.records import SPLITS, Listing, Record
from trials.data.tables.columns import FOLDER, NONE, GroupColumns, find
from trials.data.tables.csv_rows import Row, read_rows
from trials.data.tables.row_groups import count_ungrouped, group_names, lesion_names
from trials.data.tables.split_names import part_of, split_column
from trials.errors import DataError

FILE = "manifest.csv"
_NO_CELLS = ("file", "label", "split")  # columns that a record has in fields of its own


def holds(path: Path) -> bool:
    """Return whether a folder has a manifest."""
    return (path / FILE).exists()


def read(root: Path, options: Options) -> Listing:
    """List the rows of `manifest.csv`: `file`, `label`, and the groups of the columns of `columns.find`.

    An image of which no group is known is a group of its own, and a note says so. The column of
    `split_names.split_column` is the split of every run. The name of a data set whose `source` is "synthetic"
    throughout starts with that word.
    """
    manifest = root / FILE
    rows, split_notes = _with_split(read_rows(manifest, ("file", "label")))
    chosen = _group_columns(manifest, rows, options.group_column)
    groups, group_notes = group_names(rows, chosen)
    listing = Listing(
        _name(root, rows),
        root,
        "manifest",
        tuple(_records(root, rows, groups, lesion_names(rows, groups, chosen.lesion))),
        " and ".join(chosen.together) or None,
        problems=(*(f"{manifest}: {line}" for line in chosen.problems), *_row_problems(manifest, rows)),
        notes=(*split_notes, *chosen.notes, *group_notes),
        ungrouped=count_ungrouped(rows, chosen),
    )
    return without_listed_masks(listing)


def _name(root: Path, rows: Sequence[Row]) -> str:
    synthetic = bool(rows) and all(row.get("source") == "synthetic" for row in rows)
    return re.sub("^(synthetic[-_])?", "synthetic-", root.name) if synthetic else root.name


def _with_split(rows: list[Row]) -> tuple[list[Row], list[str]]:
    """Return the rows with the part of a split, if there is one, as `split` by its name of `SPLITS`."""
    column = split_column(_columns(rows))
    if column is None:
        return rows, []
    notes = [] if column.lower() == "split" else [f"column {column} is taken for the data's own split"]
    return [row | {"split": part_of(row[column]) or row[column]} for row in rows], notes


def _columns(rows: Sequence[Row]) -> dict[str, list[str]]:
    return {name: [row[name] for row in rows] for name in (rows[0] if rows else ())}


def _group_columns(manifest: Path, rows: Sequence[Row], asked: str | None) -> GroupColumns:
    columns = _columns(rows)
    if asked not in (None, NONE, FOLDER, *columns):
        near = difflib.get_close_matches(str(asked), columns, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise DataError(f"{manifest}: no group column {asked}, only {', '.join(columns)}{hint}")
    return find(columns, asked)


def _records(
    root: Path, rows: Sequence[Row], groups: Sequence[str | None], lesions: Sequence[str | None]
) -> Iterator[Record]:
    """Yield a record for each row without a problem."""
    for row, group, lesion in zip(rows, groups, lesions, strict=True):
        path = root / row["file"]
        if not any(_problems_of(row, path)) and row["file"]:
            yield Record(
                row["file"],
                row["label"],
                partial(decode, path),
                group,
                split=row.get("split"),
                path=path,
                lesion=lesion,
                cells={name: cell for name, cell in row.items() if name not in _NO_CELLS},
            )


def _stays_inside(file: str) -> bool:
    path = PurePosixPath(file)
    return not (path.is_absolute() or PureWindowsPath(file).is_absolute()) and ".." not in path.parts


def _split_is_known(row: Row) -> bool:
    return "split" not in row or row["split"] in SPLITS


def _row_problems(manifest: Path, rows: Sequence[Row]) -> Iterator[str]:
    first_row: dict[str, int] = {}
    for number, row in enumerate(rows, start=1):
        file, where = row["file"], f"{manifest}, image {number}"
        if not file:
            yield f"{where}: no file is named"
            continue
        yield from (f"{where}: {problem}" for problem in _problems_of(row, manifest.parent / file))
        plain = str(PurePosixPath(file))  # ./x.png and a//x.png are x.png and a/x.png
        if plain in first_row:
            yield f"{where}: {file} is already image {first_row[plain]}; keep one of the two rows"
        first_row.setdefault(plain, number)


def _problems_of(row: Row, path: Path) -> Iterator[str]:
    """Yield the problems of a row by itself, and of the path of its image."""
    file = row["file"]
    if not row["label"]:
        yield f"{file} has no label"
    if not _stays_inside(file):
        yield f"{file} lies outside the folder (or its name has ..); name files relative to it"
    elif "\\" in file and not path.exists():
        yield f"{file}: there is no such file; write / between folders, not \\"
    if not _split_is_known(row):
        yield (
            f"{file} is of split {row['split']!r}, expected one of {', '.join(SPLITS)}; correct it, or give "
            "the column another name if it is no split"
        )


MANIFEST = Reader("manifest", "a folder with manifest.csv", holds, read, group_columns=True)
