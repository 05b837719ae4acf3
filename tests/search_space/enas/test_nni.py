import json
import subprocess
import sys
from typing import Any

import pytest
import torch
from nni.mutable import Categorical, CategoricalMultiple
from nni.nas.hub.pytorch import ENAS as HubSpace
from nni.nas.nn.pytorch import InputChoice, LayerChoice
from nni.nas.oneshot.pytorch.strategy import OneShotStrategy
from nni.nas.space import model_context
from numpy.random import RandomState
from torch import nn

from search_space import Architecture, EnasSpace
from search_space.enas.architecture import OPERATIONS
from search_space.enas.final_network import FinalCell
from search_space.enas.network import Cell

ARCHITECTURE = Architecture.random(0)
SMALL: dict[str, Any] = {"filters": 4, "classes": 3}


def same_network(one: nn.Module, other: nn.Module) -> bool:
    """Compare names and shapes of all weights, which tell the choices of operation, and the wiring."""
    shapes = [{name: tensor.shape for name, tensor in n.state_dict().items()} for n in (one, other)]
    return shapes[0] == shapes[1] and one.architecture == other.architecture


def test_space_has_nnis_forty_choices() -> None:
    choices = EnasSpace("enas7").simplify()
    assert choices.keys() == ARCHITECTURE.to_sample().keys()
    for label, choice in choices.items():
        if "/op_" in label:
            assert isinstance(choice, Categorical) and tuple(choice.values) == OPERATIONS
        else:
            state = int(label.split("_")[1])
            assert isinstance(choice, CategoricalMultiple) and choice.n_chosen == 1
            assert list(choice.values) == list(range(state))


@pytest.mark.parametrize("nodes", [1, 3, 7])
def test_space_of_other_cells_has_eight_choices_a_node(nodes: int) -> None:
    assert len(EnasSpace("enas3", nodes=nodes).simplify()) == 8 * nodes


def test_space_is_made_of_nnis_primitives_and_says_all_a_strategy_needs() -> None:
    space = EnasSpace("enas7", filters=4, nodes=3)
    assert all(type(cell) is Cell for cell in space.cells)
    for cell in space.cells:
        assert [type(choice) for choice in cell.choices] == [LayerChoice, InputChoice] * 6
        assert (cell.nodes, cell.operations) == (3, OPERATIONS)
    assert [cell.label for cell in space.cells] == list(space.layout)
    assert [cell.layer for cell in space.cells] == list(range(7))
    assert [cell.reduction for cell in space.cells] == [label == "reduce" for label in space.layout]
    assert [cell.filters for cell in space.cells] == [4, 8, 8, 16, 16, 16, 16]
    # As in ENAS's shared network: every cell puts out its width; a reduction cell also reduces its input.
    inputs = [(12, 12), (12, 4), (8, 8), (8, 8), (16, 16), (16, 16), (16, 16)]
    assert [cell.in_channels for cell in space.cells] == inputs
    assert space.classifier.in_features == 16


def test_space_has_no_weights_in_its_cells() -> None:
    assert not list(EnasSpace("enas17").cells.parameters())


def test_space_cannot_run_and_names_the_ways_out() -> None:
    with pytest.raises(RuntimeError, match=r"model_context.*strategy"):
        EnasSpace("enas7", **SMALL)(torch.zeros(2, 3, 8, 8))


@pytest.mark.parametrize("as_json", [False, True])
def test_context_and_freeze_build_the_same_network(as_json: bool) -> None:
    sample = ARCHITECTURE.to_sample()
    if as_json:
        sample = json.loads(json.dumps(sample))
    with model_context(sample):
        built = EnasSpace("enas7", **SMALL)
    frozen = EnasSpace("enas7", **SMALL).freeze(sample)
    assert same_network(built, frozen)
    assert all(type(cell) is FinalCell for cell in frozen.cells)
    assert frozen(torch.zeros(2, 3, 8, 8)).shape == (2, 3)


