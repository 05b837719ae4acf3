"""What is known of an image beside its pixels, such as age, device and size of the lesion, as numbers.

The cells of a table are text. A column whose known cells are all numbers is a number, any other a category.
Its coding is fitted on the training images alone: numbers, or their logarithms, are standardised, a category
has an input for each value, and what some training images lack has an input that says so. Rules of ours.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from trials.data.dataset import LesionData
from trials.data.files.paths import some
from trials.data.records import Record
from trials.data.tables.cells import is_blank, same_key
from trials.errors import DataError
from trials.settings.data import SIZE
from trials.settings.section import Section

Table = Mapping[str, Sequence[str]]  # cells by column, one an image
RATIO = "ratio"
OWN = (*SIZE, RATIO)  # what may be an image's own size
MOST_VALUES = 32  # of a category; more name the images, or are numbers and slips; ours
_LARGEST = 1e15  # numbers above it are none; ours


def table_of(records: Sequence[Record]) -> dict[str, tuple[str, ...]]:
    """Return the cells beside the images by column, "" where an image has none.

    Where no column says them, `width` and `height` are those of the boxes that the images are cut by, in
    pixels of the frames; `ratio` is the one over the other.
    """
    names = dict.fromkeys(name for record in records for name in record.cells)
    table = {name: tuple(record.cells.get(name, "") for record in records) for name in names}
    if not names.keys() & set(SIZE) and any(record.box for record in records):
        table |= dict(zip(SIZE, zip(*map(_size, records), strict=True), strict=True))
    if RATIO not in table and set(SIZE) <= table.keys():
        table[RATIO] = tuple(map(_ratio, *(table[name] for name in SIZE)))
    return table


def with_ratio(row: Mapping[str, str]) -> dict[str, str]:
    """Return an image's cells with the ratio of its width and height, unless they have one."""
    known = {RATIO: _ratio(*(row[name] for name in SIZE))} if set(SIZE) <= row.keys() else {}
    return known | dict(row)


def _size(record: Record) -> tuple[str, str]:
    if record.box is None:
        return "", ""
    left, top, right, bottom = record.box
    return str(right - left), str(bottom - top)


def _ratio(width: str, height: str) -> str:
    across, down = number(width), number(height)
    return str(across / down) if across and down else ""


def number(cell: str) -> float | None:
    """Return a cell's number; None: it is none, or beyond what can be meant."""
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if abs(value) <= _LARGEST else None


def unknown_columns(names: Sequence[str], table: Table) -> Iterator[str]:
    """Yield a problem for each name of a covariate that is no column, with the nearest that is one."""
    for name in (name for name in names if name not in table):
        near = difflib.get_close_matches(name, table, 1)
        hint = f" (nearest: {near[0]})" if near else ""
        there = f"there are {', '.join(table)}" if table else "the images come with no table and no masks"
        yield f"no column {name!r} for data.covariates{hint}; {there}"


class NumberColumn(Section):
    """A number, or its logarithm, less `mean` and over `std`; `low` and `high` are the training images'.

    With `missing` a second input is 1 where there is no number, else 0; the first is then 0. With `of_image`
    it is the image's own width, height or ratio in pixels, which needs no table.
    """

    kind: Literal["number"] = "number"
    name: str
    log: bool = False
    mean: float
    std: float = Field(gt=0)
    low: float
    high: float
    missing: bool = False
    of_image: bool = False

    @property
    def inputs(self) -> tuple[str, ...]:
        """What each input of a model is."""
        first = f"{'logarithm of ' if self.log else ''}{self.name}"
        return (f"{first}, less {self.mean:.6g}, over {self.std:.6g}", *_missing_input(self))

    def knows(self, cell: str) -> bool:
        """Return whether a cell that is not blank can be coded."""
        value = number(cell)
        return value is not None and (value > 0 or not self.log)

    def row(self, cell: str) -> list[float]:
        """Return the inputs of one image."""
        if is_blank(cell) or not self.knows(cell):
            return [0.0, 1.0][: 1 + self.missing]
        value = math.log(float(cell)) if self.log else float(cell)
        return [(value - self.mean) / self.std, 0.0][: 1 + self.missing]


