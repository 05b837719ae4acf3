"""Searching: what it leaves, what it never sees, and that the same seed comes to the same cells."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from search_space import Architecture
from trials.data.folds import assign_folds
from trials.data.sources import load
from trials.leaks import LeakError
from trials.retrain import run_retrain
from trials.run_folder import RunFolderError
from trials.search import read_ranking, run_search
from trials.settings import Settings, load_settings
from trials.training import CHECKPOINT, SaveEachEpoch

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
    run_search(lesions, out=out, settings=settings(), folds=2, fold=0)
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
    metrics = run_retrain(lesions, found, out=tmp_path / "right", fold=0, **common)
    assert metrics["search_overlap"] == "none"
    with pytest.raises(LeakError, match=r"--folds 2 --fold 1"):
        run_retrain(lesions, found, out=tmp_path / "wrong", fold=1, **common)
    assert not (tmp_path / "wrong").exists()


@pytest.mark.parametrize("strategy", ["enas", "random"])
def test_the_same_seed_gives_the_same_files_also_after_an_interruption(
    strategy: str, lesions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = settings(**{"search.strategy": strategy})
    run_search(lesions, out=tmp_path / "whole", settings=chosen, seed=5)

    class Killed(Exception):
        pass

    def save_and_die(self: SaveEachEpoch, *arguments: Any) -> None:
        save(self, *arguments)
        raise Killed

    save = SaveEachEpoch.on_train_epoch_end
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(SaveEachEpoch, "on_train_epoch_end", save_and_die)
        run_search(lesions, out=tmp_path / "killed", settings=chosen, seed=5)
    assert (tmp_path / "killed" / CHECKPOINT).exists()
    run_search(lesions, out=tmp_path / "killed", settings=chosen, seed=5)
    for name in ("architecture.json", "candidates.json", "ranking.csv"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_finished_search_is_reported_and_not_repeated(
    searched: Path, lesions: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(searched, copy)
    before = {path.name: path.stat().st_mtime_ns for path in copy.iterdir() if path.suffix == ".json"}
    record = run_search(lesions, out=copy, settings=settings(), folds=2, fold=0)
    assert record == json.loads((searched / "search.json").read_text())
    assert before == {path.name: path.stat().st_mtime_ns for path in copy.iterdir() if path.suffix == ".json"}


def test_ranking_that_is_missing_or_damaged_is_refused_by_name(searched: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"ranking\.csv: no such file.*search again"):
        read_ranking(tmp_path)
    damaged = (searched / "ranking.csv").read_text().replace(" ", " 9 ", 1)
    (tmp_path / "ranking.csv").write_text(damaged)
    with pytest.raises(ValueError, match=r"ranking\.csv: no ranking"):
        read_ranking(tmp_path)


def test_a_folder_of_another_search_is_refused(searched: Path, lesions: Path) -> None:
    with pytest.raises(RunFolderError, match="seed: 0, not 1"):
        run_search(lesions, out=searched, settings=settings(), folds=2, fold=0, seed=1)


def test_a_dry_run_says_what_it_would_cost_and_writes_nothing(lesions: Path, tmp_path: Path) -> None:
    plan = run_search(lesions, out=tmp_path / "none", settings=settings(), folds=2, fold=0, dry_run=True)
    assert plan["settings"]["search"]["epochs"] == 2
    assert plan["data"]["test"] + plan["data"]["training"] + plan["data"]["validation"] == 40
    assert plan["estimate"]["seconds"] > 0 and plan["estimate"]["disk_bytes"] > 0
    assert not (tmp_path / "none").exists()
