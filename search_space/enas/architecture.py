"""An architecture as plain data: what a search finds and a network is built from.

The space is the micro space of ENAS (Pham et al. 2018, arXiv 1802.03268). A cell reads two states, numbered
0 (the output of the cell before the last) and 1 (the last cell's output), and computes one further state in
each of its nodes, numbered from 2. A node has two slots; each applies one of five operations to an earlier
state, and the node's state is the sum of the two results.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import index
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from search_space.regular_files import read_file
from search_space.strict_json import dump_json, parse_json

OPERATIONS = ("sep_conv_3x3", "sep_conv_5x5", "avg_pool_3x3", "max_pool_3x3", "skip_connect")
"""NNI's names of ENAS's operations; the position of a name is ENAS's number for it."""

KINDS = ("normal", "reduce")
"""The kinds of cell in an architecture, in the order in which ENAS writes them."""

_SIZE_LABELS = ("width", "depth")  # NNI's hub spaces export the size of their network as well


def choice_slots(nodes: int) -> list[tuple[int, str, str]]:
    """List the slots of a cell in the order in which ENAS decides them.

    Each is (state that its node computes, NNI's label of its operation, NNI's label of its input); samples
    prefix the labels with the kind of cell and a slash.
    """
    return [
        (state, f"op_{state}_{slot}", f"input_{state}_{slot}")
        for state in range(2, nodes + 2)
        for slot in (0, 1)
    ]


@dataclass(frozen=True, order=True)
class Edge:
    """One slot of a node: the state it reads and the operation it applies to that state.

    Raises ValueError for a state that is not an integer of at least 0, and for an unknown operation.
    """

    input: int
    operation: str

    def __post_init__(self) -> None:
        if not isinstance(self.input, int) or isinstance(self.input, bool) or self.input < 0:
            raise ValueError(f"an input is the number of a state, from 0, not {self.input!r:.60}")
        if self.operation not in OPERATIONS:
            raise ValueError(
                f"unknown operation {self.operation!r:.60}; the space has {', '.join(OPERATIONS)}"
            )


Node = tuple[Edge, Edge]


@dataclass(frozen=True)
class CellArchitecture:
    """One cell: the two edges of each node, the first node computing state 2.

    Raises ValueError for a cell without nodes, a node without exactly two edges, and an edge that reads the
    state of its own or a later node, so that a cell has no loop.
    """

    nodes: tuple[Node, ...]

    def __post_init__(self) -> None:
        if not self.nodes:
            raise ValueError("a cell needs at least one node")
        for state, node in enumerate(self.nodes, start=2):
            if len(node) != 2:
                raise ValueError(f"node {state} has {len(node)} edges; every node has two")
            for edge in node:
                if edge.input >= state:
                    raise ValueError(
                        f"node {state} reads state {edge.input}, but may read only states 0 to {state - 1}"
                    )

    @property
    def edges(self) -> list[Edge]:
        """The edges of all nodes, in order."""
        return [edge for node in self.nodes for edge in node]

    @property
    def loose_ends(self) -> tuple[int, ...]:
        """States that no node reads, in ascending order; the cell's output is their concatenation.

        An input of the cell, state 0 or 1, is a loose end too if no node reads it.
        """
        read = {edge.input for edge in self.edges}
        return tuple(state for state in range(len(self.nodes) + 2) if state not in read)

    def canonical(self) -> "CellArchitecture":
        """Return the same cell for all cells that differ only in the order of their nodes and slots."""
        return CellArchitecture(_smallest_order(self.nodes, {0: 0, 1: 1}))


