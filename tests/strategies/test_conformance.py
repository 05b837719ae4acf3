"""The strategies here pass the suite that others can use."""

from __future__ import annotations

from typing import Any

from strategies import ENAS, RandomSampling
from strategies.testing import StrategyTests


class TestEnas(StrategyTests):
    def make_strategy(self, **options: Any) -> ENAS:
        return ENAS(controller_updates=2, controller_samples=3, **options)


class TestRandomSampling(StrategyTests):
    def make_strategy(self, **options: Any) -> RandomSampling:
        return RandomSampling(observations=3, **options)
