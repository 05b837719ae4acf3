"""Parameters and multiply-adds of ENAS's final network, from its architecture alone.

This walks through the same layers as `network.FinalCell` does, without building them.
"""

from collections.abc import Iterator, Sequence

from search_space.architecture import Architecture, CellArchitecture
from search_space.layouts import Position, check_sizes, check_stem_stride
from search_space.layouts import layout as read_layout

Layer = tuple[int, int, int]  # weights, channels of a batch norm after it, side of its output

_KERNELS = {"sep_conv_3x3": 3, "sep_conv_5x5": 5}


def parameters(
    architecture: Architecture,
    layout: str | Sequence[str],
    filters: int = 36,
    channels: int = 3,
    classes: int = 2,
    stem_stride: int = 1,
) -> int:
    """Count the trainable weights, batch norm's scale and offset included, the auxiliary head left out.

    Raises ValueError for an unknown layout and for sizes that are no whole numbers from 1.
    """
    layers = _network(architecture, layout, filters, channels, classes, 1, stem_stride)
    return sum(weights + 2 * normed for weights, normed, _ in layers)


def multiply_adds(
    architecture: Architecture,
    layout: str | Sequence[str],
    filters: int = 36,
    channels: int = 3,
    classes: int = 2,
    image_size: int = 100,
    stem_stride: int = 1,
) -> int:
    """Count the multiply-adds of all convolutions and of the classifier, for one square image.

    Pooling, batch norm and additions are left out, as usual. Raises ValueError as `parameters` does.
    """
    layers = _network(architecture, layout, filters, channels, classes, image_size, stem_stride)
    return sum(weights * side**2 for weights, _, side in layers)


def _network(
    architecture: Architecture,
    layout: str | Sequence[str],
    filters: int,
    channels: int,
    classes: int,
    image_size: int,
    stem_stride: int,
) -> Iterator[Layer]:
    check_sizes(filters=filters, channels=channels, classes=classes, image_size=image_size)
    check_stem_stride(stem_stride)
    before_last = last = 3 * filters
    side = image_size
    if stem_stride == 4:
        half, side = last // 2, _halved(side)
        yield 9 * channels * half, half, side
        channels = half
    side = _halved(side) if stem_stride > 1 else side
    yield 9 * channels * last, last, side
    for position in read_layout(layout).positions(filters):
        cell = architecture.cells[position.kind]
        yield from _cell(cell, position, before_last, last, side)
        before_last, last = last, len(cell.loose_ends) * position.filters
        side = _halved(side) if position.reduction else side
    yield last * classes, 0, 1


def _cell(
    cell: CellArchitecture, position: Position, before_last: int, last: int, side: int
) -> Iterator[Layer]:
    width = position.filters
    reduced = _halved(side) if position.reduction else side
    if before_last != width or position.after_reduction:
        yield before_last * width, width, side
    if last != width:
        yield last * width, width, side
    yield width * width, width, side
    for edge in cell.edges:
        if edge.operation in _KERNELS:
            for _ in range(2):
                yield _KERNELS[edge.operation] ** 2 * width, 0, reduced
                yield width * width, width, reduced
        elif edge.operation == "skip_connect" and position.reduction and edge.input < 2:
            yield width * width, width, reduced
    for state in cell.loose_ends:
        if position.reduction and state < 2:
            yield width * width, width, reduced


def _halved(side: int) -> int:
    return (side + 1) // 2
