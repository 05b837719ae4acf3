"""Read classes from a table with a column for each, in which a 1 says that an image is of the class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from trials.data.files.paths import some
from trials.data.tables.csv_rows import Row
from trials.errors import DataError


def one_class(table: Path, names: Sequence[str], rows: Sequence[Row], classes: Sequence[str]) -> list[str]:
    """Return the class of each row. `names` are the images' names, `classes` the headings.

    Raises `DataError` for cells that are not 0 or 1, and for rows of no class or of several (multi-label).
    """
    marked = [_marked(table, name, row, classes) for name, row in zip(names, rows, strict=True)]
    if problems := list(_problems(table, names, marked)):
        raise DataError("\n".join(problems))
    return [found[0] for found in marked]


def _marked(table: Path, name: str, row: Row, classes: Sequence[str]) -> list[str]:
    values = {label: _number(row[label]) for label in classes}
    for label, value in values.items():
        if value not in (0, 1):
            raise DataError(
                f"{table}: {name} has {label} = {row[label]!r}, expected 0 or 1; take out a column that is "
                "no class, and make one class of probabilities"
            )
    return [label for label, value in values.items() if value]


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def _problems(table: Path, names: Sequence[str], marked: Sequence[Sequence[str]]) -> Iterator[str]:
    if several := [(name, found) for name, found in zip(names, marked, strict=True) if len(found) > 1]:
        name, found = several[0]
        yield (
            f"{table}: {len(several)} of {len(names)} images are of several classes (multi-label), such as "
            f"{name} of {' and '.join(found)}; expected one class an image. Keep one 1 in each row, or write "
            "a manifest.csv of file and label, which is one finding or its absence"
        )
    if none := [name for name, found in zip(names, marked, strict=True) if not found]:
        yield (
            f"{table}: {len(none)} of {len(names)} images are of no class ({some(none)}); give those "
            "without any finding a column of their own, or take their rows out"
        )
