"""The controls of a controller pass the suite too, in a file of their own: a file runs on one worker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from strategies import LocalSearch, RegularizedEvolution
from strategies.testing import StrategyTests


class ControlTests(StrategyTests):
    """NNI's own spaces, ten seconds each, are left to the strategies whose supernet the controls share."""

    @pytest.mark.parametrize("space", ["own", "user"])
    def test_an_experiment_of_nnis_exports_architectures_of_the_space(
        self, space: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        super().test_an_experiment_of_nnis_exports_architectures_of_the_space(space, tmp_path, monkeypatch)


class TestRegularizedEvolution(ControlTests):
    def make_strategy(self, **options: Any) -> RegularizedEvolution:
        return RegularizedEvolution(population=3, tournament=2, observations=6, **options)


class TestLocalSearch(ControlTests):
    def make_strategy(self, **options: Any) -> LocalSearch:
        return LocalSearch(observations=6, **options)
