"""The settings choose the strategy of a search, and each strategy's searches have a folder of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from strategies import ENAS, LocalSearch, RandomSampling, RegularizedEvolution
from strategies.loaders import reward_batches
from tests.helpers.runs import search_on
from trials.data.split import Split
from trials.methods.registry import METHODS
from trials.pipeline.found import read_ranking
from trials.pipeline.search import Search
from trials.runs.layout import SEARCHES
from trials.settings.load import load_settings
from trials.settings.schema import Settings
from trials.settings.search import SearchSettings

STRATEGIES = {"enas": ENAS, "random": RandomSampling, "evolution": RegularizedEvolution, "local": LocalSearch}
TINY = {
    "data.image_size": 16,
    "search.filters": 2,
    "search.nodes": 2,
    "search.epochs": 3,
    "search.warmup_epochs": 1,
    "search.controller_updates": 2,
    "search.controller_samples": 3,
    "search.population": 4,
    "search.tournament": 2,
    "search.final_samples": 6,
    "search.reward_shared": True,
}


def settings(strategy: str) -> Settings:
    return load_settings("quick", TINY | {"search.strategy": strategy})


@pytest.mark.parametrize(("name", "strategy"), STRATEGIES.items())
def test_the_settings_name_the_strategy(
    name: str, strategy: type[Any], lesions: Path, tmp_path: Path
) -> None:
    chosen = settings(name)
    assert type(Search(Split.load(lesions, chosen), chosen, tmp_path).strategy()) is strategy


def test_each_strategy_has_a_folder_and_a_method_of_its_own() -> None:
    assert (
        SEARCHES.keys()
        == STRATEGIES.keys()
        == set(get_args(SearchSettings.model_fields["strategy"].annotation))
    )
    assert len(set(SEARCHES.values())) == len(SEARCHES)
    for method, strategy in {"evolution7": "evolution", "local7": "local", "random7": "random"}.items():
        assert METHODS[method].settings(load_settings("quick")).search.strategy == strategy
        assert METHODS[method].cells == "searched"


@pytest.mark.parametrize("strategy", ["evolution", "local"])
def test_the_controls_rank_and_measure_as_many_rewards_as_the_controller(
    strategy: str, lesions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = []

    def spy(loader: Any, epoch: int, count: int, times: int) -> Iterator[list[Any]]:
        shared.append(times)
        return reward_batches(loader, epoch, count, times)

    monkeypatch.setattr("strategies.module.reward_batches", spy)
    record = search_on(lesions, out=tmp_path, settings=settings(strategy), folds=2, fold=0)
    assert record["scored"] == len(read_ranking(tmp_path)) == 6
    assert [0 <= epoch["reward"] <= epoch["reward_best"] <= 1 for epoch in record["history"]] == [True] * 3
    assert record["settings"]["search"]["strategy"] == strategy
    assert shared == [6] * 3  # all rewards of an epoch are of the same images, as asked
