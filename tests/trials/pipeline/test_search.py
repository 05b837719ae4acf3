"""Searching: what it leaves, what it never sees, and that the same seed comes to the same cells."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from search_space import Architecture, macs, parameters
from search_space.enas.cost import Layer
from search_space.enas.latency import LatencyTable
from strategies.limit import LimitError
from tests.helpers.runs import retrain_on, search_on
from trials.data.folds import assign_folds
from trials.data.load import load
from trials.data.split import Split
from trials.errors import LeakError, RunFolderError
from trials.evaluation.rankings import MEASURES
from trials.pipeline.found import read_ranked_predictions, read_ranking
from trials.pipeline.search_limit import WHOLE, SearchLimit
from trials.runs.layout import CHECKPOINT
from trials.settings.load import load_settings
from trials.settings.schema import Settings
from trials.training.checkpoint import SaveEachEpoch

TINY = {
    "data.image_size": 16,
    "search.filters": 2,
    "search.nodes": 2,
    "search.epochs": 2,
    "search.controller_updates": 2,
    "search.controller_samples": 2,
    "search.final_samples": 6,
    "search.top_k": 4,
}


def settings(**changes: Any) -> Settings:
    return load_settings("quick", TINY | changes)


@pytest.fixture(scope="module")
def searched(lesions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("searched") / "search"
    search_on(lesions, out=out, settings=settings(), folds=2, fold=0)
    return out


def test_the_best_candidate_is_the_architecture_and_the_ranking_is_whole(searched: Path) -> None:
    ranked = json.loads((searched / "candidates.json").read_text())
    record = json.loads((searched / "search.json").read_text())
    assert len(ranked) == 4 and record["scored"] == 6
    assert [c["score"] for c in ranked] == sorted((c["score"] for c in ranked), reverse=True)
    assert {c["metric"] for c in ranked} == {"val_acc"}
    assert ranked[0]["architecture"] == json.loads((searched / "architecture.json").read_text())
    for candidate in ranked:
        Architecture.from_sample(candidate["architecture"])
    everyone = read_ranking(searched)
    assert len(everyone) == len({str(architecture) for _, architecture in everyone}) == 6
    assert [(score, architecture.to_sample()) for score, architecture in everyone[:4]] == [
        (candidate["score"], candidate["architecture"]) for candidate in ranked
    ]
    assert [epoch["epoch"] for epoch in record["history"]] == [0, 1]
    assert (searched / "cells.svg").exists() and not (searched / CHECKPOINT).exists()


def test_a_search_sees_nothing_of_its_test_fold(searched: Path, lesions: Path) -> None:
    data = load(lesions)
    rest, test = assign_folds(data, 2).split(0)
    seen = json.loads((searched / "search.json").read_text())["seen"]
    assert set(seen["groups"]) == {data.groups[i] for i in rest}
    assert set(seen["image_digests"]) == {data.image_digests[i] for i in rest}
    assert not set(seen["image_digests"]) & {data.image_digests[i] for i in test}


def test_what_was_found_can_be_tested_on_the_fold_left_out_and_on_no_other(
    searched: Path, lesions: Path, tiny: Settings, tmp_path: Path
) -> None:
    found = searched / "architecture.json"
    common: dict[str, Any] = {"layout": "enas3", "settings": tiny, "folds": 2}
    metrics = retrain_on(lesions, found, out=tmp_path / "right", fold=0, **common)
    assert metrics["search_overlap"] == "none"
    with pytest.raises(LeakError, match=r"--folds 2 --fold 1"):
        retrain_on(lesions, found, out=tmp_path / "wrong", fold=1, **common)
    assert not (tmp_path / "wrong").exists()


def pretend_to_measure(times: Iterable[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each measurement of a table give every layer the next of these times, and networks ten of it."""
    left, now = iter(times), [0.0]

    def measure(layers: Iterable[Layer]) -> LatencyTable:
        now[0] = next(left)
        return LatencyTable({layer: now[0] for layer in layers}, threads=1)

    monkeypatch.setattr(LatencyTable, "measure", measure)
    monkeypatch.setattr(SearchLimit, "measure", lambda self, architecture: 10 * now[0])