@dataclass(frozen=True)
class Architecture:
    """A normal and a reduction cell; equality and hash compare the edges as written.

    Raises ValueError if the two cells have different numbers of nodes.
    """

    normal: CellArchitecture
    reduce: CellArchitecture

    def __post_init__(self) -> None:
        if len(self.normal.nodes) != len(self.reduce.nodes):
            raise ValueError(
                f"the normal cell has {len(self.normal.nodes)} nodes and the reduction cell "
                f"{len(self.reduce.nodes)}; both need the same number"
            )

    @property
    def nodes(self) -> int:
        """Number of nodes in each cell."""
        return len(self.normal.nodes)

    @property
    def cells(self) -> dict[str, CellArchitecture]:
        """Both cells, by kind."""
        return {"normal": self.normal, "reduce": self.reduce}

    @classmethod
    def from_sample(cls, sample: Mapping[str, Any]) -> "Architecture":
        """Read NNI's flat sample: the name of an operation and a list of one input for each slot.

        Samples of NNI's hub ENAS space are read as well; their `width` and `depth`, which tell the size of a
        network, are dropped. Raises ValueError for anything else.
        """
        if not isinstance(sample, Mapping):
            raise ValueError(f"an architecture is a JSON object of choices by label, not {sample!r:.60}")
        choices = {label: value for label, value in sample.items() if label not in _SIZE_LABELS}
        slots = choice_slots(_count_nodes(choices))

        def edges(kind: str) -> Iterator[tuple[Any, Any]]:
            for _, operation, input_ in slots:
                yield _only(choices, f"{kind}/{input_}"), choices[f"{kind}/{operation}"]

        return cls(*(_cell(kind, edges(kind)) for kind in KINDS))

    def to_sample(self) -> dict[str, Any]:
        """Return NNI's flat sample, as `nni.nas.space.model_context` takes it."""
        sample: dict[str, Any] = {}
        for kind, cell in self.cells.items():
            for edge, (_, operation, input_) in zip(cell.edges, choice_slots(self.nodes), strict=True):
                sample[f"{kind}/{operation}"] = edge.operation
                sample[f"{kind}/{input_}"] = [edge.input]
        return sample

    @classmethod
    def from_fixed_arc(cls, normal: Sequence[int], reduce: Sequence[int]) -> "Architecture":
        """Read ENAS's notation: `input operation input operation` for each node, operations by number.

        Raises ValueError for numbers that do not describe a cell.
        """
        return cls(_cell_from_numbers("normal", normal), _cell_from_numbers("reduce", reduce))

    @property
    def fixed_arc(self) -> dict[str, list[int]]:
        """Both cells in ENAS's notation, by kind."""
        return {
            kind: [number for edge in cell.edges for number in (edge.input, OPERATIONS.index(edge.operation))]
            for kind, cell in self.cells.items()
        }

    @property
    def row(self) -> dict[str, str]:
        """What a table's columns hold of it: each kind of cell in ENAS's notation."""
        return {kind: " ".join(map(str, numbers)) for kind, numbers in self.fixed_arc.items()}

    @classmethod
    def random(cls, seed: int | np.random.Generator, nodes: int = 5) -> "Architecture":
        """Draw every input and every operation uniformly; ENAS has five nodes a cell."""
        generator = np.random.default_rng(seed)

        def edges() -> Iterator[tuple[int, str]]:
            for state, _, _ in choice_slots(nodes):
                yield int(generator.integers(state)), OPERATIONS[generator.integers(len(OPERATIONS))]

        return cls(*(_cell(kind, edges()) for kind in KINDS))

    def canonical(self) -> "Architecture":
        """Return the same architecture for all equivalent ones; use it to count distinct ones."""
        return Architecture(self.normal.canonical(), self.reduce.canonical())

    def equivalent(self, other: "Architecture") -> bool:
        """Return whether both are the same up to the order of their nodes and slots."""
        return self.canonical() == other.canonical()

    @classmethod
    def load(cls, path: str | PathLike[str]) -> "Architecture":
        """Read the JSON file of a sample; raises OSError or, naming the file, ValueError."""
        return cls.parse(read_file(Path(path)), path)

    @classmethod
    def parse(cls, content: bytes, path: str | PathLike[str]) -> "Architecture":
        """Read the content of such a file; raises ValueError that names `path`."""
        try:
            return cls.from_sample(parse_json(content))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path} is no architecture of this space: {error}") from None

    def to_json(self) -> str:
        """Return the sample as a JSON text, one choice a line."""
        lines = ",\n".join(
            f"  {dump_json(label)}: {dump_json(value, None)}" for label, value in self.to_sample().items()
        )
        return f"{{\n{lines}\n}}\n"


