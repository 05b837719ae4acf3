"""A cross-fit: several trainings of a method, each without a part of the images that it then predicts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers.runs import train_on
from trials.data.split import Split
from trials.errors import DataError, SettingsError
from trials.evaluation.decisions import mean_logits
from trials.inference.predict import run_predict
from trials.runs.collect import collect
from trials.runs.predictions import Predicted, classes_of, read_predictions
from trials.settings.load import load_settings
from trials.stage import run_stage

TINY = {"data.image_size": 24, "retrain.epochs": 1, "retrain.filters": 2}
CROSS = {**TINY, "protocol.cross_fit": 2, "ensemble.members": ["cnn3", "cells7"]}


@pytest.fixture(scope="module")
def out(lesions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of an ensemble of two methods, of which one part had been trained before."""
    out = tmp_path_factory.mktemp("crossed")
    parameters = {"stage": "train", "method": "cnn3", "folds": 2, "fold": 0, "part": 1, "parts": 2, **TINY}
    of_data = {name: value for name, value in parameters.items() if name in TINY}
    parameters = {name: value for name, value in parameters.items() if name not in TINY}
    run_stage(parameters, lesions, out, "quick", of_data=of_data)
    before = (out / "fold0/part1of2/cnn3/run.json").stat()
    train_on(
        lesions, "ensemble", out=out / "fold0/ensemble", profile="quick", overrides=CROSS, folds=2, fold=0
    )
    assert (out / "fold0/part1of2/cnn3/run.json").stat() == before  # it was taken as it was
    return out


def said(folder: Path, name: str = "predictions.csv") -> Predicted:
    return read_predictions(folder / name, classes_of(metrics(folder)))


def metrics(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
    return found


def test_each_image_outside_the_test_is_predicted_by_the_model_that_has_not_seen_it(
    out: Path, lesions: Path
) -> None:
    settings = load_settings("quick", CROSS)
    split = Split.load(lesions, settings, folds=2, fold=0)
    _, parts = split.cross_fitted(2)
    groups = np.array(split.data.groups)
    together = said(out / "fold0/cnn3", "validation_predictions.csv")
    assert sorted(together.files) == sorted(split.data.files[i] for i in split.development)
    by_file = dict(zip(together.files, together.logits.tolist(), strict=True))
    for part in parts:
        assert not np.isin(groups[part.training], groups[part.validation]).any()
        j, k = part.part or (0, 0)
        alone = said(out / f"fold0/part{j}of{k}/cnn3", "validation_predictions.csv")
        assert sorted(alone.files) == sorted(split.data.files[i] for i in part.validation)
        assert [by_file[file] for file in alone.files] == alone.logits.tolist()


def test_test_images_get_the_mean_of_the_parts_and_so_do_new_ones(out: Path, lesions: Path) -> None:
    parts = [said(out / f"fold0/part{j}of2/cnn3") for j in range(2)]
    together = said(out / "fold0/cnn3")
    assert together.logits == pytest.approx(mean_logits([part.logits for part in parts], 1))
    ensemble = said(out / "fold0/ensemble")
    weights = metrics(out / "fold0/ensemble")["weights"]
    assert list(weights) == ["cnn3", "cells7"] and sum(weights.values()) == pytest.approx(1)
    found = run_predict(out / "fold0/ensemble", [lesions / file for file in ensemble.files])
    assert [row["log_odds"] for row in found["predictions"]] == pytest.approx(ensemble.log_odds, abs=1e-4)


def test_the_parts_take_no_part_in_a_comparison_of_their_own(out: Path) -> None:
    assert sorted(run.method for run in collect([out]).runs) == ["cells7", "cnn3", "ensemble"]


@pytest.mark.parametrize(("method", "trainings"), [("hog_cells", 1), ("hog", 2)])
def test_where_parts_differ_by_seeds_alone_a_fit_without_a_seed_is_trained_once(
    method: str, trainings: int, patches: Path, tmp_path: Path
) -> None:
    """HOG's SVM draws the folds that choose its C; that of single cells has nothing to draw."""
    given = {"data.positive": "1", "protocol.cross_fit": 2}
    train_on(patches, method, out=tmp_path / "crossed" / method, overrides=given)
    assert len(list(tmp_path.glob(f"crossed/**/{method}/metrics.json"))) == (1 if trainings == 1 else 3)
    train_on(patches, method, out=tmp_path / "alone" / method, overrides={"data.positive": "1"})
    together, alone = said(tmp_path / "crossed" / method), said(tmp_path / "alone" / method)
    assert np.array_equal(together.logits, alone.logits) == (trainings == 1)


def test_more_parts_than_groups_of_a_class_are_refused(lesions: Path) -> None:
    split = Split.load(lesions, load_settings("quick", TINY), folds=2, fold=0)
    whole, parts = split.cross_fitted(2)
    assert np.array_equal(whole.validation, np.sort(np.concatenate([one.validation for one in parts])))
    assert [one.seed for one in parts] == [0, 1]
    with pytest.raises(DataError, match="cannot be split into 50 parts with every class in each"):
        split.cross_fitted(50)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"ensemble.members": ["cnn3"]}, "expected two methods or more"),
        ({"ensemble.members": ["cnn3", "ensemble"]}, "no ensemble"),
        ({"ensemble.members": ["cnn3", "cels7"]}, "no method 'cels7' .nearest: cells7"),
        ({"ensemble.members": "cnn3,cnn3"}, "names of methods, all different"),
        ({"protocol.refit": True}, "leave out one"),
    ],
)
def test_what_cannot_be_joined_is_refused_before_anything_is_trained(
    changes: dict[str, Any], match: str, lesions: Path, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match=match):
        train_on(lesions, "ensemble", out=tmp_path / "one", profile="quick", overrides=CROSS | changes)
    assert not (tmp_path / "one").exists()


def test_a_part_that_is_none_is_refused(lesions: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"part 2: protocol\.cross_fit = 2 has 2 parts"):
        train_on(lesions, "cnn3", out=tmp_path / "one", profile="quick", overrides=CROSS, part=2)
