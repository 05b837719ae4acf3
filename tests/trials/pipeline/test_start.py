"""Searches and retrainings that start from the shared weights of another data set's search."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from tests.helpers.runs import retrain_on, search_on, train_on
from trials.cli import main
from trials.data.phantoms import make_phantoms
from trials.data.split import Split
from trials.errors import LeakError, SettingsError
from trials.models.shared_weights import SharedWeights
from trials.pipeline.evaluate import run_evaluate
from trials.pipeline.search import Search
from trials.settings.load import load_settings
from trials.settings.schema import Settings

TINY = {
    "data.image_size": 16,
    "search.filters": 2,
    "search.nodes": 2,
    "search.epochs": 1,
    "search.controller_updates": 1,
    "search.controller_samples": 2,
    "search.final_samples": 3,
    "retrain.filters": 2,
    "retrain.epochs": 1,
}
FOLD: dict[str, Any] = {"folds": 2, "fold": 0}


def settings(**changes: Any) -> Settings:
    return load_settings("quick", TINY | {name.replace("__", "."): value for name, value in changes.items()})


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another data set."""
    folder = tmp_path_factory.mktemp("others") / "elsewhere"
    make_phantoms(folder, count=24, side=40, seed=9)
    return folder


@pytest.fixture(scope="module")
def source(others: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search on all of it."""
    out = tmp_path_factory.mktemp("source") / "search"
    search_on(others, out=out, settings=settings())
    return out


@pytest.fixture(scope="module")
def started(source: Path, lesions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search on the lesions that started from it."""
    out = tmp_path_factory.mktemp("started") / "search"
    search_on(lesions, out=out, settings=settings(search__start=str(source)), **FOLD)
    return out


def read(file: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(file.read_text())
    return told


def test_a_search_starts_from_the_shared_weights_of_another(
    source: Path, started: Path, lesions: Path, tmp_path: Path
) -> None:
    chosen = settings(search__start=str(source))
    split = Split.load(lesions, chosen, **FOLD)
    begun = dict(Search(split, chosen, tmp_path / "out").example.named_parameters())
    given = load_file(source / "shared.safetensors")
    assert begun.keys() == given.keys()
    assert all(torch.equal(begun[name], given[name]) for name in given if not name.startswith("classifier"))
    record = read(started / "search.json")
    assert (
        record["starts_from"]["data"] == "synthetic-elsewhere" and len(record["starts_from"]["sha256"]) == 64
    )
    (before,) = record["seen"]["seen_before"]
    assert before["data_digest"] == read(source / "search.json")["data_digest"] != record["data_digest"]


def test_what_a_network_started_from_is_told_and_is_no_external_test(
    source: Path, started: Path, lesions: Path, others: Path, tmp_path: Path
) -> None:
    found = started / "architecture.json"
    for name, chosen in {"searched": settings(), "both": settings(retrain__start=str(source))}.items():
        metrics = retrain_on(lesions, found, out=tmp_path / name, layout="enas4", settings=chosen, **FOLD)
        assert (metrics["saw_other_data"], metrics["other_data"]) == (True, ["synthetic-elsewhere"])
        with pytest.raises(LeakError, match=r"started from has seen 24 of the 24 test images"):
            run_evaluate([tmp_path / name], tmp_path / "evaluation", others)
    assert read(tmp_path / "both" / "run.json")["identity"]["starts_from"]["data"] == "synthetic-elsewhere"
    assert "starts_from" not in read(tmp_path / "searched" / "run.json")["identity"]
    for section in ("search", "retrain"):
        overrides = TINY | {f"{section}.start": str(source)}
        with pytest.raises(LeakError, match="24 of the 24 external images"):
            train_on(
                lesions,
                "enas7",
                out=tmp_path / section / "enas7",
                profile="quick",
                overrides=overrides,
                external=others,
                **FOLD,
            )
        assert not (tmp_path / section).exists()


def test_a_start_may_have_seen_neither_test_nor_validation_images(
    source: Path, others: Path, tmp_path: Path
) -> None:
    shared = SharedWeights.read(str(source), "search.start")
    shared.refuse_seen(
        Split.load(others, settings())
    )  # its own split, whose validation images trained no weight
    for place, part in (({"seed": 1}, "validation"), (FOLD, "validation")):
        with pytest.raises(LeakError, match=rf"the search in .* has seen \d+ of the \d+ {part} images"):
            shared.refuse_seen(Split.load(others, settings(), **place))
    again = tmp_path / "again"
    for file in others.glob("*.png"):
        (again / file.name.split("_")[1]).mkdir(parents=True, exist_ok=True)
        Image.open(file).save(again / file.name.split("_")[1] / f"{file.stem}.jpg", quality=90)
    chosen = settings(search__start=str(source))
    with pytest.raises(LeakError, match="has seen"):
        search_on(again, out=tmp_path / "out", settings=chosen, **FOLD)
    assert not (tmp_path / "out").exists()


def test_networks_of_a_set_may_start_from_the_search_of_their_own_training_images(
    source: Path, others: Path
) -> None:
    shared, split = SharedWeights.read(str(source), "retrain.start"), Split.load(others, settings())
    for network in split.members(3):  # each from a seed of its own
        assert np.array_equal(network.training, split.training)
        shared.refuse_seen(network)
    for other in split.cross_fitted(2)[1]:  # whose validation images have trained weights
        with pytest.raises(LeakError, match="validation images"):
            shared.refuse_seen(other)


def test_a_start_that_does_not_fit_is_refused_before_anything_is_written(
    source: Path, lesions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start = {"search__start": str(source)}
    with pytest.raises(SettingsError, match=r"searched with search\.filters = 2, here search\.filters = 4"):
        search_on(lesions, out=tmp_path / "out", settings=settings(search__filters=4, **start))
    start = {"retrain__start": str(source)}
    with pytest.raises(SettingsError, match=r"search\.filters = 2, here retrain\.filters = 4"):
        wide = settings(retrain__filters=4, **start)
        retrain_on(lesions, source / "architecture.json", out=tmp_path / "out", layout="enas3", settings=wide)
    overrides = TINY | {"retrain.start": str(source)}
    with pytest.raises(SettingsError, match=r"no normal cell of 1 times .* search the source with as many"):
        train_on(lesions, "enas7", out=tmp_path / "out" / "x", profile="quick", overrides=overrides)
    with pytest.raises(SettingsError, match=r"retrain\.start: .* KnownNetwork"):
        train_on(lesions, "cnn3", out=tmp_path / "out", profile="quick", overrides=overrides)
    arguments = ["search", "--data", str(lesions), "--out", str(tmp_path / "out"), "--start", str(tmp_path)]
    with pytest.raises(SystemExit):
        main(arguments)
    assert "expected the folder of a finished search" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
