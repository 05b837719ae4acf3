"""The hub's cells compute with shared weights what the hub's own networks compute."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from nni.nas.hub.pytorch.nasnet import ENAS as HubSpace
from nni.nas.hub.pytorch.nasnet import NDS, FactorizedReduce, ReLUConvBN
from nni.nas.oneshot.pytorch.supermodule.base import BaseSuperNetModule
from torch import Tensor, nn

from strategies import RandomSampling
from strategies.random_sampling import Uniform
from strategies.supernet.nni_hub import LooseEnds, QuickEntry, QuickReduction, SharedNniCell


@pytest.mark.parametrize("side", [8, 9])
def test_a_quick_reduction_computes_what_the_hubs_reduction_does_and_its_gradient(side: int) -> None:
    torch.manual_seed(0)
    slow = FactorizedReduce(4, 6)
    quick = QuickReduction(deepcopy(slow))
    images = torch.randn(2, 4, side, side)
    outputs, gradients = [], []
    for module in (slow, quick):
        given = images.clone().requires_grad_()
        output = module(given)
        output.square().mean().backward()
        outputs.append(output)
        gradients.append(given.grad)
    assert torch.allclose(*outputs, atol=1e-6)
    assert torch.allclose(gradients[0], gradients[1], atol=1e-6)


def joined(maps: list[Tensor], zeros: list[int], along: int = 1) -> Tensor:
    return torch.cat([m * (index not in zeros) for index, m in enumerate(maps)], along)


READERS: dict[str, tuple[Callable[[], nn.Module], type]] = {
    "entry": (lambda: ReLUConvBN(9, 6, 1, 1, 0), QuickEntry),
    "reduction": (lambda: FactorizedReduce(9, 6), QuickReduction),
}


@pytest.mark.parametrize("zeros", [[], [0], [0, 1], [1]])
@pytest.mark.parametrize("reader", READERS)
def test_a_quick_reader_of_loose_ends_computes_what_the_hubs_does_with_zeros_and_its_gradients(
    reader: str, zeros: list[int]
) -> None:
    torch.manual_seed(0)
    make, kind = READERS[reader]
    slow = make()
    quick = kind.mutate(deepcopy(slow), "", {}, {})
    maps = [torch.randn(2, channels, 7, 7) for channels in (2, 3, 4)]
    found = []
    for module, join in ((slow, joined), (quick, LooseEnds.join)):
        given = [m.clone().requires_grad_() for m in maps]
        output = module(join(given, zeros))
        weights = [module.get_parameter(name) for name, _ in slow.named_parameters()]
        upstream = torch.randn(output.shape, generator=torch.Generator().manual_seed(1))
        kept = [m for index, m in enumerate(given) if index not in zeros]
        found.append([output, *torch.autograd.grad(output, [*kept, *weights], upstream)])
    for dense, loose in zip(*found, strict=True):
        torch.testing.assert_close(loose, dense, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("along", [1, 2])
def test_loose_ends_are_the_joined_maps_to_whatever_else_reads_them(along: int) -> None:
    maps = [torch.randn(2, 4, 4, 4) for _ in range(3)]
    whole, ends = joined(maps, [1], along), LooseEnds.join(maps, [1], along)
    assert ends.shape == whole.shape
    assert torch.equal(ends + 0, whole) and torch.equal(0 + ends, whole)
    assert torch.equal(torch.cat([ends, ends]), torch.cat([whole, whole]))
    assert torch.equal(ends.view(2, -1), whole.view(2, -1))
    assert torch.equal(nn.AdaptiveAvgPool2d(1)(ends), nn.AdaptiveAvgPool2d(1)(whole))
    entry = QuickEntry(*ReLUConvBN(whole.shape[1], 2, 1, 1, 0))
    torch.testing.assert_close(entry(ends), entry(whole))


def hub_supernet() -> NDS:
    space = NDS(
        HubSpace.ENAS_OPS, merge_op="loose_end", num_nodes_per_cell=5, width=4, num_cells=6, dataset="cifar"
    )
    return RandomSampling(seed=0).mutate_model(space)


def test_a_hub_supernet_gives_the_logits_and_gradients_of_one_that_writes_its_zeros(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.manual_seed(0)
    images = torch.randn(4, 3, 16, 16)
    network = hub_supernet().double()  # so that ReLUs and pools meet no ties by rounding
    drawn = Uniform(network.simplify(), 1).draw(4, torch.Generator().manual_seed(0))
    for sample in drawn:
        for module in network.modules():
            if isinstance(module, SharedNniCell):
                module.resample(memo=sample)
        found = []
        for join in (LooseEnds.join, joined):
            monkeypatch.setattr(LooseEnds, "join", staticmethod(join))
            network.zero_grad()
            logits = network(images.double())
            logits.square().sum().backward()
            found.append([logits, *(p.grad for p in network.parameters() if p.grad is not None)])
        monkeypatch.undo()
        for loose, dense in zip(*found, strict=True):
            torch.testing.assert_close(loose, dense, rtol=1e-6, atol=1e-8)


def test_between_the_hubs_cells_no_zeros_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    network = hub_supernet()
    made = []
    join = LooseEnds.join

    def remember(*arguments: object) -> LooseEnds:
        made.append(join(*arguments))
        return made[-1]

    monkeypatch.setattr(LooseEnds, "join", staticmethod(remember))
    [sample] = Uniform(network.simplify(), 1).draw(1, torch.Generator().manual_seed(0))
    for module in network.modules():
        if isinstance(module, SharedNniCell):
            module.resample(memo=sample)
    network(torch.randn(2, 3, 16, 16))
    # the head reads the last one, and nothing but cells the others
    assert ["whole" in vars(ends) for ends in made] == [False] * 5 + [True]


def test_the_hubs_operations_without_choices_stay_plain_modules() -> None:
    space = NDS(
        HubSpace.ENAS_OPS, merge_op="loose_end", num_nodes_per_cell=2, width=4, num_cells=3, dataset="cifar"
    )
    supernet = RandomSampling(seed=0).mutate_model(space)
    kinds = {type(module).__name__ for module in supernet.modules() if isinstance(module, BaseSuperNetModule)}
    assert kinds == {"SharedNniCell", "QuickEntry", "QuickReduction"}