def test_sums_of_layers_are_scaled_to_whole_networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_to_measure([3.0], monkeypatch)
    limit = SearchLimit(settings(**{"search.most_milliseconds": 100}), classes=2)
    table = limit.table(tmp_path / "none.json")
    assert table is not None
    networks = [Architecture.random(seed, 2) for seed in range(WHOLE)]
    costs = sorted(limit.limit(table).cost(network.to_sample()) for network in networks)
    assert costs[WHOLE // 2] == pytest.approx(30.0)


@pytest.mark.parametrize(
    "changes",
    [
        {"search.strategy": "enas", "search.most_milliseconds": 100},
        {"search.strategy": "random", "search.epochs": 3, "search.max_steps": 5},
    ],
)
def test_the_same_seed_gives_the_same_files_also_after_an_interruption(
    changes: dict[str, Any], lesions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = settings(**changes)
    pretend_to_measure([1.0, 1.0, 9.0], monkeypatch)  # resumed, the machine would measure otherwise
    search_on(lesions, out=tmp_path / "whole", settings=chosen, seed=5)

    class Killed(Exception):
        pass

    def save_and_die(self: SaveEachEpoch, *arguments: Any) -> None:
        save(self, *arguments)
        raise Killed

    save = SaveEachEpoch.on_train_epoch_end
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(SaveEachEpoch, "on_train_epoch_end", save_and_die)
        search_on(lesions, out=tmp_path / "killed", settings=chosen, seed=5)
    assert (tmp_path / "killed" / CHECKPOINT).exists()
    search_on(lesions, out=tmp_path / "killed", settings=chosen, seed=5)
    for name in ("architecture.json", "candidates.json", "ranking.csv", "ranking_predictions.npz"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.parametrize(("of", "strategy"), [("parameters", "random"), ("macs", "enas")])
def test_what_is_found_keeps_the_limit_in_the_network_that_is_retrained(
    of: str, strategy: str, lesions: Path, tmp_path: Path
) -> None:
    count: Any = {"parameters": parameters, "macs": macs}[of]
    sizes = {"macs": {"image_size": 16}}.get(of, {})

    def cost(architecture: Architecture) -> int:
        return count(architecture, "enas5", 6, 3, 2, **sizes)

    most = sorted(cost(Architecture.random(seed, nodes=2)) for seed in range(20))[6]
    limits = {f"search.most_{of}": most, "search.limit_layout": "enas5", "retrain.filters": 6}
    record = search_on(
        lesions, out=tmp_path, settings=settings(**limits, **{"search.strategy": strategy}), folds=2, fold=0
    )
    found = Architecture.load(tmp_path / "architecture.json")
    limit = record["limit"]
    assert cost(found) == limit["cost"] <= most == limit["most"]
    assert (limit["of"], limit["layout"], limit["filters"], limit["image_size"]) == (of, "enas5", 6, 16)
    assert limit["feasible"] == record["scored"] == 6
    assert record["history"][-1]["cost"] > 0
    ranked = json.loads((tmp_path / "candidates.json").read_text())
    with (tmp_path / "ranking.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    everyone = [cost(architecture) for _, architecture in read_ranking(tmp_path)]
    assert [float(row["cost"]) for row in rows] == everyone
    assert [one["cost"] for one in ranked] == everyone[:4]
    assert {row["feasible"] for row in rows} == {"True"} and all(one["feasible"] for one in ranked)


def test_a_limit_of_milliseconds_is_of_a_table_that_stays_with_the_search(
    lesions: Path, tmp_path: Path
) -> None:
    record = search_on(lesions, out=tmp_path / "a", settings=settings(**{"search.most_milliseconds": 1e4}))
    limit = record["limit"]
    assert 0 < limit["cost"] <= 1e4 and limit["measured_milliseconds"] > 0 and limit["threads"] >= 1
    table = json.loads((tmp_path / "a" / "latencies.json").read_text())
    assert {"stem", "classifier", "sep_conv_5x5"} <= {row["kind"] for row in table["layers"]}


def test_a_limit_out_of_reach_is_refused_before_anything_is_written(lesions: Path, tmp_path: Path) -> None:
    with pytest.raises(LimitError, match=r"limit is 10 parameters in enas7 of 4 filters.* has [\d,]+: allow"):
        search_on(lesions, out=tmp_path / "none", settings=settings(**{"search.most_parameters": 10}))
    assert not (tmp_path / "none").exists()


def test_a_search_with_a_limit_is_another_than_one_without_or_of_other_filters(
    lesions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trials.pipeline.search.Search.go", lambda *_: pytest.fail("begun"))
    limited = settings(**{"search.most_parameters": 10**6})
    with pytest.raises(pytest.fail.Exception):
        search_on(lesions, out=tmp_path / "out", settings=limited)
    wider = settings(**{"search.most_parameters": 10**6, "retrain.filters": 8})
    for other, words in ((settings(), "most_parameters"), (wider, "limit.filters: 4, not 8")):
        with pytest.raises(RunFolderError, match=words):
            search_on(lesions, out=tmp_path / "out", settings=other)


def test_a_finished_search_is_reported_and_not_repeated(
    searched: Path, lesions: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(searched, copy)
    before = {path.name: path.stat().st_mtime_ns for path in copy.iterdir() if path.suffix == ".json"}
    record = search_on(lesions, out=copy, settings=settings(), folds=2, fold=0)
    assert record == json.loads((searched / "search.json").read_text())
    assert before == {path.name: path.stat().st_mtime_ns for path in copy.iterdir() if path.suffix == ".json"}


def test_ranking_that_is_missing_or_damaged_is_refused_by_name(searched: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"ranking\.csv: no such file.*search again"):
        read_ranking(tmp_path)
    damaged = (searched / "ranking.csv").read_text().replace(" ", " 9 ", 1)
    (tmp_path / "ranking.csv").write_text(damaged)
    with pytest.raises(ValueError, match=r"ranking\.csv: no ranking"):
        read_ranking(tmp_path)
    header, _, rest = (searched / "ranking.csv").read_text().partition("\n")
    (tmp_path / "ranking.csv").write_text(f"{header}\nnan,{rest.partition(',')[2]}")
    with pytest.raises(ValueError, match="a score is nan"):
        read_ranking(tmp_path)


def test_the_record_says_how_well_the_ranking_repeats_itself(searched: Path) -> None:
    told = json.loads((searched / "search.json").read_text())["reliability"]
    assert (told["measure"], told["reward_images"]) == ("accuracy", min(16, told["images"]))
    for name in ("accuracy", "log_loss"):  # half of these few images has one class alone
        assert 0 <= told[name]["tau_ceiling"] <= told[name]["reliability"] ** 0.5 <= 1
        assert told[name]["reward_error"] >= 0 and -1 <= told[name]["halves"] <= 1


def test_rewards_by_other_measures_on_all_images_rank_by_these(lesions: Path, tmp_path: Path) -> None:
    changes = {"search.reward_images": 1000, "search.reward_dropout": False, "search.reward_shared": True}
    changes |= {"search.baseline": "leave_one_out", "search.epochs": 1, "data.validation_fraction": 0.3}
    for reward, metric in (("log_loss", "-val_loss"), ("auc", "val_auc")):
        chosen, out = settings(**changes, **{"search.reward": reward}), tmp_path / reward
        record = search_on(lesions, out=out, settings=chosen)
        assert record["metric"] == metric
        told, split = record["reliability"], Split.load(lesions, chosen)
        assert (told["measure"], told["reward_images"]) == (reward, len(split.validation))
        assert told[reward]["reward_error"] > 0
        said, labels = read_ranked_predictions(out, split), split.data.labels[split.validation]
        once = np.ones((1, len(labels)))
        measured = [MEASURES[reward](labels, one)(once)[0] for one in said]
        sign = -1 if reward == "log_loss" else 1
        assert [score for score, _ in read_ranking(out)] == pytest.approx(
            [sign * one for one in measured], rel=1e-5
        )


def test_what_ranked_candidates_said_gives_their_scores_again(searched: Path, lesions: Path) -> None:
    split = Split.load(lesions, settings(), folds=2, fold=0)
    said = read_ranked_predictions(searched, split)
    right = said.argmax(2) == split.data.labels[split.validation]
    assert right.mean(1) == pytest.approx([score for score, _ in read_ranking(searched)])
    assert said.dtype == np.float32 and len(np.unique(said, axis=0)) > 1


def test_predictions_of_a_ranking_that_do_not_fit_are_refused_by_name(
    searched: Path, lesions: Path, tmp_path: Path
) -> None:
    split = Split.load(lesions, settings(), folds=2, fold=0)
    shutil.copy(searched / "ranking.csv", tmp_path)
    file = tmp_path / "ranking_predictions.npz"
    with pytest.raises(ValueError, match=r"ranking_predictions\.npz: no such file.*search again"):
        read_ranked_predictions(tmp_path, split)
    file.write_bytes((searched / file.name).read_bytes()[:-40])
    with pytest.raises(ValueError, match=r"ranking_predictions\.npz: no predictions of a search"):
        read_ranked_predictions(tmp_path, split)
    said = read_ranked_predictions(searched, split)
    files = [split.data.files[index] for index in split.validation]
    for changed, words in (
        ({"log_probabilities": said[1:]}, r"float32 \(5, .* expected float32 \(6, "),
        ({"log_probabilities": said * np.float32(np.nan)}, "sum is not 1"),
        ({"files": files[::-1]}, "other images"),
    ):
        np.savez_compressed(file, **{"files": files, "log_probabilities": said} | changed)
        with pytest.raises(ValueError, match=rf"ranking_predictions\.npz: .*{words}"):
            read_ranked_predictions(tmp_path, split)
    other = Split.load(lesions, settings(), folds=2, fold=1)
    with pytest.raises(ValueError, match="other images"):
        read_ranked_predictions(searched, other)


def test_a_folder_of_another_search_is_refused(searched: Path, lesions: Path) -> None:
    with pytest.raises(RunFolderError, match="seed: 0, not 1"):
        search_on(lesions, out=searched, settings=settings(), folds=2, fold=0, seed=1)


def test_few_steps_for_many_images_leave_the_controller_its_epochs(lesions: Path, tmp_path: Path) -> None:
    few = settings(
        **{"search.epochs": 4, "search.warmup_epochs": 2, "search.max_steps": 4, "search.batch_size": 4}
    )
    record = search_on(lesions, out=tmp_path, settings=few, folds=2, fold=0)
    assert record["data"]["training"] > 2 * 4, "an epoch of all images would have more steps than the search"
    assert [epoch["baseline"] != 0 for epoch in record["history"]] == [False, False, True, True]


def test_a_dry_run_says_what_it_would_cost_and_writes_nothing(lesions: Path, tmp_path: Path) -> None:
    plan = search_on(lesions, out=tmp_path / "none", settings=settings(), folds=2, fold=0, dry_run=True)
    assert plan["settings"]["search"]["epochs"] == 2
    assert plan["data"]["test"] + plan["data"]["training"] + plan["data"]["validation"] == 40
    assert plan["estimate"]["seconds"] > 0 and plan["estimate"]["disk_bytes"] > 0
    assert not (tmp_path / "none").exists()


def test_a_search_divided_among_two_processes_finds_what_one_process_finds(
    lesions: Path, tmp_path: Path
) -> None:
    # without dropout and class weights, which each process has for its own share
    alike = {"search.dropout": 0, "data.class_balance": "none"}
    one = search_on(lesions, out=tmp_path / "one", settings=settings(**alike), folds=2, fold=0)
    changes = [f"--set={name}={value}" for name, value in (TINY | alike).items()]
    command = [
        "search",
        "--data",
        str(lesions),
        "--folds",
        "2",
        "--fold",
        "0",
        "--profile",
        "quick",
        *changes,
    ]
    ran = subprocess.run(
        [sys.executable, "-m", "trials.cli", *command, *changes, "--devices", "2", "--out", "two", "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert ran.returncode == 0, ran.stderr
    assert "GLOBAL_RANK: 1, MEMBER: 2/2" in ran.stderr
    two = json.loads(ran.stdout)  # one answer: the second process says nothing
    for name in ("train_loss", "reward", "baseline"):
        assert [epoch[name] for epoch in two["history"]] == pytest.approx(
            [epoch[name] for epoch in one["history"]], abs=1e-4
        )
    rankings = [read_ranking(tmp_path / name) for name in ("one", "two")]
    assert rankings[0] == rankings[1]
    with pytest.raises(RunFolderError, match="devices: 2, not None"):
        search_on(lesions, out=tmp_path / "two", settings=settings(**alike), folds=2, fold=0)


def test_more_devices_than_a_batch_has_images_are_refused_before_anything_is_written(
    lesions: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="--devices 9: expected 1 or more"):
        search_on(lesions, out=tmp_path / "out", settings=settings(), devices=9)
    assert not (tmp_path / "out").exists()
