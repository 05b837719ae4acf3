"""Sets of cells: chosen by what they say together, trained each as a network alone is, and joined."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers.runs import train_on
from tests.helpers.tiny import TINY
from trials.data.split import Split
from trials.data.task import Task
from trials.errors import SettingsError
from trials.evaluation.decisions import mean_logits
from trials.evaluation.selection import forward
from trials.inference.predict import run_predict
from trials.methods import registry
from trials.methods.registry import Entry, Title, find_method
from trials.pipeline.cell_sets import choose_cells
from trials.pipeline.ensemble import Ensemble
from trials.pipeline.found import read_found, read_ranked_predictions, read_ranking
from trials.pipeline.train import first_part, run_train
from trials.runs.collect import collect
from trials.runs.layout import (
    ARCHITECTURE,
    METRICS,
    MODEL_FILE,
    PREDICTIONS,
    SEARCH_FILE,
    SEARCHES,
    VALIDATION_PREDICTIONS,
)
from trials.runs.predictions import Predicted, classes_of, read_predictions
from trials.settings.load import load_settings, with_changes
from trials.settings.schema import Settings
from trials.stage import run_stage

SMALL = TINY | {"search.final_samples": 8, "search.strategy": "random"}
PAIR = Entry(Title("tiny_set2", "set of two", "enas3"), cells="searched", networks=2)
NAME, SEARCH = PAIR.title.name, SEARCHES["random"]


@pytest.fixture(scope="module", autouse=True)
def _known() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry.METHODS, NAME, PAIR)
        yield


@pytest.fixture(scope="module")
def settings() -> Settings:
    return load_settings("quick", SMALL)


@pytest.fixture(scope="module")
def split(lesions: Path, settings: Settings) -> Split:
    return Split.load(lesions, settings, folds=2, fold=0)


@pytest.fixture(scope="module")
def fold(lesions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fold's folder with a cross-fit of a set, in two parts of two networks each."""
    out = tmp_path_factory.mktemp("sets")
    parameters = {"stage": "train", "method": NAME, "folds": 2, "fold": 0, "parts": 2}
    run_stage(parameters, lesions, out, "quick", of_data=SMALL)
    return out / "fold0"


@pytest.fixture(scope="module")
def home(fold: Path) -> Path:
    """The folder of the first part: a search, a set and its networks."""
    return fold / "part0of2"


