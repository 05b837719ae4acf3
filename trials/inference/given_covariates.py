"""The covariates of image files, from a table that a user names: a row an image, found by path or by name.

What models take as an image's own size needs no table: it is measured where the table lacks it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from trials.data.covariates import OWN, RATIO, CovariateCoding, Table, own_cells, with_ratio
from trials.data.files.image_file import open_image
from trials.data.files.paths import some
from trials.data.tables.csv_rows import Row, headings, read_rows
from trials.errors import DataError
from trials.models.model import Model
from trials.settings.data import SIZE

FILE = "file"


@dataclass(frozen=True, eq=False)
class Given:
    """The cells of images by column, those of all models, and `notes` on what is odd about them."""

    cells: Mapping[Path, Row]
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @classmethod
    def read(cls, table: str | Path | None, files: Sequence[Path], models: Sequence[Model]) -> Given:
        """Read what models take beside image files; blank cells, and files without a row, are missing.

        Rows name images in the column `file`: by path, relative to the table or to the working directory, or
        by name. Raises `DataError` without a table where a model takes more than an image's own size, and
        with one where none takes any; for missing columns, for rows that may be of several images or images
        of several rows, and where no image has a row.
        """
        codings = [one.description.covariates for one in models if one.description.covariates]
        names = tuple(dict.fromkeys(name for coding in codings for name in coding.names))
        own = _own(codings, names, table)
        told = tuple(name for name in names if name not in own)
        if not names or (told and table is None):
            _refuse_none(table, names, models[0].name)
            return cls({}, ())
        cells: dict[Path, Row] = {file: {} for file in files}
        notes: list[str] = []
        if table is not None:
            cells, notes = _matched(Path(table), files, told)
        if own:
            cells = {file: {**cells[file], **_size(file)} for file in files}
            scale = "give crops at the scale of the training images"
            notes = [*notes, f"{', '.join(own)}: each image's own, in pixels; {scale}"]
        given = cls(cells, names)
        doubts = [line for coding in codings for line in coding.doubts(given.of(files) or {})]
        return cls(cells, names, tuple(dict.fromkeys([*notes, *doubts])))

    def of(self, files: Sequence[Path]) -> Table | None:
        """Return the cells of some of the images by column; None: no model takes any."""
        return {name: [self.cells[file][name] for file in files] for name in self.names} or None


def _own(
    codings: Sequence[CovariateCoding], names: Sequence[str], table: str | Path | None
) -> tuple[str, ...]:
    """Return the columns that are measured; none where the table tells sizes, or is to tell nothing else."""
    told = {name for coding in codings for name in coding.names if name not in coding.of_image}
    if table is not None and (not told or set(SIZE) & set(headings(Path(table)))):
        return ()
    return tuple(name for name in names if name not in told)


def _size(file: Path) -> Row:
    """Return an image's own size; "" where it cannot be read, which whoever decodes its pixels tells."""
    try:
        return own_cells(*open_image(file).size)
    except DataError:
        return dict.fromkeys(OWN, "")


def _matched(table: Path, files: Sequence[Path], names: Sequence[str]) -> tuple[dict[Path, Row], list[str]]:
    """Return each image's cells, "" where it has no row, and a note on those."""
    rows = [with_ratio(row) for row in read_rows(table, (FILE, *_asked(table, names)))]
    known = _Rows(table, rows)
    found = {file: known.of(file) for file in files}
    _refuse_shared(table, found)
    absent = [str(file) for file, row in found.items() if row is None]
    if files and len(absent) == len(files):
        raise DataError(f"{table}: has a row for none of {len(files)} images ({some(absent)}); {_FORM}")
    notes = [
        f"{len(absent)} of {len(files)} images have no row in {table}: taken as missing ({some(absent)})"
    ]
    cells = {file: {name: (row or {}).get(name, "") for name in names} for file, row in found.items()}
    return cells, notes if absent else []


_FORM = f"name each in the column {FILE}, by its path or its name"


def _refuse_none(table: str | Path | None, names: Sequence[str], model: str) -> None:
    """Raise `DataError` for a table that no model needs, and where one is needed and not there."""
    if table is not None:
        raise DataError(f"{table}: {model} takes no covariates; leave the table out")
    if not names:
        return
    raise DataError(
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
