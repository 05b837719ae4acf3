"""The covariates of image files, from a table that a user names: a row an image, found by path or by name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from trials.data.covariates import RATIO, with_ratio
from trials.data.files.paths import some
from trials.data.tables.csv_rows import Row, headings, read_rows
from trials.errors import DataError
from trials.settings.schema import SIZE

FILE = "file"


def read_covariates(
    table: Path | None, files: Sequence[Path], names: Sequence[str], model: str
) -> tuple[dict[Path, Row], list[str]]:
    """Return the cells of each image by column, "" where the table has none, and notes.

    Rows name images in the column `file`: by path, relative to the table or to the working directory, or by
    name. Raises `DataError` without a table where a model takes covariates, for columns that are missing,
    rows that may be of several images or images of several rows, and where no image has a row.
    """
    if not names:
        if table is not None:
            raise DataError(f"{table}: {model} takes no covariates; leave the table out")
        return {}, []
    if table is None:
        raise DataError(_wanted(names, model))
    rows = [with_ratio(row) for row in read_rows(table, (FILE, *_asked(table, names)))]
    found = _Rows(table, rows)
    matched = {file: found.of(file) for file in files}
    _refuse_shared(table, matched)
    absent = [str(file) for file, row in matched.items() if row is None]
    if files and len(absent) == len(files):
        raise DataError(f"{table}: has a row for none of {len(files)} images ({some(absent)}); {_FORM}")
    blank = dict.fromkeys(names, "")
    notes = [
        f"{len(absent)} of {len(files)} images have no row in {table}: taken as missing ({some(absent)})"
    ]
    cells = {file: {name: (row or blank).get(name, "") for name in names} for file, row in matched.items()}
    return cells, notes if absent else []


_FORM = f"name each in the column {FILE}, by its path or its name"


def _wanted(names: Sequence[str], model: str) -> str:
    return (
        f"{model}: takes covariates beside the images, {', '.join(names)}; give a table of them, "
        f"--covariates TABLE.csv, whose first line is\n{','.join((FILE, *names))}\nand which has a line for "
        "each image; blank cells count as missing"
    )


def _asked(table: Path, names: Sequence[str]) -> list[str]:
    """Return the columns that must be there; width and height tell the ratio."""
    if RATIO not in names or RATIO in headings(table):
        return list(names)
    return [*(name for name in names if name != RATIO), *SIZE]


class _Rows:
    """The rows of a table, by the path and by the name of their images."""

    def __init__(self, table: Path, rows: Sequence[Row]) -> None:
        self.table = table
        self._by_path: dict[Path, Row] = {}
        self._by_name: dict[str, list[Row]] = defaultdict(list)
        for row in filter(lambda row: row[FILE], rows):
            self._by_name[Path(row[FILE]).name].append(row)
            for path in self._places(row[FILE]):
                if self._by_path.setdefault(path, row) != row:
                    raise DataError(f"{table}: {row[FILE]} has two rows that differ; keep one of them")

    def _places(self, file: str) -> set[Path]:
        return {(start / file).resolve() for start in (self.table.parent, Path())}

    def of(self, file: Path) -> Row | None:
        """Return an image's row; raises `DataError` where several may be meant."""
        if row := self._by_path.get(file.resolve()):
            return row
        named = self._by_name.get(file.name, [])
        if len({tuple(sorted(row.items())) for row in named}) > 1:
            raise DataError(
                f"{self.table}: {len(named)} rows are named {file.name}, and none has the path of {file}; "
                "name each by its path, relative to the table"
            )
        return named[0] if named else None


def _refuse_shared(table: Path, matched: Mapping[Path, Row | None]) -> None:
    """Raise `DataError` where one row was found for several images by their name."""
    files = defaultdict(list)
    for file, row in matched.items():
        if row is not None:
            files[id(row)].append(file)
    for several in files.values():
        if len({file.resolve() for file in several}) > 1:
            raise DataError(
                f"{table}: one row is named as both {several[0]} and {several[1]}; name each by its path, "
                "relative to the table"
            )
