"""The controls of a controller pass the suite too, in a file of their own: a file runs on one worker."""

from __future__ import annotations

from typing import Any

from strategies import LocalSearch, RegularizedEvolution
from strategies.testing import StrategyTests


class TestRegularizedEvolution(StrategyTests):
    def make_strategy(self, **options: Any) -> RegularizedEvolution:
        return RegularizedEvolution(population=3, tournament=2, observations=6, **options)


class TestLocalSearch(StrategyTests):
    def make_strategy(self, **options: Any) -> LocalSearch:
        return LocalSearch(observations=6, **options)
