"""Read a folder whose `manifest.csv` names an image a row, and the rows of any CSV file."""

from __future__ import annotations

import csv
import difflib
import io
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

from search_space.regular_files import read_file
from trials.data.duplicates import chained, connected
from trials.data.readers.base import Options, Reader
from trials.data.readers.cells import is_blank, same_key
from trials.data.readers.columns import DUPLICATES, FOLDER, NONE, GroupColumns, find, kind_of
from trials.data.readers.decoding import decode
from trials.data.readers.mask_checks import without_listed_masks
from trials.data.readers.split_names import part_of, split_column
from trials.data.records import SPLITS, Listing, Record
from trials.errors import DataError, reason

MANIFEST_FILE = "manifest.csv"


def read_rows(path: Path, required: tuple[str, ...], *, unnamed: bool = False) -> list[dict[str, str]]:
    """Return the rows of a CSV file, cells stripped. Raises `DataError` where a required column is missing.

    Columns without a heading are dropped; with `unnamed` the last of them is kept, as "".
    """
    try:
        lines = csv.reader(io.StringIO(read_file(path).decode("utf-8-sig"), newline=""))
        columns = [name.strip() for name in next(lines, [])]
        rows = [(lines.line_num, row) for row in lines if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as UTF-8 CSV ({reason(error)})") from error
    if twice := sorted({name for name in columns if name and columns.count(name) > 1}):
        raise DataError(f"{path}: more than one column {twice[0]!r}; rename or remove the others")
    missing = [name for name in required if name not in columns]
    if missing:
        raise DataError(f"{path}: no column {', '.join(missing)}; its first line has {columns}")
    return [_cells(path, line, row, columns, unnamed) for line, row in rows]


def _cells(path: Path, line: int, row: list[str], columns: list[str], unnamed: bool) -> dict[str, str]:
    """Return the cells by heading. Raises `DataError` for cells beyond the last heading."""
    if any(map(str.strip, row[len(columns) :])):
        raise DataError(
            f"{path}, line {line}: {len(row)} cells, but the first line has {len(columns)}; put text that "
            "holds commas in quotes"
        )
    cells = [*map(str.strip, row), *[""] * (len(columns) - len(row))]
    return {name: cell for name, cell in zip(columns, cells, strict=False) if name or unnamed}


def holds(path: Path) -> bool:
    """Return whether a folder has a manifest."""
    return (path / MANIFEST_FILE).exists()


def read(root: Path, options: Options) -> Listing:
    """List the rows of `manifest.csv`: `file`, `label`, and the groups of the columns of `columns.find`.

    An image of which no group is known is a group of its own, and a note says so. The column of
    `split_names.split_column` is the split of every run. The name of a data set whose `source` is "synthetic"
    throughout starts with that word.
    """
    manifest = root / MANIFEST_FILE
    rows, split_notes = _with_split(read_rows(manifest, ("file", "label")))
    chosen = _group_columns(manifest, rows, options.group_column)
    groups: Sequence[str | None] = [None] * len(rows)
    notes: list[str] = []
    if chosen.together:
        groups, notes = group_names(rows, chosen)
    lesions = _lesions(rows, groups, chosen.lesion)
    records = [
        Record(
            row["file"],
            row["label"],
            partial(decode, root / row["file"]),
            group,
            split=row.get("split"),
            path=root / row["file"],
            lesion=lesion,
        )
        for row, group, lesion in zip(rows, groups, lesions, strict=True)
        if row["file"] and row["label"] and _stays_inside(row["file"])
        if row.get("split", SPLITS[0]) in SPLITS
    ]
    synthetic = bool(rows) and all(row.get("source") == "synthetic" for row in rows)
    listing = Listing(
        f"synthetic-{root.name.removeprefix('synthetic-')}" if synthetic else root.name,
        root,
        "manifest",
        tuple(records),
        " and ".join(chosen.together) or None,
        problems=(*(f"{manifest}: {line}" for line in chosen.problems), *_row_problems(manifest, rows)),
        notes=(*split_notes, *chosen.notes, *notes),
        ungrouped=_ungrouped(rows, chosen),
    )
    return without_listed_masks(listing)


def _with_split(rows: list[dict[str, str]]) -> tuple[list[dict[str, str]], list[str]]:
    """Return the rows with the part of a split, if there is one, as `split` by its name of `SPLITS`."""
    column = split_column({name: [row[name] for row in rows] for name in (rows[0] if rows else ())})
    if column is None:
        return rows, []
    notes = [] if column.lower() == "split" else [f"column {column} is taken for the data's own split"]
    return [row | {"split": part_of(row[column]) or row[column]} for row in rows], notes


def _group_columns(manifest: Path, rows: list[dict[str, str]], asked: str | None) -> GroupColumns:
    columns = {name: [row[name] for row in rows] for name in (rows[0] if rows else ())}
    if asked not in (None, NONE, FOLDER, *columns):
        near = difflib.get_close_matches(str(asked), columns, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise DataError(f"{manifest}: no group column {asked}, only {', '.join(columns)}{hint}")
    return find(columns, asked)


def group_names(rows: list[dict[str, str]], chosen: GroupColumns) -> tuple[list[str], list[str]]:
    """Return each row's group, named as in its first row, and notes on what was blank or joined."""
    first = chosen.together[0]
    keys = [_keys(row, chosen.together) or _keys(row, chosen.finer)[:1] for row in rows]
    number = connected(len(rows), [pair for each in _columns_of(keys) for pair in chained(each)]).tolist()
    names: dict[int, str] = {}
    for row, own, group in zip(rows, keys, number, strict=True):
        column, cell = own[0][0] if own else "", row[own[0][0]] if own else row["file"]
        names.setdefault(group, cell if column in ("", first) else f"{column} {cell}")
    notes = []
    if blank := sum(not own for own in keys):
        columns = " or ".join(chosen.together)
        notes.append(f"{blank} images without {columns} in manifest.csv: each is a group of its own")
    if twice := _written_in_two_ways(rows, chosen.together):
        notes.append(f"{len(twice)} groups are written in more than one way and are one each: {twice[0]}")
    return [names[group] for group in number], notes


def _ungrouped(rows: list[dict[str, str]], chosen: GroupColumns) -> int:
    """Return how many rows should name a group and do not; a column of duplicates may be blank."""
    if not chosen.together or all(kind_of(name) == DUPLICATES for name in chosen.together):
        return 0
    return sum(not _keys(row, (*chosen.together, *chosen.finer)) for row in rows)


def _keys(row: dict[str, str], columns: tuple[str, ...]) -> list[tuple[str, str]]:
    return [(name, same_key(row[name])) for name in columns if not is_blank(row[name])]


def _columns_of(keys: list[list[tuple[str, str]]]) -> Iterator[list[tuple[str, str] | None]]:
    for column in sorted({name for own in keys for name, _ in own}):
        yield [next((key for key in own if key[0] == column), None) for own in keys]


def _written_in_two_ways(rows: list[dict[str, str]], columns: tuple[str, ...]) -> list[str]:
    found: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    for row in rows:
        for column, key in _keys(row, columns):
            found[column, key][row[column]] = None
    return [" and ".join(map(repr, ways)) for ways in found.values() if len(ways) > 1]


def _lesions(
    rows: list[dict[str, str]], groups: Sequence[str | None], columns: tuple[str, ...]
) -> list[str | None]:
    """Return a name for each row's lesion; lesions may be numbered from 1 in every group."""
    keys = [
        [(name, f"{key} of {group}") for name, key in _keys(row, columns)]
        for row, group in zip(rows, groups, strict=True)
    ]
    number = connected(len(rows), [pair for each in _columns_of(keys) for pair in chained(each)]).tolist()
    return [str(lesion) if own else None for own, lesion in zip(keys, number, strict=True)]


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
            yield f"{where}: {file} lies outside the folder (or its name has ..); name files relative to it"
        if row.get("split", SPLITS[0]) not in SPLITS:
            yield (
                f"{where}: {file} is of split {row['split']!r}, expected one of {', '.join(SPLITS)}; correct "
                "it, or give the column another name if it is no split"
            )
        plain = str(PurePosixPath(file))  # ./x.png and a//x.png are x.png and a/x.png
        if plain in first_row:
            yield f"{where}: {file} is already image {first_row[plain]}; keep one of the two rows"
        first_row.setdefault(plain, number)


MANIFEST = Reader("manifest", "a folder with manifest.csv", holds, read, group_columns=True)
