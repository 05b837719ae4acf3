import json
from dataclasses import FrozenInstanceError
from itertools import combinations_with_replacement, permutations, product
from pathlib import Path

import numpy as np
import pytest

from search_space.enas.architecture import OPERATIONS, Architecture, CellArchitecture, Edge, Node

# The cells that ENAS's authors published for CIFAR-10.
CIFAR_NORMAL = [0, 2, 0, 0, 0, 4, 0, 1, 0, 4, 1, 1, 1, 0, 0, 1, 0, 2, 1, 1]
CIFAR_REDUCE = [1, 0, 1, 0, 0, 3, 0, 2, 1, 1, 3, 1, 1, 0, 0, 4, 0, 3, 1, 1]
CIFAR = Architecture.from_fixed_arc(CIFAR_NORMAL, CIFAR_REDUCE)


def cell(*numbers: int) -> CellArchitecture:
    return Architecture.from_fixed_arc(numbers, numbers).normal


def renamed(nodes: tuple[Node, ...], order: tuple[int, ...], swap: bool) -> CellArchitecture:
    """Put the nodes at these positions one after another; raises ValueError where that is impossible."""
    names = {0: 0, 1: 1} | {old + 2: new for new, old in enumerate(order, start=2)}
    made = []
    for old in order:
        first, second = (Edge(names[edge.input], edge.operation) for edge in nodes[old])
        made.append((second, first) if swap else (first, second))
    return CellArchitecture(tuple(made))


def every_renaming(architecture: CellArchitecture) -> list[CellArchitecture]:
    made = []
    for order in permutations(range(len(architecture.nodes))):
        try:
            made.append(renamed(architecture.nodes, order, swap=False))
        except ValueError:  # a node before one that it reads
            continue
    return made


def unordered(architecture: CellArchitecture) -> tuple[frozenset[tuple[Edge, int]], ...]:
    return tuple(frozenset((edge, node.count(edge)) for edge in node) for node in architecture.nodes)


def test_sample_has_nnis_labels_and_values() -> None:
    sample = CIFAR.to_sample()
    assert len(sample) == 40
    assert sample["normal/op_2_0"] == "avg_pool_3x3"
    assert sample["normal/input_2_0"] == [0]
    assert sample["reduce/op_4_1"] == "sep_conv_5x5"
    assert sample["reduce/input_4_1"] == [3]


@pytest.mark.parametrize("nodes", range(1, 8))
def test_every_notation_reads_back(nodes: int, tmp_path: Path) -> None:
    architecture = Architecture.random(nodes, nodes=nodes)
    assert Architecture.from_sample(json.loads(json.dumps(architecture.to_sample()))) == architecture
    assert Architecture.from_fixed_arc(**architecture.fixed_arc) == architecture
    (tmp_path / "architecture.json").write_text(architecture.to_json())
    assert Architecture.load(tmp_path / "architecture.json") == architecture
    assert json.loads((tmp_path / "architecture.json").read_text()) == architecture.to_sample()


def test_fixed_arc_is_enas_notation() -> None:
    assert CIFAR.fixed_arc == {"normal": CIFAR_NORMAL, "reduce": CIFAR_REDUCE}
    assert Architecture.from_fixed_arc(np.array(CIFAR_NORMAL), np.array(CIFAR_REDUCE)) == CIFAR


def test_size_labels_of_nnis_hub_are_dropped() -> None:
    assert Architecture.from_sample({**CIFAR.to_sample(), "width": 16, "depth": 8}) == CIFAR


