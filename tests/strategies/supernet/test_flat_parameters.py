"""Weights gathered in one tensor move as they would one by one."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from strategies import module
from strategies.supernet.flat_parameters import gather
from strategies.testing.searches import SPACES, search
from tests.helpers.small_searches import SEARCHES

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
        monkeypatch.setattr(module, "gather", gathering)
        found.append(search(SEARCHES["random"]()).oneshot_module.model.state_dict())
    for name, weight in found[0].items():
        torch.testing.assert_close(weight, found[1][name], rtol=1e-3, atol=1e-4)
    started = SEARCHES["random"]().mutate_model(SPACES["own"][0]()).state_dict()
    assert not torch.allclose(found[0]["stem.0.weight"], started["stem.0.weight"], atol=1e-2)
