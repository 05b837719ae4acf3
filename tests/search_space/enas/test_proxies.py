"""Scores of networks that nothing has trained, against cases worked by hand."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import pytest
import torch
from torch import nn

from search_space import Architecture, EnasNetwork
from search_space.enas.proxies import naswot, synflow

NOISE = torch.randn(6, 1, 16, 16, generator=torch.Generator().manual_seed(0))
A, B = [[1.0, 1.0], [-1.0, -1.0]], [[1.0, -1.0], [1.0, -1.0]]


def images(*maps: list[list[float]]) -> torch.Tensor:
    return torch.tensor(maps)[:, None]


def network(drop: float = 0.5) -> EnasNetwork:
    torch.manual_seed(0)
    made = EnasNetwork(
        Architecture.random(1, nodes=2), "enas3", filters=2, channels=1, dropout=drop, drop_path=drop
    )
    made.drop_path_progress = 1
    return made.train()


def test_synaptic_flow_worked_by_hand() -> None:
    convolution, linear = nn.Conv2d(1, 1, 1, bias=False), nn.Linear(4, 1, bias=False)
    with torch.no_grad():
        convolution.weight.fill_(-2)
        linear.weight.copy_(torch.tensor([[1.0, -1, 2, -3]]))
    # Ones become twos, and then 2 * (1 + 1 + 2 + 3) = 14, which is the flow through either layer.
    layers = nn.Sequential(convolution, nn.BatchNorm2d(1), nn.Dropout(0.9), nn.Flatten(), linear)
    assert synflow(layers, 1, 2) == pytest.approx(math.log(28))


def test_agreement_of_relus_worked_by_hand() -> None:
    # Both are on in one pixel and off in another, on for one alone in two: |4 2; 2 4| = 12.
    relu = nn.Sequential(nn.ReLU())
    assert naswot(relu, images(A, B)) == pytest.approx(math.log(12))
    assert naswot(relu, images(A, B, A)) == pytest.approx(math.log(12))  # equal images count once
    assert naswot(relu, images(A, [[9.0, 9.0], [-9.0, -9.0]])) == -math.inf


def test_batch_norm_takes_the_statistics_of_the_batch() -> None:
    layers = nn.Sequential(nn.BatchNorm2d(1), nn.ReLU())  # all are above 0, and half above their mean
    assert naswot(layers, images(A, B) + 10) == pytest.approx(math.log(12))


@pytest.mark.parametrize("score", [lambda net: synflow(net, 1, 16), lambda net: naswot(net, NOISE)])
def test_nothing_is_dropped_and_the_network_stays_as_it_is(score: Callable[[nn.Module], float]) -> None:
    scored, before = network(), copy.deepcopy(network().state_dict())
    assert score(scored) == score(scored) == score(network(drop=0.0))
    assert scored.training and all(module.training for module in scored.modules())
    for name, value in scored.state_dict().items():
        assert torch.equal(value, before[name])
