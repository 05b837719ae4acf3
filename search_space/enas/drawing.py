"""A picture of an architecture: both cells, from their inputs on the left to their output on the right.

A node is a box with its two operations and the number of the state that they add up to. Nodes stand in
columns by their depth. A state that is read several columns later has a lane of its own through the columns
between, so that no line runs behind a box.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.patches import BoxStyle
from matplotlib.path import Path as Outline

from search_space.enas.architecture import Architecture, CellArchitecture, Edge

# Lengths are in inches, and the picture is as large as what is in it.
BOX, _PITCH, _CONCAT, _MARGIN, _TITLE = 1.52, 2.1, 0.3, 0.25, 0.35
_PILL, _PILL_HEIGHT, _RADIUS = 1.05, 0.24, 0.14
_NODE, _INPUT, _SPACE, _HEAD = 0.66, 0.5, 0.2, 0.09

_LOOKS = {  # what is written on an operation, and its colour: blue where it has weights
    "sep_conv_3x3": ("sep conv 3x3", "#c6dbef"),
    "sep_conv_5x5": ("sep conv 5x5", "#9ecae1"),
    "avg_pool_3x3": ("avg pool 3x3", "#fee6ce"),
    "max_pool_3x3": ("max pool 3x3", "#fdd0a2"),
    "skip_connect": ("identity", "#ececec"),
}
_COLOURS = ("#4d4d4d", "#8c564b", "#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#d9780f", "#138d9b", "#c2479f")
_INPUTS = ("cell before\nthe last", "last cell")
_TITLES = {"normal": "normal cell", "reduce": "reduction cell (/2: stride 2)"}

Place = tuple[int, int]  # (state, column): the state's box in its own column, its lane in later ones
Point = tuple[float, float]


@dataclass(frozen=True)
class CellPlan:
    """The position of each part of a cell: the column of each state, and the height of each place."""

    cell: CellArchitecture
    reduction: bool
    columns: tuple[int, ...]
    heights: Mapping[Place, float]

    @property
    def output(self) -> int:
        """The column of the cell's output, the last."""
        return max(self.columns) + 1

    def halves(self, state: int) -> bool:
        """Return whether the operations that read this state have stride 2."""
        return self.reduction and state < 2

    @property
    def width(self) -> float:
        """The width of the drawing, in inches."""
        return _left(self.output) + _CONCAT + _MARGIN


@lru_cache(maxsize=8)  # all layouts of a search show its cells
def draw(architecture: Architecture, kind: Literal["svg", "png"] = "svg") -> bytes:
    """Return a picture of both cells as the content of an SVG or PNG file.

    The same architecture always gives the same bytes (with one release of matplotlib). Raises ValueError for
    another kind.
    """
    if kind not in ("svg", "png"):
        raise ValueError(f"{kind!r}: a drawing is svg or png")
    content = BytesIO()
    with mpl.rc_context({"svg.hashsalt": "cells"}):
        undated = {"Date": None} if kind == "svg" else None
        figure(architecture).savefig(content, format=kind, dpi=150, metadata=undated)
    return content.getvalue()


def figure(architecture: Architecture) -> Figure:
    """Draw both cells side by side, the normal cell first; the figure belongs to no window."""
    plans = {kind: plan_cell(cell, kind == "reduce") for kind, cell in architecture.cells.items()}
    heights = [height for plan in plans.values() for height in plan.heights.values()]
    low, high = min(heights) - _NODE / 2 - _MARGIN, max(heights) + _NODE / 2 + _MARGIN + _TITLE
    width = sum(plan.width for plan in plans.values())
    made = Figure(figsize=(width, high - low))
    left = 0.0
    for kind, plan in plans.items():
        axes = made.add_axes((left / width, 0, plan.width / width, 1), xlim=(0, plan.width), ylim=(low, high))
        axes.set_axis_off()
        axes.text(_MARGIN, high - _TITLE / 2, _TITLES[kind], fontsize=11, weight="bold", va="center")
        _Cell(axes, plan).draw()
        left += plan.width
    return made