class CategoryColumn(Section):
    """One of `values`, compared as `same_key` does: an input for each, 1 for the image's own, else 0.

    With `missing` a last input is 1 where an image has none of them.
    """

    kind: Literal["category"] = "category"
    name: str
    values: tuple[str, ...] = Field(min_length=2)
    missing: bool = False

    @property
    def inputs(self) -> tuple[str, ...]:
        """What each input of a model is."""
        return (*(f"{self.name} is {value!r}" for value in self.values), *_missing_input(self))

    @cached_property
    def _keys(self) -> tuple[str, ...]:
        return tuple(map(same_key, self.values))

    def knows(self, cell: str) -> bool:
        """Return whether a cell that is not blank can be coded."""
        return same_key(cell) in self._keys

    def row(self, cell: str) -> list[float]:
        """Return the inputs of one image."""
        key = None if is_blank(cell) else same_key(cell)
        found = [float(known == key) for known in self._keys]
        return found + [float(not any(found))] * self.missing


def _missing_input(column: NumberColumn | CategoryColumn) -> tuple[str, ...]:
    return (f"{column.name} is missing",) if column.missing else ()


Column = Annotated[NumberColumn | CategoryColumn, Field(discriminator="kind")]


class CovariateCoding(Section):
    """How the cells of some columns become a model's inputs, as fitted on its training images."""

    columns: tuple[Column, ...] = Field(min_length=1)

    @property
    def names(self) -> tuple[str, ...]:
        """The columns in their order, each once."""
        return tuple(dict.fromkeys(column.name for column in self.columns))

    @property
    def of_image(self) -> tuple[str, ...]:
        """The columns that each image's own size tells."""
        known = {
            column.name for column in self.columns if isinstance(column, NumberColumn) and column.of_image
        }
        return tuple(name for name in self.names if name in known)

    @property
    def inputs(self) -> tuple[str, ...]:
        """What each of a model's inputs is, in words."""
        return tuple(name for column in self.columns for name in column.inputs)

    def code(self, table: Table, dtype: type[np.floating[Any]] = np.float32) -> np.ndarray:
        """Return the inputs [n, d] of the images that a table has cells of; raises KeyError."""
        columns = [[column.row(cell) for cell in table[column.name]] for column in self.columns]
        return np.hstack([np.array(rows, dtype=dtype) for rows in columns])

    def doubts(self, table: Table, images: str = "images") -> list[str]:
        """Return a sentence for each column some of whose cells are unlike those of the training images."""
        return [
            f"covariate {column.name}: {line}"
            for column in self.columns
            for line in _doubts(column, table[column.name], images)
        ]


def _doubts(column: NumberColumn | CategoryColumn, cells: Sequence[str], images: str) -> Iterator[str]:
    known = [cell for cell in cells if not is_blank(cell)]
    of = f"of {len(cells)} {images}"
    if unknown := [cell for cell in known if not column.knows(cell)]:
        shown = some([repr(cell) for cell in dict.fromkeys(unknown)])
        kind = "value that no training image has" if column.kind == "category" else "cell that is no number"
        yield f"{len(unknown)} {of} have a {kind}, coded as missing ({shown})"
    if len(known) < len(cells) and not column.missing:
        coded = "an average one" if column.kind == "number" else "none of the known ones"
        yield f"{len(cells) - len(known)} {of} have none, which no training image lacks: taken for {coded}"
    if column.kind == "number" and (beyond := _beyond(column, known)):
        yield (
            f"{len(beyond)} {of} lie beyond the training images' {column.low:g} to {column.high:g} "
            f"({some(beyond)})"
        )


def _beyond(column: NumberColumn, cells: Sequence[str]) -> list[str]:
    return [cell for cell in cells if column.knows(cell) and not column.low <= float(cell) <= column.high]


def coding_of(
    data: LesionData, training: np.ndarray, *, categories: Sequence[str] = (), log: Sequence[str] = ()
) -> CovariateCoding | None:
    """Return the coding of a data set's covariates by its images at `training`; None: it has none.

    Raises `DataError` as `fit_coding`.
    """
    if not data.covariates:
        return None
    try:
        fitted = fit_coding(data.cells(training), data.covariates, categories=categories, log=log)
        return CovariateCoding(columns=tuple(map(partial(of_image, data=data), fitted.columns)))
    except DataError as error:
        raise DataError("\n".join(f"{data.root}: {line}" for line in str(error).splitlines())) from None