def test_loose_ends_include_unused_cell_inputs() -> None:
    assert CIFAR.normal.loose_ends == (2, 3, 4, 5, 6)
    assert CIFAR.reduce.loose_ends == (2, 4, 5, 6)
    assert cell(0, 0, 0, 1).loose_ends == (1, 2)
    assert cell(1, 0, 1, 1, 2, 0, 2, 0, 3, 4, 3, 4).loose_ends == (0, 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"normal/op_2_0": "dil_conv_3x3"}, "normal cell: unknown operation 'dil_conv_3x3'.*sep_conv_3x3"),
        ({"normal/op_2_0": 0}, "unknown operation 0"),
        ({"normal/op_2_0": None}, "unknown operation None"),
        ({"normal/op_2_0": ["skip_connect"]}, "unknown operation"),
        (
            {"reduce/input_2_1": [2]},
            "reduce cell: node 2 reads state 2, but may read only .* 0 to 1",
        ),
        ({"reduce/input_3_0": [6]}, "node 3 reads state 6"),  # would close a loop
        ({"reduce/input_3_0": [-1]}, "number of a state, from 0, not -1"),
        ({"reduce/input_3_0": [True]}, "not True"),
        ({"reduce/input_3_0": [1.0]}, r"not 1\.0"),
        ({"reduce/input_3_0": ["1"]}, "not '1'"),
        ({"reduce/input_3_0": [0, 1]}, r"'reduce/input_3_0' must be a list of one input.* not \[0, 1\]"),
        ({"reduce/input_3_0": []}, "list of one input"),
        ({"reduce/input_3_0": 1}, "list of one input"),
        ({"reduce/input_3_0": {"0": 1}}, "list of one input"),
        ({"learning_rate": 0.1}, "unknown label 'learning_rate'; labels look like 'normal/op_2_0'"),
        ({"normal/op_1_0": "skip_connect"}, "unknown label 'normal/op_1_0'"),
        ({"normal/op_02_0": "skip_connect"}, "unknown label 'normal/op_02_0'"),
        ({"normal/op_99999999999_0": "skip_connect"}, "unknown label 'normal/op_99999999999_0'"),
        ({"normal/op_7_0": "skip_connect"}, "label 'normal/input_7_0' is missing"),
    ],
)
def test_sample_of_another_space_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Architecture.from_sample({**CIFAR.to_sample(), **change})


def test_sample_with_a_missing_label_is_refused() -> None:
    sample = CIFAR.to_sample()
    del sample["reduce/input_4_1"]
    with pytest.raises(
        ValueError, match="label 'reduce/input_4_1' is missing; 5 nodes a cell need 40 labels"
    ):
        Architecture.from_sample(sample)


@pytest.mark.parametrize("sample", [{}, [], None, 3, "normal/op_2_0", {"width": 16, "depth": 4}, {2: 3}])
def test_what_is_no_sample_is_refused(sample: object) -> None:
    with pytest.raises(ValueError, match=r"JSON object|missing|unknown label"):
        Architecture.from_sample(sample)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[" * 100_000, b"\xff\xfe\x00", b"[]", b'{"normal/op_2_0": NaN}'],
    ids=["empty", "cut", "deep", "binary", "list", "partial"],
)
def test_unreadable_file_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "strange.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"strange\.json is no architecture of this space"):
        Architecture.load(tmp_path / "strange.json")


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ([0, 0, 1], "normal cell: 3 numbers; every node takes four"),
        ([], "at least one node"),
        ([0, 5, 0, 0], "no operation has the number 5"),
        ([0, -1, 0, 0], "no operation has the number -1"),
        ([2, 0, 0, 0], "node 2 reads state 2"),
        ([0, 0, 0.0, 0], "whole numbers"),
        (["0", "0", "0", "0"], "whole numbers"),
    ],
)
def test_numbers_that_are_no_cell_are_refused(numbers: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Architecture.from_fixed_arc(numbers, [0, 0, 0, 0])


def test_cells_of_different_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="normal cell has 1 nodes and the reduction cell 2"):
        Architecture(cell(0, 0, 0, 0), cell(0, 0, 0, 0, 0, 0, 0, 0))


def test_node_needs_two_edges() -> None:
    with pytest.raises(ValueError, match="node 2 has 1 edges"):
        CellArchitecture(((Edge(0, "skip_connect"),),))  # type: ignore[arg-type]


def test_architecture_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        CIFAR.normal.nodes[0][0].input = 1  # type: ignore[misc]
    assert hash(CIFAR) == hash(Architecture.from_sample(CIFAR.to_sample()))


