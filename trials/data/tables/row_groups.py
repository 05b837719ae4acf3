"""Name the groups and lesions of a table's rows by the columns that `columns.py` finds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from trials.data.duplicates import chained, connected
from trials.data.tables.cells import is_blank, same_key
from trials.data.tables.columns import GroupColumns
from trials.data.tables.csv_rows import Row
from trials.data.tables.headings import DUPLICATES, kind_of

Key = tuple[str, str]  # a column's heading and what equal cells have in common


def group_names(rows: Sequence[Row], chosen: GroupColumns) -> tuple[list[str | None], list[str]]:
    """Return each row's group, named as in its first row, and notes on what was blank or joined.

    A row without a group is one of its own, named by its `file`; without any column there are no groups.
    """
    if not chosen.together:
        return [None] * len(rows), []
    keys = [_keys(row, chosen.together) or _keys(row, chosen.finer)[:1] for row in rows]
    numbers = _joined(keys)
    names: dict[int, str] = {}
    for row, own, group in zip(rows, keys, numbers, strict=True):
        column, cell = own[0][0] if own else "", row[own[0][0]] if own else row["file"]
        names.setdefault(group, cell if column in ("", chosen.together[0]) else f"{column} {cell}")
    return [names[group] for group in numbers], list(_notes(rows, keys, chosen.together))


def _notes(rows: Sequence[Row], keys: Sequence[list[Key]], columns: tuple[str, ...]) -> Iterator[str]:
    if blank := sum(not own for own in keys):
        yield f"{blank} images without {' or '.join(columns)}: each is a group of its own"
    if twice := _written_in_two_ways(rows, columns):
        yield f"{len(twice)} groups are written in more than one way and are one each: {twice[0]}"


def lesion_names(
    rows: Sequence[Row], groups: Sequence[str | None], columns: tuple[str, ...]
) -> list[str | None]:
    """Return a name for each row's lesion; lesions may be numbered from 1 in every group."""
    keys = [
        [(name, f"{key} of {group}") for name, key in _keys(row, columns)]
        for row, group in zip(rows, groups, strict=True)
    ]
    return [str(lesion) if own else None for own, lesion in zip(keys, _joined(keys), strict=True)]


def count_ungrouped(rows: Sequence[Row], chosen: GroupColumns) -> int:
    """Return how many rows should name a group and do not; a column of duplicates may be blank."""
    if not chosen.together or all(kind_of(name) == DUPLICATES for name in chosen.together):
        return 0
    return sum(not _keys(row, (*chosen.together, *chosen.finer)) for row in rows)


def _keys(row: Row, columns: tuple[str, ...]) -> list[Key]:
    return [(name, same_key(row[name])) for name in columns if not is_blank(row[name])]


def _joined(keys: Sequence[list[Key]]) -> list[int]:
    """Return a number for each row, the same for rows that share a key of any column."""
    pairs = [pair for each in _by_column(keys) for pair in chained(each)]
    numbers: list[int] = connected(len(keys), pairs).tolist()
    return numbers


def _by_column(keys: Sequence[list[Key]]) -> Iterator[list[Key | None]]:
    """Yield each row's key in one column after the other."""
    for column in sorted({name for own in keys for name, _ in own}):
        yield [next((key for key in own if key[0] == column), None) for own in keys]


def _written_in_two_ways(rows: Sequence[Row], columns: tuple[str, ...]) -> list[str]:
    found: dict[Key, dict[str, None]] = defaultdict(dict)
    for row in rows:
        for column, key in _keys(row, columns):
            found[column, key][row[column]] = None
    return [" and ".join(map(repr, ways)) for ways in found.values() if len(ways) > 1]
