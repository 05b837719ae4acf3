"""One-shot search among Boosted EfficientNet's changes, from ImageNet weights, and retraining."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from nni.nas.space import model_context

from search_space import BoostedArchitecture
from search_space.boosted_efficientnet import BoostedEfficientNet, imagenet_weights
from search_space.boosted_space import SHARED
from tests.helpers.runs import rank_on, retrain_on, search_on, train_on
from trials.data.split import Split
from trials.errors import SettingsError
from trials.methods.registry import METHODS
from trials.models.model_file import load_model
from trials.pipeline.search import Search
from trials.runs.layout import ARCHITECTURE, CELLS_PNG, METRICS, RANKING, SEARCH_FILE, search_folder
from trials.settings.load import load_settings
from trials.training.checkpoint import SaveEachEpoch

pytest.importorskip("timm")
TINY: dict[str, Any] = {
    "data.image_size": 40,
    "retrain.epochs": 1,
    "retrain.max_steps": 2,
    "search.epochs": 2,
    "search.max_steps": 4,
    "search.batch_size": 4,
    "search.warmup_epochs": 1,
    "search.final_samples": 4,
    "search.controller_updates": 1,
    "search.controller_samples": 2,
}
PROFILE = "patches_pretrained"


def train(patches: Path, method: str, out: Path, **more: Any) -> dict[str, Any]:
    return train_on(patches, method, out=out, profile=PROFILE, overrides=TINY, **more)


@pytest.fixture(scope="module")
def home(patches: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of both methods."""
    home = tmp_path_factory.mktemp("boosted-search")
    for method in ("enas_boosted", "random_boosted"):
        train(patches, method, home / method)
    return home


def read(file: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(file.read_text())
    return told


@pytest.mark.parametrize(("method", "strategy"), [("enas_boosted", "enas"), ("random_boosted", "random")])
def test_a_search_ranks_the_space_and_its_best_is_retrained(method: str, strategy: str, home: Path) -> None:
    search = home / search_folder("boosted", strategy)
    record, found = read(search / SEARCH_FILE), read(search / ARCHITECTURE)
    rows = list(csv.DictReader((search / RANKING).read_text().splitlines()))
    assert list(rows[0]) == ["score", *SHARED] and len(rows) == record["scored"] == 4
    assert found == {label: rows[0][label] for label in SHARED}
    assert record["saw_other_data"] and record["settings"]["boosted"]["variant"] == "lite0"
    assert record["settings"]["search"]["strategy"] == strategy and record["metric"] == "-val_loss"
    assert not (search / CELLS_PNG).exists()

    metrics = read(home / method / METRICS)
    assert metrics["saw_other_data"] and metrics["search_overlap"] == "none" and metrics["layout"] is None
    network = load_model(home / method).description.network  # type: ignore[attr-defined]
    chosen = BoostedArchitecture.from_sample(found).chosen
    assert {label: getattr(network, label) for label in SHARED} == chosen


def test_the_shared_weights_start_from_imagenets(patches: Path, tmp_path: Path) -> None:
    settings = load_settings(PROFILE, TINY | {"search.space": "boosted"})
    space = Search(Split.load(patches, settings), settings, tmp_path).space()
    stored = imagenet_weights("lite0").get_state_dict(progress=False, check_hash=True)["conv_stem.weight"]
    stems = [weight for name, weight in space.named_parameters() if weight.shape == stored.shape]
    assert len(stems) == 2 and all(torch.equal(stem, stored) for stem in stems)  # to be trained, and kept
    assert settings.search.optimizer == "adamw" and settings.search.learning_rate == 0.0005


def test_frozen_stages_keep_imagenets_weights_and_the_others_learn(patches: Path, tmp_path: Path) -> None:
    changes = TINY | {"boosted.frozen": 3, "boosted.attention": "cbam"}
    out = tmp_path / "run"
    train_on(patches, "boosted_baseline", out=out, profile=PROFILE, overrides=changes)
    trained = load_model(out).network  # type: ignore[attr-defined]
    assert all(weight.requires_grad for weight in trained.parameters())  # those of frozen stages, for maps
    with model_context({"attention": "library", "downsampling": 32, "fusion": False, "cropping": "none"}):
        start = BoostedEfficientNet("lite0", weights=imagenet_weights("lite0")).features
    learned = {
        int(name.split(".")[1])
        for name, weight in start.named_parameters("features")
        if not torch.equal(weight, trained.get_parameter(name))
    }
    assert learned == {4, 5, 6, 7, 8}
    assert trained.get_parameter("features.1.1.spatial.weight").abs().max() > 0  # what is added learns


def test_an_interrupted_search_ends_as_an_uninterrupted_one(
    home: Path, patches: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = METHODS["enas_boosted"].settings(load_settings(PROFILE, TINY))
    save = SaveEachEpoch.on_train_epoch_end

    class Killed(Exception):
        pass

    def save_and_die(self: Any, *arguments: Any) -> None:
        save(self, *arguments)
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(SaveEachEpoch, "on_train_epoch_end", save_and_die)
        search_on(patches, out=tmp_path / "search", settings=settings)
    search_on(patches, out=tmp_path / "search", settings=settings)
    whole = home / search_folder("boosted", "enas")
    assert (tmp_path / "search" / RANKING).read_bytes() == (whole / RANKING).read_bytes()


def test_what_the_space_has_not_is_refused(patches: Path, tmp_path: Path) -> None:
    boosted = {"search.space": "boosted"}
    for changes, words in (
        ({"search.most_parameters": 5}, r"search\.most_parameters is for cells"),
        ({"search.finalists": 3}, r"search\.finalists is for cells"),
        ({"search.start": "runs/search"}, r"search\.start is for cells"),
        ({"boosted.fusion": True}, r"boosted\.fusion is among what search\.space = boosted searches"),
        ({"boosted.pretrained": False}, "starts from ImageNet weights"),
    ):
        with pytest.raises(SettingsError, match=words):
            load_settings(PROFILE, TINY | boosted | changes)
    with pytest.raises(SettingsError, match=r"boosted\.frozen = 3 would keep random weights"):
        load_settings("cpu", {"boosted.frozen": 3})
    with pytest.raises(SettingsError, match="boosted: enas7 is of another space"):
        METHODS["enas7"].settings(load_settings(PROFILE, boosted))
    with pytest.raises(SettingsError, match="enas_boosted is of another space"):
        METHODS["enas_boosted"].settings(load_settings(PROFILE, {"search.space": "cells"}))
    with pytest.raises(SettingsError, match="rank is of cells"):
        rank_on(patches, 0, out=tmp_path / "ranked", profile=PROFILE, overrides=boosted)
    with pytest.raises(SettingsError, match="retrain is of cells"):
        settings = load_settings(PROFILE, boosted)
        retrain_on(patches, tmp_path / "none.json", out=tmp_path / "retrained", settings=settings)
    settings = load_settings(PROFILE, TINY | boosted | {"data.image_size": 24})
    with pytest.raises(ValueError, match="downsampling by 32 leaves no map of images of 24x24"):
        search_on(patches, out=tmp_path / "search", settings=settings)
    assert not list(tmp_path.iterdir())