def test_freeze_keeps_every_argument() -> None:
    layout = ["normal", "reduce", "normal", "reduce", "normal"]
    settings = {"channels": 1, "image_size": 40, "dropout": 0.5, "drop_path": 0.0, "auxiliary": True, **SMALL}
    frozen = EnasSpace(layout, nodes=2, **settings).freeze(Architecture.random(0, nodes=2).to_sample())
    logits, auxiliary = frozen(torch.zeros(2, 1, 40, 40))
    assert logits.shape == auxiliary.shape == (2, 3)
    assert frozen.dropout.p == 0.5
    assert frozen.layout == tuple(layout)


def test_random_network_is_the_one_of_its_sample() -> None:
    space = EnasSpace("enas3", **SMALL)
    sample: dict[str, Any] = {}
    network = space.random(sample, random_state=RandomState(0))
    assert network.architecture == Architecture.from_sample(sample)
    assert space.contains(sample)


def test_frozen_network_has_no_choices_left() -> None:
    network = EnasSpace("enas3", **SMALL).freeze(ARCHITECTURE.to_sample())
    assert network.simplify() == {}


def test_freeze_works_after_a_strategy_replaced_the_cells() -> None:
    class Shared(nn.Module):
        def forward(self, before_last: torch.Tensor, last: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return last, last

    def share(module: nn.Module, name: str, memo: Any, kwargs: Any) -> Any:
        return (Shared(), True) if isinstance(module, Cell) else False

    space = EnasSpace("enas3", **SMALL)
    OneShotStrategy(mutation_hooks=[share]).mutate_model(space)
    assert all(type(cell) is Shared for cell in space.cells)
    assert same_network(
        space.freeze(ARCHITECTURE.to_sample()), EnasSpace("enas3", **SMALL).freeze(ARCHITECTURE.to_sample())
    )


def test_space_with_replaced_cells_runs_with_its_auxiliary_head() -> None:
    class Shared(nn.Module):
        def __init__(self, cell: Cell) -> None:
            super().__init__()
            self.outputs, self.stride = cell.out_channels, 2 if cell.reduction else 1

        def forward(self, before_last: torch.Tensor, last: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            smaller = last[:, :1, :: self.stride, :: self.stride]
            return smaller.expand(-1, self.outputs[0], -1, -1), smaller.expand(-1, self.outputs[1], -1, -1)

    space = EnasSpace("enas7", auxiliary=True, image_size=33, **SMALL)
    for layer, cell in enumerate(space.cells):
        space.cells[layer] = Shared(cell)
    logits, auxiliary = space(torch.zeros(2, 3, 33, 33))
    assert logits.shape == auxiliary.shape == (2, 3)
    space.drop_path_progress = 1.0  # no cell of a search has drop path, and a trainer need not know


def test_exports_of_nnis_hub_load(recwarn: pytest.WarningsRecorder) -> None:
    sample: dict[str, Any] = {}
    HubSpace(width=(4, 8), num_cells=(3, 6)).random(sample, random_state=RandomState(0))
    assert {"width", "depth"} < sample.keys()
    architecture = Architecture.from_sample(sample)
    assert architecture.to_sample().items() <= sample.items()
    assert EnasSpace("enas3", **SMALL).freeze(sample).architecture == architecture
    with model_context(sample):
        assert EnasSpace("enas3", **SMALL).architecture == architecture


def test_samples_build_nnis_hub_network() -> None:
    with model_context(ARCHITECTURE.to_sample()):
        network = HubSpace(width=4, num_cells=3)
    assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        ({}, "missing"),
        ({**ARCHITECTURE.to_sample(), "kernel": 3}, "unknown label 'kernel'"),
        ({**ARCHITECTURE.to_sample(), "normal/input_2_0": [2]}, "normal cell: node 2 reads state 2"),
        (Architecture.random(0, nodes=4).to_sample(), "4 nodes a cell, the network 5; pass nodes=4"),
    ],
)
def test_sample_of_another_space_is_refused(sample: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EnasSpace("enas7", **SMALL).freeze(sample)
    with pytest.raises(ValueError, match=message), model_context(sample):
        EnasSpace("enas7", **SMALL)


def test_import_is_free_of_nnis_warnings_about_torch() -> None:
    strict = [sys.executable, "-W", "error:<class 'torch.nn.", "-c", "import search_space"]
    assert subprocess.run(strict, capture_output=True, text=True).stderr == ""