def plan_cell(cell: CellArchitecture, reduction: bool) -> CellPlan:
    """Return the columns and heights at which a cell's states are drawn."""
    columns = [0, 0]
    for first, second in cell.nodes:
        columns.append(1 + max(columns[first.input], columns[second.input]))
    last = {state: max(columns) for state in cell.loose_ends}  # the last column in which a state is needed
    for state, node in enumerate(cell.nodes, start=2):
        for edge in node:
            last[edge.input] = max(last.get(edge.input, 0), columns[state] - 1)
    heights: dict[Place, float] = {}
    for column in range(max(columns) + 1):
        wanted = {
            state: _wanted_height(cell, state, column, columns[state], heights)
            for state in last
            if columns[state] <= column <= last[state]
        }
        sizes = {state: state_size(state) if columns[state] == column else 0.0 for state in wanted}
        heights.update({(state, column): height for state, height in _stack(wanted, sizes).items()})
    return CellPlan(cell, reduction, tuple(columns), heights)


def _wanted_height(
    cell: CellArchitecture, state: int, column: int, own_column: int, heights: Mapping[Place, float]
) -> float:
    """Return the height that makes the lines into a place straight: the mean of its sources."""
    if column == 0:
        return (0.5, -0.5)[state]
    if column > own_column:
        return heights[state, column - 1]
    return sum(heights[edge.input, column - 1] for edge in cell.nodes[state - 2]) / 2


def state_size(state: int) -> float:
    """Return the height of a state's box, in inches: an input's or a node's."""
    return _INPUT if state < 2 else _NODE


def _stack(wanted: Mapping[int, float], sizes: Mapping[int, float]) -> dict[int, float]:
    """Stack states, as near to the wanted heights as their sizes allow."""
    placed: dict[int, float] = {}
    for state in sorted(wanted, key=lambda state: -wanted[state]):
        room = [placed[above] - (sizes[above] + sizes[state]) / 2 - _SPACE for above in placed]
        placed[state] = min([wanted[state], *room])
    shift = sum(wanted[state] - placed[state] for state in placed) / len(placed)
    return {state: height + shift for state, height in placed.items()}


