"""Read the rows of a CSV file."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from search_space.regular_files import read_file
from trials.errors import DataError, reason

Row = dict[str, str]  # cells by heading
_OTHER_MARKS = ";\t"  # that spreadsheets put between cells


def read_rows(path: Path, required: tuple[str, ...], *, unnamed: bool = False) -> list[Row]:
    """Return the rows of a CSV file, cells stripped.

    Columns without a heading are dropped; with `unnamed` the last of them is kept, as "". Raises `DataError`
    for a file that is no UTF-8 CSV, a missing required column, and cells beyond the last heading.
    """
    columns, rows = _read(path)
    if twice := sorted({name for name in columns if name and columns.count(name) > 1}):
        raise DataError(f"{path}: more than one column {twice[0]!r}; rename or remove the others")
    if missing := [name for name in required if name not in columns]:
        other = any(mark in name for name in columns for mark in _OTHER_MARKS)
        way_out = "; cells must have commas between them: save it as CSV with commas" if other else ""
        raise DataError(f"{path}: no column {', '.join(missing)}; its first line has {columns}{way_out}")
    return [_cells(path, line, row, columns, unnamed) for line, row in rows]


def headings(path: Path) -> list[str]:
    """Return the headings of a CSV file, the first line alone being read; []: it is no file of UTF-8 text."""
    if not path.is_file():
        return []
    try:
        with path.open(newline="", encoding="utf-8-sig") as lines:
            return [name.strip() for name in next(csv.reader(lines), [])]
    except (OSError, UnicodeDecodeError, csv.Error):
        return []


def _read(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the headings, and each row with the number of its line."""
    try:
        lines = csv.reader(io.StringIO(read_file(path).decode("utf-8-sig"), newline=""))
        columns = [name.strip() for name in next(lines, [])]
        return columns, [(lines.line_num, row) for row in lines if row]
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: cannot be read as UTF-8 CSV ({error}); save it as what spreadsheets call CSV UTF-8"
        ) from error
    except (OSError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as UTF-8 CSV ({reason(error)})") from error


def _cells(path: Path, line: int, row: list[str], columns: list[str], unnamed: bool) -> Row:
    """Return the cells by heading."""
    if any(map(str.strip, row[len(columns) :])):
        raise DataError(
            f"{path}, line {line}: {len(row)} cells, but the first line has {len(columns)}; put text that "
            "holds commas in quotes"
        )
    cells = [*map(str.strip, row), *[""] * (len(columns) - len(row))]
    return {name: cell for name, cell in zip(columns, cells, strict=False) if name or unnamed}
