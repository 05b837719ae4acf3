"""Shared weights as the start of another supernet, and of a network of cells."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from search_space import Architecture, EnasSpace
from search_space.enas.final_network import EnasNetwork
from search_space.enas.layouts import parse_layout
from strategies import RandomSampling
from strategies.supernet.transfer import start_network, start_supernet


def supernet(seed: int, **sizes: int) -> EnasSpace:
    return RandomSampling(seed=seed).mutate_model(EnasSpace("enas5", **{"filters": 4, "nodes": 3} | sizes))


def parameters(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: weight.detach().clone() for name, weight in network.named_parameters()}


def test_a_supernet_takes_stem_and_cells_of_another_and_keeps_its_head() -> None:
    torch.manual_seed(0)
    given, own = supernet(1), supernet(2, classes=3)
    before = parameters(own)
    start_supernet(own, parameters(given))
    after, expected = parameters(own), parameters(given)
    for name, weight in after.items():
        head = name.startswith("classifier")
        assert torch.equal(weight, before[name] if head else expected[name]), name
    assert any(not torch.equal(before[name], weight) for name, weight in after.items())


@pytest.mark.parametrize("layout", ["enas5", "enas8"])
def test_operations_of_found_cells_compute_what_they_did_in_the_supernet(layout: str) -> None:
    torch.manual_seed(0)
    shared, architecture = supernet(1), Architecture.random(3, nodes=3)
    network = EnasNetwork(architecture, layout, filters=4)
    start_network(network, parameters(shared), parse_layout("enas5"))
    images, compared = torch.randn(2, 3, 8, 8), 0
    assert torch.equal(network.stem(images), shared.stem(images))
    for place, cell in zip(network.layout.positions(4), network.cells, strict=True):
        # enas5 is N R N R N; of several in a row all take after the one.
        source = {("normal", 4): 0, ("reduce", 8): 1, ("normal", 8): 2, ("reduce", 16): 3}.get(
            (place.kind, place.filters), 4
        )
        maps = torch.randn(2, place.filters, 8, 8)
        for number, edge in enumerate(architecture.cells[place.kind].edges):
            if place.reduction and edge.input < 2:
                continue  # of stride 2 here, of stride 1 there
            there = shared.cells[source].edges[number // 2][number % 2][edge.input][edge.operation]  # type: ignore[union-attr, index]
            assert torch.equal(cell.slots[number](maps), there(maps))  # type: ignore[operator, index]
            compared += bool(list(there.parameters()))
    assert compared > 4


def test_weights_that_do_not_fit_are_refused_and_nothing_is_changed() -> None:
    own = supernet(2)
    before = parameters(own)
    with pytest.raises(ValueError, match=r"expected weights .*, found"):
        start_supernet(own, parameters(supernet(1, filters=6)))
    with pytest.raises(ValueError, match="found nothing"):
        start_supernet(own, {})
    assert all(torch.equal(weight, before[name]) for name, weight in parameters(own).items())
    with pytest.raises(ValueError, match="no reduce cell of 4 times its filters"):
        network = EnasNetwork(Architecture.random(3, nodes=3), "enas5", filters=4)
        start_network(network, before, parse_layout(["normal", "reduce", "normal"]))
