"""Layouts: the order in which a network stacks the two kinds of cell, and the width of each cell."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Self

from search_space.enas.architecture import KINDS


@dataclass(frozen=True)
class Position:
    """A place in a layout: `layer` counts from 0, `filters` is the width of the cell there."""

    layer: int
    kind: str
    filters: int
    after_reduction: bool

    @property
    def reduction(self) -> bool:
        """Whether the cell there is a reduction cell."""
        return self.kind == "reduce"


class Layout(tuple[str, ...]):
    """The kind of every cell of a network, "normal" or "reduce", from the first to the last.

    Raises ValueError for other names, and for a layout without one of the kinds, since a search decides both.
    """

    def __new__(cls, kinds: Iterable[str]) -> Self:
        """Check the kinds."""
        made = super().__new__(cls, kinds)
        if set(made) != set(KINDS):
            raise ValueError(f"a layout is made of both {' and '.join(KINDS)} cells, not of {tuple(made)!r}")
        return made

    def positions(self, filters: int) -> Iterator[Position]:
        """Yield the cells; their width starts at `filters` and doubles at each reduction cell."""
        previous = ""
        for layer, kind in enumerate(self):
            filters *= 2 if kind == "reduce" else 1
            yield Position(layer, kind, filters, after_reduction=previous == "reduce")
            previous = kind

    @property
    def auxiliary_layer(self) -> int | None:
        """The cell after the second reduction cell, where ENAS has its auxiliary head, or None."""
        reductions = [layer for layer, kind in enumerate(self) if kind == "reduce"]
        if len(reductions) < 2 or reductions[1] + 1 == len(self):
            return None
        return reductions[1] + 1


def parse_layout(cells: str | Iterable[str]) -> Layout:
    """Return the layout named "enasN", N cells by ENAS's own rule, or check one given as kinds of cell.

    ENAS counts `num_layers` normal cells and puts two reduction cells among them, at `num_layers // 3` and
    `2 * (num_layers // 3) + 1`, so N is `num_layers + 2`: "enas17" is 5N R 5N R 5N, "enas7" is N R N R 3N.
    Raises ValueError for any other name.
    """
    if not isinstance(cells, str):
        return Layout(cells)
    name = re.fullmatch(r"enas([1-9]\d{0,3})", cells)
    if not name or int(name[1]) < 3:
        raise ValueError(
            f"unknown layout {cells!r}; layouts are named enas3, enas4, ... after their number of cells"
        )
    third = (int(name[1]) - 2) // 3
    reductions = (third, 2 * third + 1)
    return Layout("reduce" if layer in reductions else "normal" for layer in range(int(name[1])))


def check_stem_stride(stride: int) -> None:
    """Raise ValueError for a stride other than 1, 2 and 4."""
    if stride not in (1, 2, 4):
        raise ValueError(f"stem_stride is 1, 2 or 4, not {stride!r}")


def check_sizes(**sizes: int) -> None:
    """Raise ValueError if one of the sizes, by name, is not a whole number from 1."""
    for name, size in sizes.items():
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise ValueError(f"{name} must be a whole number from 1, not {size!r}")
