"""The cost of ENAS's final network, from its architecture alone: layers, parameters, multiply-adds.

The layers are those that `network.FinalCell` builds; nothing is built here.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from search_space.enas.architecture import Architecture, CellArchitecture
from search_space.enas.layouts import Position, check_sizes, check_stem_stride, parse_layout

_KERNELS = {"sep_conv_3x3": 3, "sep_conv_5x5": 5}


class Layer(NamedTuple):
    """A part of the network that takes time; maps [inputs, side, side] to [outputs, side / stride, ...].

    The `kind` is the name of an operation, "stem", "calibration", "reduction" (factorized) or "classifier"
    (with the mean before it). The output's side is rounded up.
    """

    kind: str
    inputs: int
    outputs: int
    side: int
    stride: int = 1


def parameters(
    architecture: Architecture,
    layout: str | Sequence[str],
    filters: int = 36,
    channels: int = 3,
    classes: int = 2,
    stem_stride: int = 1,
) -> int:
    """Count the trainable weights, with batch norm's scale and offset, without the auxiliary head.

    Raises ValueError for an unknown layout and for sizes that are not whole numbers from 1.
    """
    network = layers(architecture, layout, filters, channels, classes, 1, stem_stride)
    return sum(weights + 2 * normed for layer in network for weights, normed, _ in _convolutions(layer))


def macs(
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
    network = layers(architecture, layout, filters, channels, classes, image_size, stem_stride)
    return sum(weights * side**2 for layer in network for weights, _, side in _convolutions(layer))


def layers(
    architecture: Architecture,
    layout: str | Sequence[str],
    filters: int = 36,
    channels: int = 3,
    classes: int = 2,
    image_size: int = 100,
    stem_stride: int = 1,
) -> Iterator[Layer]:
    """Yield the layers of the network, without identities, additions and concatenations.

    Raises ValueError as `parameters` does.
    """
    check_sizes(filters=filters, channels=channels, classes=classes, image_size=image_size)
    check_stem_stride(stem_stride)
    before_last = last = 3 * filters
    yield Layer("stem", channels, last, image_size, stem_stride)
    side_before = side = _smaller(image_size, stem_stride)
    for position in parse_layout(layout).positions(filters):
        cell = architecture.cells[position.kind]
        yield from _cell(cell, position, (before_last, last), (side_before, side))
        before_last, last = last, len(cell.loose_ends) * position.filters
        side_before, side = side, _smaller(side, 2) if position.reduction else side
    yield Layer("classifier", last, classes, side)


def _cell(
    cell: CellArchitecture, position: Position, channels: tuple[int, int], sides: tuple[int, int]
) -> Iterator[Layer]:
    """Yield the layers of a cell; `channels` and `sides` are those of the outputs of the last two cells."""
    (before_last, last), (side_before, side) = channels, sides
    width = position.filters
    inside = _smaller(side, 2) if position.reduction else side
    if position.after_reduction:
        yield Layer("reduction", before_last, width, side_before, 2)
    elif before_last != width:
        yield Layer("calibration", before_last, width, side)
    if last != width:
        yield Layer("calibration", last, width, side)
    yield Layer("calibration", width, width, side)
    for edge in cell.edges:
        halves = position.reduction and edge.input < 2
        if edge.operation != "skip_connect":
            yield Layer(edge.operation, width, width, side if halves else inside, 2 if halves else 1)
        elif halves:
            yield Layer("reduction", width, width, side, 2)
    for state in cell.loose_ends:
        if position.reduction and state < 2:
            yield Layer("reduction", width, width, side, 2)


def _convolutions(layer: Layer) -> Iterator[tuple[int, int, int]]:
    """Yield (weights, channels of the batch norm that follows, side of the output) of each convolution."""
    kind, inputs, outputs, side, stride = layer
    if kind == "stem" and stride == 4:
        half, side, stride = outputs // 2, _smaller(side, 2), 2
        yield 9 * inputs * half, half, side
        inputs = half
    side = _smaller(side, stride)
    if kind == "stem":
        yield 9 * inputs * outputs, outputs, side
    elif kind in ("calibration", "reduction"):
        yield inputs * outputs, outputs, side
    elif kind in _KERNELS:
        for _ in range(2):
            yield _KERNELS[kind] ** 2 * outputs, 0, side
            yield outputs * outputs, outputs, side
    elif kind == "classifier":
        yield inputs * outputs, 0, 1


def _smaller(side: int, stride: int) -> int:
    return -(-side // stride)
