"""What makes a search faster does not change what it computes."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import partial

import pytest
import torch
from nni.nas.hub.pytorch.nasnet import ENAS as HubSpace
from nni.nas.hub.pytorch.nasnet import NDS, FactorizedReduce, ReLUConvBN
from nni.nas.oneshot.pytorch.supermodule.base import BaseSuperNetModule
from torch import Tensor, nn

from search_space.enas.operations import even_and_odd
from strategies import RandomSampling, base
from strategies.random_sampling import Uniform
from strategies.supernet.enas_cells import SharedNniCell
from strategies.supernet.flat_parameters import LooseEnds, QuickEntry, QuickReduction, channels_last, gather
from tests.helpers.small_searches import SEARCHES, SPACES, search


@pytest.mark.parametrize(("height", "width"), [(6, 6), (7, 7), (6, 9)])
def test_a_stride_of_two_reads_even_and_odd_pixels_with_zeros_beyond_the_border(
    height: int, width: int
) -> None:
    images = torch.arange(1.0, 1 + height * width).view(1, 1, height, width)
    even, odd = even_and_odd(images)
    assert torch.equal(even, images[:, :, ::2, ::2])
    assert torch.equal(odd, nn.functional.pad(images, (0, 1, 0, 1))[:, :, 1::2, 1::2])


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


def test_channels_last_changes_no_output_and_leaves_no_strided_pointwise_convolution() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.Conv2d(4, 6, 1, stride=2),
        nn.Conv2d(6, 2, 1, stride=(1, 2), padding=1),
    )
    images = torch.randn(2, 3, 9, 9)
    before = network(images)
    channels_last(network)
    after = network(images)
    assert torch.allclose(before, after, atol=1e-6)
    assert after.is_contiguous(memory_format=torch.channels_last)
    assert all(layer.stride == (1, 1) for layer in network)


def test_channels_last_takes_networks_of_volumes_too() -> None:
    network = nn.Conv3d(1, 2, 3)
    channels_last(network)
    assert network(torch.zeros(1, 1, 4, 4, 4)).shape == (1, 2, 2, 2, 2)


OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": partial(torch.optim.SGD, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1, fused=True),
    "adamw": partial(torch.optim.AdamW, lr=0.01, weight_decay=0.1),
    "of unknown kind": partial(torch.optim.Adafactor, lr=0.01),
}


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_gathered_weights_move_as_they_would_one_by_one(kind: str) -> None:
    torch.manual_seed(0)
    one_by_one = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3, groups=4), nn.Flatten(), nn.Linear(16, 2), nn.Linear(2, 2)
    ).to(memory_format=torch.channels_last)
    one_by_one[4].requires_grad_(False)
    gathered = deepcopy(one_by_one)
    optimizers = [
        OPTIMIZERS[kind]([{"params": n[:2].parameters()}, {"params": n[2:].parameters(), "lr": 0.02}])
        for n in (one_by_one, gathered)
    ]
    pieces = gather(optimizers[1])
    assert len(pieces) == 2
    for step in range(3):
        images = torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(step))
        for network, optimizer in zip((one_by_one, gathered), optimizers, strict=True):
            network(images).square().sum().backward()
            optimizer.step()
        for piece in pieces:
            piece.zero_()
        optimizers[0].zero_grad()
        for one, other in zip(one_by_one.parameters(), gathered.parameters(), strict=True):
            assert one.stride() == other.stride()
            assert torch.allclose(one, other, atol=1e-5)
            assert other.grad is None or not other.grad.any()


def test_gathering_lets_an_optimiser_hold_one_tensor_a_group() -> None:
    network = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2))
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    gather(optimizer)
    [whole] = optimizer.param_groups[0]["params"]
    first, bias, second, last = (weight.flatten() for weight in network.parameters())
    padded = [nn.functional.pad(weight, (0, 16 - len(weight))) for weight in (first, bias, second, last)]
    assert whole.tolist() == torch.cat(padded).tolist()


@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.bfloat16])
def test_a_gathered_weight_starts_where_a_tensor_of_its_own_would(kind: torch.dtype) -> None:
    network = nn.Sequential(nn.Linear(2, 3), nn.Conv2d(3, 7, 3), nn.Conv2d(7, 1, 1)).to(kind)
    gather(torch.optim.SGD(network.parameters(), 0.1))
    for weight in network.parameters():
        assert weight.grad is not None
        assert weight.data_ptr() % 64 == weight.grad.data_ptr() % 64 == 0


def test_a_search_moves_its_weights_as_it_would_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def one_by_one(optimizer: torch.optim.Optimizer) -> list[Tensor]:
        weights = optimizer.param_groups[0]["params"]
        for weight in weights:
            weight.grad = torch.zeros_like(weight)
        return [weight.grad for weight in weights]

    found = []
    for gathering in (gather, one_by_one):
        monkeypatch.setattr(base, "gather", gathering)
        found.append(search(SEARCHES["random"]()).oneshot_module.model.state_dict())
    for name, weight in found[0].items():
        torch.testing.assert_close(weight, found[1][name], rtol=1e-3, atol=1e-4)
    started = SEARCHES["random"]().mutate_model(SPACES["own"][0]()).state_dict()
    assert not torch.allclose(found[0]["stem.0.weight"], started["stem.0.weight"], atol=1e-2)


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