class _Cell:
    """A cell on axes. What looks alike is one collection: matplotlib needs far longer for single patches."""

    def __init__(self, axes: Axes, plan: CellPlan) -> None:
        self._axes, self._plan = axes, plan
        self._boxes: list[tuple[Outline, str]] = []
        self._lines: list[tuple[Outline, str]] = []
        self._arrows: list[tuple[Outline, str]] = []
        self._states: list[tuple[Outline, str]] = []

    def draw(self) -> None:
        plan = self._plan
        for state, column in plan.heights:
            height = plan.heights[state, column]
            if column > plan.columns[state]:
                before = (_left(column - 1) + BOX, plan.heights[state, column - 1])
                self._line(state, before, (_left(column), height))
                self._line(state, (_left(column), height), (_left(column) + BOX, height))
            elif state < 2:
                self._input(state, height)
            else:
                self._node(state)
        self._output()
        self._collect(self._boxes, 2, edgecolor="#999999", linewidth=0.8)
        self._collect(self._lines, 2.5, facecolor="none", linewidth=1.4)
        self._collect(self._arrows, 2.5, edgecolor="none")
        self._collect(self._states, 3, edgecolor="none")

    def _collect(self, items: Sequence[tuple[Outline, str]], order: float, **looks: Any) -> None:
        outlines, colours = zip(*items, strict=True)
        coloured = "edgecolor" if "facecolor" in looks else "facecolor"
        collection = PathCollection(outlines, zorder=order, **{coloured: colours}, **looks)
        self._axes.add_collection(collection, autolim=False)

    def _input(self, state: int, height: float) -> None:
        self._box(_left(0), height, BOX, state_size(state), "white")
        self._axes.text(_left(0) + 0.1, height, _INPUTS[state], fontsize=8, va="center")
        self._state(state, (_left(0) + BOX - _RADIUS, height))

    def _node(self, state: int) -> None:
        plan = self._plan
        column, height = plan.columns[state], plan.heights[state, plan.columns[state]]
        left = _left(column)
        self._box(left, height, BOX, state_size(state), "white")

        def source(edge: Edge) -> float:
            return plan.heights[edge.input, column - 1]

        # A node adds its two operations up, so that either may be the upper one.
        upper_first = sorted(plan.cell.nodes[state - 2], key=source, reverse=True)
        for edge, y in zip(upper_first, (height + 0.15, height - 0.15), strict=True):
            text, colour = _LOOKS[edge.operation]
            self._line(edge.input, (_left(column - 1) + BOX, source(edge)), (left + 0.08, y), arrow=True)
            self._box(left + 0.08, y, _PILL, _PILL_HEIGHT, colour)
            if plan.halves(edge.input):
                text += " /2"
            self._axes.text(left + 0.08 + _PILL / 2, y, text, fontsize=7.5, ha="center", va="center")
            self._line(state, (left + 0.08 + _PILL, y), (left + BOX - 2 * _RADIUS, height))
        self._state(state, (left + BOX - _RADIUS, height))

    def _output(self) -> None:
        plan, left = self._plan, _left(self._plan.output)
        sources = {state: plan.heights[state, plan.output - 1] for state in plan.cell.loose_ends}
        middle = sum(sources.values()) / len(sources)
        size = max(1.0, 0.22 * len(sources))
        self._box(left, middle, _CONCAT, size, "#f4f4f4")
        centre = (left + _CONCAT / 2, middle)
        self._axes.text(*centre, "concatenate", fontsize=8, rotation=90, ha="center", va="center")
        for number, state in enumerate(sorted(sources, key=lambda state: -sources[state])):
            port = (left, middle + size / 2 - size * (number + 0.5) / len(sources))
            self._line(state, (_left(plan.output - 1) + BOX, sources[state]), port, arrow=True)
            if plan.halves(state):  # a loose input of a reduction cell goes through a factorized reduction
                above = sources[state] < port[1]  # the side that the line does not come from
                y, anchor = (port[1] + 0.05, "bottom") if above else (port[1] - 0.05, "top")
                self._axes.text(port[0] - 0.08, y, "/2", fontsize=7.5, ha="right", va=anchor)

    def _state(self, state: int, centre: Point) -> None:
        self._states.append((Outline.circle(centre, _RADIUS), _colour(state)))
        self._axes.text(
            *centre, str(state), fontsize=8, weight="bold", color="white", ha="center", va="center", zorder=4
        )

    def _box(self, left: float, middle: float, width: float, height: float, colour: str) -> None:
        rounded = BoxStyle.Round(pad=0, rounding_size=0.06)
        self._boxes.append((rounded(left, middle - height / 2, width, height, 1), colour))

    def _line(self, state: int, start: Point, end: Point, arrow: bool = False) -> None:
        """Draw a line, level at both ends, in the colour of the state that it carries."""
        (x, y), stop = end, end[0] - (_HEAD if arrow else 0)
        middle = (start[0] + stop) / 2
        curve = Outline(
            [start, (middle, start[1]), (middle, y), (stop, y)],
            [Outline.MOVETO, Outline.CURVE4, Outline.CURVE4, Outline.CURVE4],
        )
        self._lines.append((curve, _colour(state)))
        if arrow:
            head = Outline([(stop, y - _HEAD / 2), (x, y), (stop, y + _HEAD / 2)])
            self._arrows.append((head, _colour(state)))


def _colour(state: int) -> str:
    return _COLOURS[state % len(_COLOURS)]


def _left(column: int) -> float:
    return _MARGIN + _PITCH * column
