"""The decisions that an architecture of a space consists of: cells, and choices outside of cells.

Choices labelled as NNI labels cells (``normal/input_2_0``, ``normal/op_2_0``) form cells.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nni.mutable import Categorical, CategoricalMultiple, LabeledMutable

_CELL_LABEL = re.compile(r"(?P<cell>.+)/(?P<kind>input|op)_(?P<node>\d+)_(?P<slot>\d+)")


@dataclass(frozen=True)
class CellPlan:
    """The decisions of one cell: each node, numbered after the inputs, has ``slots`` pairs."""

    label: str
    nodes: range
    slots: int
    operations: tuple[Any, ...]


@dataclass(frozen=True)
class ChoicePlan:
    """A decision outside any cell: ``chosen`` of ``values``.

    ``chosen`` is None if any subset may be chosen except the empty one, from which nothing can be computed.
    ``single`` tells that the sample holds a bare value, not a list.
    """

    label: str
    values: tuple[Any, ...]
    chosen: int | None
    single: bool


def plan_decisions(mutables: Mapping[str, LabeledMutable]) -> tuple[list[ChoicePlan], list[CellPlan]]:
    """Sort a space's labelled choices into choices and cells, both in the space's own order.

    Raises:
        TypeError: for choices other than NNI's categorical ones: a controller needs a finite list of options.
    """
    cells: dict[str, dict[str, LabeledMutable]] = {}
    for label, mutable in mutables.items():
        if not isinstance(mutable, (Categorical, CategoricalMultiple)):
            raise TypeError(
                f"the choice {label!r} is a {type(mutable).__name__}; "
                "weight sharing needs choices from a finite list: LayerChoice, InputChoice, Cell, Repeat, "
                "nni.choice"
            )
        if match := _CELL_LABEL.fullmatch(label):
            cells.setdefault(match["cell"], {})[label] = mutable
    plans = [plan for name, members in cells.items() if (plan := _cell_plan(name, members)) is not None]
    in_cells = {label for plan in plans for label in cells[plan.label]}
    return [_choice_plan(m) for label, m in mutables.items() if label not in in_cells], plans


def _cell_plan(cell: str, members: Mapping[str, LabeledMutable]) -> CellPlan | None:
    """Return the plan of the cell that these choices form, or None if only their labels look like one."""
    matches = [match for label in members if (match := _CELL_LABEL.fullmatch(label))]
    numbers = [int(match["node"]) for match in matches]
    nodes, slots = range(min(numbers), max(numbers) + 1), 1 + max(int(match["slot"]) for match in matches)
    if len(members) != 2 * slots * len(nodes):
        return None
    operations: set[tuple[Any, ...]] = set()
    for node in nodes:
        for slot in range(slots):
            source, operation = (
                members.get(f"{cell}/input_{node}_{slot}"),
                members.get(f"{cell}/op_{node}_{slot}"),
            )
            if not (
                isinstance(source, CategoricalMultiple)
                and source.n_chosen == 1
                and len(source.values) == node
            ):
                return None
            if not isinstance(operation, Categorical):
                return None
            operations.add(tuple(operation.values))
    return CellPlan(cell, nodes, slots, operations.pop()) if len(operations) == 1 else None


def _choice_plan(mutable: LabeledMutable) -> ChoicePlan:
    if isinstance(mutable, CategoricalMultiple):
        return ChoicePlan(mutable.label, tuple(mutable.values), mutable.n_chosen, single=False)
    assert isinstance(mutable, Categorical)
    return ChoicePlan(mutable.label, tuple(mutable.values), 1, single=True)