def _cell(kind: str, edges: Iterable[tuple[Any, Any]]) -> CellArchitecture:
    """Build a cell from the input and operation of each slot, two slots a node; errors name the cell."""
    try:
        slots = [Edge(*edge) for edge in edges]
        return CellArchitecture(tuple(zip(slots[::2], slots[1::2], strict=True)))
    except ValueError as error:
        raise ValueError(f"{kind} cell: {error}") from None


def _cell_from_numbers(kind: str, numbers: Sequence[int]) -> CellArchitecture:
    try:
        digits = [index(number) for number in numbers]  # numpy's integers as well, but no fractions
    except TypeError:
        raise ValueError(f"{kind} cell: expected whole numbers, not {numbers!r:.60}") from None
    if len(digits) % 4:
        raise ValueError(f"{kind} cell: {len(digits)} numbers; every node takes four")
    unknown = [digit for digit in digits[1::2] if digit not in range(len(OPERATIONS))]
    if unknown:
        raise ValueError(f"{kind} cell: no operation has the number {unknown[0]}; they run from 0 to 4")
    return _cell(
        kind, ((state, OPERATIONS[digit]) for state, digit in zip(digits[::2], digits[1::2], strict=True))
    )


def _count_nodes(choices: Mapping[str, Any]) -> int:
    """Return the nodes a cell of a sample; raise ValueError for unknown and missing labels."""
    nodes = max(1, math.ceil(len(choices) / 8))  # two cells, two slots a node, two choices a slot
    labels = [f"{kind}/{label}" for kind in KINDS for _, *both in choice_slots(nodes) for label in both]
    known = set(labels)
    for label in choices:
        if label not in known:
            raise ValueError(
                f"unknown label {label!r:.60}; labels look like {labels[0]!r} and {labels[-1]!r}"
            )
    for label in labels:
        if label not in choices:
            raise ValueError(f"label {label!r} is missing; {nodes} nodes a cell need {len(labels)} labels")
    return nodes


def _only(choices: Mapping[str, Any], label: str) -> Any:
    value = choices[label]
    if not isinstance(value, list | tuple) or len(value) != 1:
        raise ValueError(f"{label!r} must be a list of one input, such as [0], not {value!r:.60}")
    return value[0]


def _smallest_order(nodes: Sequence[Node], names: dict[int, int]) -> tuple[Node, ...]:
    """Return the smallest sequence in which the nodes without a new name can be listed.

    `names` holds the new name of every state that has one. The smallest of the nodes that could come next
    comes next. If several are equal, each is tried, except those that the same slots read: swapping such
    nodes changes nothing.
    """
    ready = {
        state: _sorted_node(Edge(names[edge.input], edge.operation) for edge in node)
        for state, node in enumerate(nodes, start=2)
        if state not in names and all(edge.input in names for edge in node)
    }
    if not ready:
        return ()
    smallest = min(ready.values())
    alike = {_readers(nodes, state): state for state, node in ready.items() if node == smallest}
    return (
        smallest,
        *min(_smallest_order(nodes, {**names, state: len(names)}) for state in alike.values()),
    )


def _sorted_node(edges: Iterable[Edge]) -> Node:
    first, second = sorted(edges)
    return first, second


def _readers(nodes: Sequence[Node], state: int) -> tuple[tuple[int, str], ...]:
    """List the (node, operation) of every slot that reads `state`."""
    return tuple(
        sorted(
            (reader, edge.operation)
            for reader, node in enumerate(nodes)
            for edge in node
            if edge.input == state
        )
    )