def test_random_architecture_follows_from_its_seed() -> None:
    assert Architecture.random(5) == Architecture.random(5)
    assert Architecture.random(5) != Architecture.random(6)
    generator = np.random.default_rng(5)
    assert Architecture.random(generator) == Architecture.random(5)
    assert Architecture.random(generator) != Architecture.random(5)


def test_random_architectures_reach_every_choice() -> None:
    generator = np.random.default_rng(0)
    drawn = [Architecture.random(generator) for _ in range(200)]
    for kind in ("normal", "reduce"):
        for slot in range(10):
            edges = [architecture.cells[kind].edges[slot] for architecture in drawn]
            assert {edge.input for edge in edges} == set(range(slot // 2 + 2))
            assert {edge.operation for edge in edges} == set(OPERATIONS)


def test_renaming_by_hand_is_equivalent() -> None:
    # Nodes 2 and 3 change places, node 4 follows, and its slots are swapped.
    one = cell(0, 0, 1, 1, 1, 2, 1, 3, 2, 4, 3, 0)
    other = cell(1, 3, 1, 2, 0, 0, 1, 1, 2, 0, 3, 4)
    assert one != other
    assert one.canonical() == other.canonical()
    assert Architecture(one, one).equivalent(Architecture(other, one))


@pytest.mark.parametrize(
    "other",
    [
        (0, 0, 1, 1, 1, 2, 1, 3, 2, 0, 3, 4),  # other operations on the way to node 4
        (1, 0, 0, 1, 1, 2, 1, 3, 2, 4, 3, 0),  # the cell's inputs exchanged
        (0, 0, 1, 1, 1, 2, 1, 3, 3, 4, 3, 0),  # another loose end
    ],
)
def test_other_wiring_is_not_equivalent(other: tuple[int, ...]) -> None:
    assert cell(0, 0, 1, 1, 1, 2, 1, 3, 2, 4, 3, 0).canonical() != cell(*other).canonical()


def test_twins_with_different_readers_are_told_apart() -> None:
    # Nodes 2 and 3 are twins; one of them is read twice, or each of them once.
    twice = cell(0, 0, 1, 0, 0, 0, 1, 0, 2, 1, 2, 1)
    other_twice = cell(0, 0, 1, 0, 1, 0, 0, 0, 3, 1, 3, 1)
    once = cell(0, 0, 1, 0, 0, 0, 1, 0, 2, 1, 3, 1)
    assert twice.canonical() == other_twice.canonical() != once.canonical()


def test_canonical_separates_exactly_what_renaming_does_not_join() -> None:
    edges = [[Edge(state, "skip_connect") for state in range(count)] for count in (2, 3, 4, 5)]
    wirings = product(*(combinations_with_replacement(choices, 2) for choices in edges))
    cells = [CellArchitecture(nodes) for nodes in wirings]
    assert len(cells) == 3 * 6 * 10 * 15  # every wiring of four nodes
    joined = {cell: frozenset(map(unordered, every_renaming(cell))) for cell in cells}
    pairs = {(cell.canonical(), joined[cell]) for cell in cells}
    assert len(pairs) == len(set(joined.values())) == len({canonical for canonical, _ in pairs})


@pytest.mark.parametrize("nodes", [5, 7])
def test_canonical_is_the_same_for_every_renaming(nodes: int) -> None:
    for seed in range(5):
        original = Architecture.random(seed, nodes=nodes).normal
        spellings = every_renaming(original)[:300]
        assert {spelling.canonical() for spelling in spellings} == {original.canonical()}
        assert original.canonical().canonical() == original.canonical()
        swapped = renamed(original.nodes, tuple(range(nodes)), swap=True)
        assert swapped.canonical() == original.canonical()


def test_cell_of_many_twins_has_a_canonical_form() -> None:
    twins = cell(*[0, 0, 1, 0] * 30)  # 30! orders are never tried
    assert twins.canonical() == twins