def told(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def said(folder: Path, table: str = PREDICTIONS) -> Predicted:
    return read_predictions(folder / table, classes_of(told(folder / METRICS)))


def members(home: Path) -> list[Path]:
    return [home / f"member{number}of2" / NAME for number in range(2)]


def test_a_set_is_chosen_by_what_its_candidates_say_together_of_the_validation_images(
    fold: Path, split: Split
) -> None:
    data, found = split.data, []
    for number, part in enumerate(split.cross_fitted(2)[1]):
        home = fold / f"part{number}of2"
        ranking = read_ranking(home / SEARCH)
        logits, labels = read_ranked_predictions(home / SEARCH, part), data.labels[part.validation]
        chosen = forward(logits, labels, 2, positive=data.positive_index)
        facts = told(home / NAME / METRICS)["set"]
        assert facts["places"] == [number + 1 for number in chosen.numbers] and facts["of"] == 8
        assert facts["losses"] == pytest.approx(chosen.losses)
        for one, folder in zip(chosen.numbers, members(home), strict=True):
            network = told(folder / MODEL_FILE)["network"]
            assert network["architecture"] == ranking[one][1].to_sample()
            scored = list(said(folder, VALIDATION_PREDICTIONS).files)
            assert scored == [data.files[i] for i in part.validation]
        found.append(facts)
    assert found[0] != found[1]  # each part has searched and chosen for itself


def test_a_set_decides_as_one_model(home: Path, lesions: Path) -> None:
    together, metrics = said(home / NAME), told(home / NAME / METRICS)
    alone = [told(folder / METRICS) for folder in members(home)]
    assert [one["member"] for one in alone] == [[0, 2], [1, 2]] and "member" not in metrics
    assert metrics["seed"] == alone[0]["seed"] != alone[1]["seed"]
    assert metrics["parameters"] == sum(one["parameters"] for one in alone)
    assert metrics["search_overlap"] == "none" and metrics["search_seconds"] > 0
    expected = mean_logits([said(folder).logits for folder in members(home)], 1)
    assert together.logits == pytest.approx(expected)
    found = run_predict(home / NAME, [lesions / file for file in together.files])
    assert [row["log_odds"] for row in found["predictions"]] == pytest.approx(together.log_odds, abs=1e-4)


def test_a_set_may_start_from_the_shared_weights_of_its_own_search(
    home: Path, split: Split, settings: Settings, tmp_path: Path
) -> None:
    again = tmp_path / home.name
    shutil.copytree(home / SEARCH, again / SEARCH)
    start = {"protocol.cross_fit": 2, "retrain.start": str(again / SEARCH)}
    metrics = run_train(split, with_changes(settings, start), NAME, again / NAME, part=0)
    assert "other_data" not in metrics and not metrics["saw_other_data"]
    started = [told(folder / "run.json")["identity"]["starts_from"] for folder in members(again)]
    assert started[0] == started[1]
    assert said(again / NAME).logits.tolist() != said(home / NAME).logits.tolist()


def test_the_networks_of_a_set_take_no_part_in_a_comparison_of_their_own(fold: Path) -> None:
    assert [(run.method, run.folder.parent) for run in collect([fold]).runs] == [(NAME, fold)]


def test_an_interrupted_set_takes_the_networks_that_are_trained(
    home: Path, split: Split, settings: Settings, tmp_path: Path
) -> None:
    again = tmp_path / home.name
    shutil.copytree(home, again)
    shutil.rmtree(again / NAME)
    shutil.rmtree(again / "member1of2")
    before = (members(again)[0] / "run.json").stat().st_mtime_ns
    crossed = with_changes(settings, {"protocol.cross_fit": 2})
    run_train(split, crossed, NAME, again / NAME, part=0)
    assert before == (members(again)[0] / "run.json").stat().st_mtime_ns
    for table in (PREDICTIONS, VALIDATION_PREDICTIONS):
        assert (again / NAME / table).read_bytes() == (home / NAME / table).read_bytes()


def test_random_cells_differ_within_a_set_and_the_first_is_the_network_alone(
    split: Split, settings: Settings
) -> None:
    task, alone = first_part(split, settings, find_method("cells7"), None, None)
    _, together = first_part(split, settings, find_method("cells7_set5"), None, None)
    assert isinstance(together, Ensemble)
    assert len({json.dumps(one.method.identity) for one in together.members}) == 5
    first = together.members[0]
    assert first.method.identity == alone.identity and first.task.seed == task.seed


def test_seeds_are_those_of_one_network_and_those_of_other_runs_are_others(
    split: Split, settings: Settings
) -> None:
    _, together = first_part(split, settings, find_method("enas7_seeds5"), None, None)
    assert isinstance(together, Ensemble)
    assert len({json.dumps(one.method.identity) for one in together.members}) == 1
    seeds = [one.task.seed for one in together.members]
    of_next_run = [one.seed for one in split.cross_fitted(2)[1][1].members(5)]  # from seed 1
    assert len({*seeds, *of_next_run}) == 10
    assert all(np.array_equal(one.task.split.validation, split.validation) for one in together.members)


def test_a_search_that_scores_too_few_candidates_is_refused(
    home: Path, lesions: Path, split: Split, settings: Settings, tmp_path: Path
) -> None:
    few = SMALL | {"search.final_samples": 4}
    with pytest.raises(SettingsError, match=r"search\.final_samples = 4: enas7_set5 chooses 5"):
        train_on(lesions, "enas7_set5", out=tmp_path / "enas7_set5", profile="quick", overrides=few)
    assert not list(tmp_path.iterdir())
    task, search = Task(split.cross_fitted(2)[1][0], settings), home / SEARCH
    best = read_found(task, search / ARCHITECTURE)
    with pytest.raises(SettingsError, match="8 different architectures, and 9 are to be chosen"):
        choose_cells(task, search, best, 9)


def test_the_set_of_a_limited_search_is_within_its_limit(
    home: Path, split: Split, settings: Settings, tmp_path: Path
) -> None:
    search = tmp_path / SEARCH
    shutil.copytree(home / SEARCH, search)
    (search / "run.json").unlink()  # its files are about to change
    record = told(search / SEARCH_FILE) | {"limit": {"feasible": 3}}
    (search / SEARCH_FILE).write_text(json.dumps(record))
    task = Task(split.cross_fitted(2)[1][0], settings)
    best = read_found(task, search / ARCHITECTURE)
    facts = choose_cells(task, search, best, 3)[0].facts["set"]
    assert sorted(facts["places"]) == [1, 2, 3] and facts["of"] == 3
    with pytest.raises(SettingsError, match="3 different architectures within the search's limit, and 4"):
        choose_cells(task, search, best, 4)


def test_a_network_of_a_set_that_failed_is_not_a_method_that_failed(tmp_path: Path) -> None:
    folder = tmp_path / "member0of2" / NAME
    folder.mkdir(parents=True)
    identity = {"verb": "train", "method": NAME, "fold": 0, "seed": 0, "member": [0, 2]}
    (folder / "run.json").write_text(json.dumps({"done": False, "failed": "a disk", "identity": identity}))
    assert collect([tmp_path]).failed == ()
