"""An architecture runs its own part of the shared weights."""

from __future__ import annotations

import pytest
import torch
from nni.nas.hub.pytorch.nasnet import ENAS as HubEnas
from nni.nas.hub.pytorch.nasnet import NDS
from nni.nas.nn.pytorch import ModelSpace
from nni.nas.oneshot.pytorch.supermodule.base import BaseSuperNetModule
from torch import nn

from search_space import Architecture, EnasSpace
from strategies import RandomSampling
from strategies.supernet.enas_cells import SharedCell


def supernet(space: ModelSpace) -> ModelSpace:
    return RandomSampling(seed=0).mutate_model(space)


def follow(space: ModelSpace, sample: dict[str, object]) -> None:
    for module in space.modules():
        if isinstance(module, BaseSuperNetModule):
            module.resample(memo=sample)


@pytest.mark.parametrize("side", [16, 17])
def test_the_supernet_maps_images_to_logits_for_any_architecture(side: int) -> None:
    space = supernet(EnasSpace("enas5", filters=4, nodes=3, classes=4))
    for seed in range(5):
        follow(space, Architecture.random(seed, nodes=3).to_sample())
        assert space(torch.randn(2, 3, side, side)).shape == (2, 4)


def test_each_node_slot_predecessor_and_operation_has_weights_of_its_own() -> None:
    space = supernet(EnasSpace("enas3", filters=4, nodes=2))
    sharing = [cell for cell in space.modules() if isinstance(cell, SharedCell)]
    assert len(sharing) == 3
    for cell in sharing:
        convolutions = [m for m in cell.edges.modules() if isinstance(m, nn.Conv2d)]
        assert (
            len(convolutions) == 2 * (2 + 3) * 2 * 4
        )  # slots x predecessors x kernels x (twice depthwise and pointwise)
        assert len({id(m.weight) for m in convolutions}) == len(convolutions)


def test_only_the_sampled_operations_get_gradients() -> None:
    space = supernet(EnasSpace("enas3", filters=4, nodes=2))
    architecture = Architecture.random(4, nodes=2)
    follow(space, architecture.to_sample())
    space(torch.randn(2, 3, 8, 8)).sum().backward()
    for cell in (c for c in space.modules() if isinstance(c, SharedCell)):
        wiring = (architecture.reduce if cell.reduction else architecture.normal).nodes
        for node, slots in enumerate(cell.edges):
            for slot, states in enumerate(slots):
                for state, operations in enumerate(states):
                    for name, module in operations.items():
                        edge = wiring[node][slot]
                        sampled = edge.input == state and edge.operation == name
                        assert all((p.grad is not None) == sampled for p in module.parameters())


def test_only_the_slices_of_loose_ends_take_part_in_the_merge() -> None:
    space = supernet(EnasSpace("enas3", filters=4, nodes=2))
    architecture = Architecture.from_fixed_arc([0, 0, 0, 0, 2, 0, 2, 0], [0, 0, 1, 0, 0, 0, 1, 0])
    follow(space, architecture.to_sample())
    space(torch.randn(2, 3, 8, 8)).sum().backward()
    for cell in (c for c in space.modules() if isinstance(c, SharedCell)):
        used = cell.merge.grad.abs().sum((1, 2)) > 0
        loose = (architecture.reduce if cell.reduction else architecture.normal).loose_ends
        assert used.tolist() == [state in loose for state in range(4)]


def test_a_reduction_cell_reads_only_the_output_before_it_and_halves_it() -> None:
    space = supernet(EnasSpace("enas3", filters=4, nodes=2))
    cell = next(c for c in space.modules() if isinstance(c, SharedCell) and c.reduction)
    cell.resample(memo=Architecture.random(0, nodes=2).to_sample())
    previous = torch.randn(2, cell.plain.even.in_channels, 9, 9)
    carried, output = cell(torch.full((2, 1, 1, 1), torch.nan), previous)
    assert output.shape == carried.shape == (2, cell.merge.shape[1], 5, 5)
    assert not output.isnan().any()


def transplant(built: NDS, shared: NDS) -> None:
    """Copy into a built network the weights that the supernet uses for the same architecture."""
    built.stem.load_state_dict(shared.stem.state_dict())
    kept: list[torch.Tensor] = []  # for each cell, the channels of all nodes that are those of its loose ends
    targets = [cell for stage in built.stages for cell in stage]
    sources = [cell for stage in shared.stages for cell in stage.blocks]
    channels = shared.width
    for into, from_ in zip(targets, sources, strict=True):
        channels *= 2 if into.label == "reduce" else 1
        for name, back in (("pre0", 2), ("pre1", 1)):
            weights = getattr(from_.preprocessor, name).state_dict()
            if len(kept) >= back:
                weights = {key: w[:, kept[-back]] if w.dim() == 4 else w for key, w in weights.items()}
            getattr(into.preprocessor, name).load_state_dict(weights)
        for operations, edges, inputs in zip(into.ops, from_.edges, from_.wiring, strict=True):
            for module, edge, (state, operation) in zip(operations, edges, inputs, strict=True):
                module.load_state_dict(edge[state][operation].state_dict())
        loose = [node - 2 for node in into.output_node_indices]
        kept.append(torch.cat([torch.arange(node * channels, (node + 1) * channels) for node in loose]))
    head = shared.classifier.state_dict()
    built.classifier.load_state_dict({"weight": head["weight"][:, kept[-1]], "bias": head["bias"]})


def test_the_searched_network_of_nnis_hub_is_the_network_that_is_built() -> None:
    def space() -> NDS:
        return NDS(
            HubEnas.ENAS_OPS,
            merge_op="loose_end",
            num_nodes_per_cell=5,
            width=4,
            num_cells=4,
            dataset="cifar",
        )

    images = torch.randn(2, 3, 16, 16)
    for seed in range(3):
        sample = Architecture.random(seed).to_sample()
        shared = supernet(space())
        follow(shared, sample)
        built = space().freeze(sample)
        transplant(built, shared)
        torch.testing.assert_close(built(images), shared(images), rtol=1e-4, atol=1e-5)
