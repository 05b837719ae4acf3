"""The example of a strategy passes the conformance suite, and prefers what is rewarded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from nni.mutable import Categorical

from docs.examples import evolution
from docs.examples.evolution import Evolution
from strategies.testing import StrategyTests


class TestEvolution(StrategyTests):
    def make_strategy(self, **options: Any) -> Evolution:
        return Evolution(population=6, tournament=2, **options)


def test_rewarded_architectures_have_more_children() -> None:
    choices = {label: Categorical(["good", "bad"], label=label) for label in "abcdef"}
    sampler = Evolution(population=20, tournament=5).make_sampler(choices)
    generator = torch.Generator().manual_seed(0)
    for _ in range(10):
        last = sampler.learn(lambda sample: list(sample.values()).count("good"), generator)
    assert last["reward"] > 5  # random architectures have 3


def test_impossible_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"tournament \(7\)"):
        Evolution(population=6, tournament=7)


def test_it_is_one_small_file() -> None:
    assert len(Path(evolution.__file__).read_text(encoding="utf-8").splitlines()) < 80
