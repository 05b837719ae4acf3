import pytest

from search_space.enas.layouts import Layout, parse_layout

N, R = "normal", "reduce"


def test_layouts_of_the_paper() -> None:
    assert parse_layout("enas17") == (N,) * 5 + (R,) + (N,) * 5 + (R,) + (N,) * 5
    assert parse_layout("enas7") == (N, R, N, R, N, N, N)


@pytest.mark.parametrize("cells", range(3, 40))
def test_any_number_of_cells_follows_enas_rule(cells: int) -> None:
    num_layers = cells - 2
    first, second = num_layers // 3, 2 * (num_layers // 3) + 1
    made = parse_layout(f"enas{cells}")
    assert len(made) == cells
    assert [layer for layer, kind in enumerate(made) if kind == R] == [first, second]


def test_layout_written_out_is_kept() -> None:
    assert parse_layout([N, N, R]) == Layout([N, N, R]) == (N, N, R)


@pytest.mark.parametrize(
    "name", ["enas2", "enas0", "enas-7", "enas07", "enas", "ENAS7", "resnet", "", "enas7\n"]
)
def test_unknown_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"unknown layout .* enas3, enas4"):
        parse_layout(name)


@pytest.mark.parametrize("cells", [[], [N], [R, R], [N, R, "pool"], [N, R, 3]])
def test_layout_lacking_a_kind_or_with_another_is_refused(cells: list[str]) -> None:
    with pytest.raises(ValueError, match="both normal and reduce cells"):
        parse_layout(cells)


def test_width_doubles_at_each_reduction() -> None:
    positions = list(parse_layout("enas7").positions(36))
    assert [position.filters for position in positions] == [36, 72, 72, 144, 144, 144, 144]
    assert [position.after_reduction for position in positions] == [
        False,
        False,
        True,
        False,
        True,
        False,
        False,
    ]
    assert [position.reduction for position in positions] == [kind == R for kind in parse_layout("enas7")]


def test_auxiliary_head_stands_after_the_second_reduction() -> None:
    assert parse_layout("enas17").auxiliary_layer == 12
    assert parse_layout("enas7").auxiliary_layer == 4
    assert Layout([N, R, N]).auxiliary_layer is None
    assert Layout([N, R, R]).auxiliary_layer is None
