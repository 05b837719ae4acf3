"""Shared weights of ENAS's cells as the start of another supernet, or of a network of found cells.

Stem and cells go over. Heads do not: their shapes depend on classes and image size, and the final network
joins its loose ends by other layers than the shared one (`strategies.supernet.enas_cells`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from search_space.enas.final_network import EnasNetwork
from search_space.enas.layouts import Layout, Position

_BODY = ("stem.", "cells.")


def start_supernet(supernet: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Give a supernet the stem and the cells of another one; raises ValueError where a weight does not fit.

    `weights` are the other one's parameters by name.
    """
    _copy({name: own for name, own in supernet.named_parameters() if name.startswith(_BODY)}, weights)


def start_network(network: EnasNetwork, weights: Mapping[str, Tensor], layout: Layout) -> None:
    """Give a final network the supernet's stem, and each of its operations the weights that this had there.

    The supernet stands in `layout`. A cell takes after the supernet's cell of its kind and width, in their
    order, after the last of these where it has no counterpart; entries and reduced identities, which
    the supernet makes in another way, keep their own weights. Raises ValueError where a weight does not fit.
    """
    names = dict(_counterparts(network, layout))
    own = {name: weight for name, weight in network.named_parameters() if name in names}
    _copy(own, {name: weights[names[name]] for name in own if names[name] in weights})


def _counterparts(network: EnasNetwork, layout: Layout) -> Iterator[tuple[str, str]]:
    """Yield the names of weights of a final network, each with the supernet's name of it."""
    assert network.architecture is not None
    for name, _ in network.stem.named_parameters(prefix="stem"):
        yield name, name
    mine, theirs = list(network.layout.positions(1)), list(layout.positions(1))
    for place, cell in zip(mine, network.cells, strict=True):
        source = _like(place, mine, theirs)
        for number, edge in enumerate(network.architecture.cells[place.kind].edges):
            shared = f"cells.{source}.edges.{number // 2}.{number % 2}.{edge.input}.{edge.operation}"
            operation = cell.get_submodule(f"slots.{number}.0")
            if place.reduction and edge.input < 2 and edge.operation == "skip_connect":
                continue  # a factorized reduction
            for name, _ in operation.named_parameters():
                yield f"cells.{place.layer}.slots.{number}.0.{name}", f"{shared}.{name}"


def _like(place: Position, mine: list[Position], theirs: list[Position]) -> int:
    """Return the layer of the supernet's cell that a cell takes after."""

    def alike(positions: list[Position]) -> list[int]:
        return [one.layer for one in positions if (one.kind, one.filters) == (place.kind, place.filters)]

    layers = alike(theirs)
    if not layers:
        raise ValueError(f"the shared network has no {place.kind} cell of {place.filters} times its filters")
    return layers[min(alike(mine).index(place.layer), len(layers) - 1)]


@torch.no_grad()
def _copy(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> None:
    for name, weight in own.items():
        found = given.get(name)
        if found is None or found.shape != weight.shape:
            shape = "nothing" if found is None else list(found.shape)
            raise ValueError(f"expected weights {name} {list(weight.shape)}, found {shape}")
    for name, weight in own.items():
        weight.copy_(given[name])
