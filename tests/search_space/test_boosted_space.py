"""Boosted EfficientNet's choices around shared pretrained weights."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
import torch
from nni.mutable import Categorical
from nni.nas.oneshot.pytorch.supermodule.base import BaseSuperNetModule
from torch import Tensor, nn

from search_space import BoostedArchitecture, BoostedSpace
from search_space.boosted_efficientnet import CBAM, imagenet_weights
from search_space.boosted_space import SHARED
from strategies import RandomSampling

pytest.importorskip("timm")
EVERY = [BoostedArchitecture(*values) for values in itertools.product(*SHARED.values())]
WEIGHTS = imagenet_weights("lite0")


@pytest.fixture(scope="module")
def space() -> BoostedSpace:
    torch.manual_seed(0)
    return BoostedSpace("lite0", classes=2, weights=WEIGHTS)


@pytest.fixture(scope="module")
def shared() -> nn.Module:
    """The supernet of such a space."""
    torch.manual_seed(0)
    return RandomSampling(seed=0).mutate_model(BoostedSpace("lite0", classes=2, weights=WEIGHTS))


def set_to(shared: nn.Module, architecture: BoostedArchitecture) -> None:
    for module in shared.modules():
        if isinstance(module, BaseSuperNetModule):
            module.resample(memo=architecture.to_sample())


def images() -> Tensor:
    return torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def test_it_lists_its_choices_by_label(space: BoostedSpace) -> None:
    choices = space.simplify()
    assert choices.keys() == SHARED.keys() and all(isinstance(one, Categorical) for one in choices.values())
    assert len(EVERY) == 48 and all(space.contains(one.to_sample()) for one in EVERY[::7])


@torch.no_grad()
def test_every_architecture_starts_as_the_default_network(space: BoostedSpace, shared: nn.Module) -> None:
    """Of one downsampling, which adds no weights."""
    shared.eval()
    for by, whole in itertools.groupby(EVERY, key=lambda one: one.downsampling):
        torch.manual_seed(0)
        default = space.freeze(BoostedArchitecture(by).to_sample()).eval()(images())
        for architecture in whole:
            set_to(shared, architecture)
            torch.testing.assert_close(shared(images()), default, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("frozen", "first"), [(0, 0), (3, 4), (5, 6), (8, 9)])
def test_a_step_trains_what_is_not_frozen_and_what_is_added(
    frozen: int, first: int, shared: nn.Module
) -> None:
    shared.train().zero_grad()
    set_to(shared, BoostedArchitecture(8, "cbam", fusion=True, frozen=frozen))
    shared(images()).square().sum().backward()
    moved = {name for name, weight in shared.named_parameters() if weight.grad is not None}
    kinds = {name for name, module in shared.named_modules() if isinstance(module, CBAM)}
    added = {name for name in moved if any(name.startswith(kind) for kind in kinds)}
    assert {int(name.split(".")[1]) for name in moved - added if name.startswith("features")} == set(
        range(first, 9)
    )
    assert {int(name.split(".")[1]) for name in added} == set(range(1, 8))  # those before frozen stages too
    fused = shared.get_parameter("classifier.1.weight").grad[:, : 40 + 112]
    assert fused.abs().max() > 0


def test_weights_that_are_not_sampled_stay_and_a_stride_changes_no_weight(shared: nn.Module) -> None:
    shared.train().zero_grad()
    set_to(shared, BoostedArchitecture())
    shared(images()).square().sum().backward()
    assert all(
        weight.grad is None
        for module in shared.modules()
        if isinstance(module, CBAM)
        for weight in module.parameters()
    )
    fused = shared.get_parameter("classifier.1.weight").grad[:, : 40 + 112]
    assert fused.abs().max() == 0
    strides = [
        module for name, module in shared.named_modules() if getattr(module, "label", "") == "downsampling"
    ]
    assert len(strides) == 4  # of two stages, trained and frozen
    for choice in strides:
        assert len({layer.weight.data_ptr() for layer in choice}) == 1  # type: ignore[attr-defined]


def test_freeze_builds_the_network_of_the_sample(space: BoostedSpace) -> None:
    network = space.freeze(BoostedArchitecture(16, "cbam", fusion=True, frozen=3).to_sample())
    assert network.chosen == {
        "downsampling": 16,
        "attention": "cbam",
        "fusion": True,
        "cropping": "none",
    }
    learned = [name for name, weight in network.features.named_parameters() if weight.requires_grad]
    kept = {int(name.split(".")[0]) for name in learned if "shared" not in name and "spatial" not in name}
    assert kept == {4, 5, 6, 7, 8}


def test_an_architecture_is_read_as_it_was_written() -> None:
    for one in EVERY:
        assert BoostedArchitecture.parse(one.to_json().encode(), "file") == one
        assert BoostedArchitecture.from_sample(one.chosen) == one  # values in place of their names
    assert len({BoostedArchitecture.random(seed) for seed in range(200)}) > 40


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"downsampling": "64"}, "downsampling is one of 32, 16, 8, not '64'"),
        ({"fusion": "maybe"}, "fusion is one of false, true, not 'maybe'"),
        ({"kernel": "3"}, "expected the labels downsampling, attention, fusion, frozen"),
    ],
)
def test_what_is_none_is_refused(change: dict[str, Any], words: str) -> None:
    written = json.dumps(BoostedArchitecture().to_sample() | change).encode()
    with pytest.raises(ValueError, match=f"here.json is no architecture of this space: {words}"):
        BoostedArchitecture.parse(written, "here.json")