def of_image(column: Column, data: LesionData) -> Column:
    """Return the coding of a column, marked where it is the own size of every image of the data.

    So it is of lesions' boxes where the images are cut by them and not made smaller since.
    """
    sizes = {name: cells for name, cells in data.table.items() if name in OWN}
    if column.name not in sizes or not set(SIZE) <= sizes.keys():
        return column
    own = (own_cells(*image.shape[1::-1]) for image in data.images)
    told = all(
        all(number(cells[i]) == number(found[name]) for name, cells in sizes.items())
        for i, found in enumerate(own)
    )
    return column.model_copy(update={"of_image": told})


def own_cells(width: int, height: int) -> dict[str, str]:
    """Return the cells of an image's own size, in pixels."""
    return with_ratio({SIZE[0]: str(width), SIZE[1]: str(height)})


def fit_coding(
    table: Table, names: Sequence[str], *, categories: Sequence[str] = (), log: Sequence[str] = ()
) -> CovariateCoding:
    """Fit the coding of the columns `names` on the cells of the training images.

    Those among `categories` are no numbers whatever their cells, and of those among `log` the logarithm
    counts. Raises `DataError`, with a line for each column that cannot be used: blank throughout, the same
    throughout, of too many values, or without a logarithm.
    """
    columns, problems = [], []
    for name in names:
        try:
            fit = _fit_category if _is_category(table[name], name in categories) else _fit_number
            columns.append(fit(name, table[name], name in log))
        except DataError as error:
            problems.append(f"covariate {name}: {error}")
    if problems:
        raise DataError("\n".join(problems))
    return CovariateCoding(columns=tuple(columns))


def _is_category(cells: Sequence[str], told: bool) -> bool:
    """Return whether a column is no number; raises `DataError` where most of its cells are, but not all."""
    known = [cell for cell in cells if not is_blank(cell)]
    texts = [cell for cell in known if number(cell) is None]
    if told or not texts:
        return told
    if 2 * len(texts) < len(known):
        raise DataError(
            f"{len(texts)} of {len(known)} cells are no numbers ({some([repr(cell) for cell in texts])}), "
            "the others are; correct them or leave them blank, or, if it is a category, name it in "
            "data.categories"
        )
    return True


def _fit_number(name: str, cells: Sequence[str], log: bool) -> NumberColumn:
    known = [cell for cell in cells if not is_blank(cell)]
    values = np.array([number(cell) for cell in known], dtype=float)
    _refuse_one_value(known, len(set(values.tolist())), len(cells))
    if log and (lowest := values.min()) <= 0:
        raise DataError(
            f"{lowest:g} has no logarithm; correct it, or leave {name} out of data.log_covariates"
        )
    scaled = np.log(values) if log else values
    return NumberColumn(
        name=name,
        log=log,
        mean=float(scaled.mean()),
        std=float(scaled.std()),
        low=float(values.min()),
        high=float(values.max()),
        missing=len(known) < len(cells),
    )


def _fit_category(name: str, cells: Sequence[str], log: bool) -> CategoryColumn:
    known = [cell for cell in cells if not is_blank(cell)]
    values = {same_key(cell): cell for cell in reversed(known)}  # as each is first spelled
    _refuse_one_value(known, len(values), len(cells))
    texts = [cell for cell in known if number(cell) is None]
    if log:
        raise DataError(
            f"{(texts or known)[0]!r} has no logarithm; correct it, or leave {name} out of "
            "data.log_covariates"
        )
    if len(values) > MOST_VALUES:
        raise DataError(
            f"{len(values)} different values, and {MOST_VALUES} at most make a category "
            f"({some(texts or known)}); correct them if they are to be numbers, join them to fewer, or "
            "leave the column out"
        )
    return CategoryColumn(
        name=name, values=tuple(values[key] for key in sorted(values)), missing=len(known) < len(cells)
    )


def _refuse_one_value(known: Sequence[str], values: int, images: int) -> None:
    if not known:
        raise DataError("no training image has any; fill it in, or leave it out of data.covariates")
    if values == 1:
        raise DataError(
            f"{known[0]!r} in all {len(known)} of {images} training images that have any, so nothing can be "
            "learned from it; leave it out of data.covariates"
        )


def missing_notes(table: Table) -> list[str]:
    """Return a sentence for each column that is blank for some images."""
    counts = {name: sum(map(is_blank, cells)) for name, cells in table.items()}
    return [
        f"covariate {name}: {count} of {len(table[name])} images have none, coded as missing"
        for name, count in counts.items()
        if count
    ]
