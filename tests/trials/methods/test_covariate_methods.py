"""Methods that are given covariates: what a network says is joined with what they say."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from sklearn.metrics import roc_auc_score

from tests.helpers.images import write_table
from tests.helpers.runs import train_on
from trials.data.load import load
from trials.data.phantoms import make_phantoms
from trials.data.readers.testing import save_picture
from trials.data.split import Split
from trials.errors import DataError, ModelError, SettingsError
from trials.evaluation.decisions import log_odds_of, mean_logits
from trials.models.covariate_head import PREFIX, CovariateHead
from trials.models.model_file import load_model
from trials.pipeline.evaluate import run_evaluate
from trials.report.comparison import read_comparison
from trials.report.data_set import read_data
from trials.runs.finished import read_run
from trials.runs.predictions import read_predictions
from trials.settings.load import load_settings

TINY = {"data.image_size": 32, "retrain.epochs": 1, "retrain.max_steps": 2, "retrain.filters": 2}
COLUMNS = ["age", "device"]


@pytest.fixture(scope="module")
def ill(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images that tell nothing, of patients whose age tells much; some have none. There are two devices."""
    folder = tmp_path_factory.mktemp("ill")
    random = np.random.default_rng(0)
    cases = []
    for i in range(60):
        save_picture(folder / f"{i:02}.png", i)
        age = "" if i % 9 == 5 else str(round(random.normal(40 + 25 * (i % 2), 12)))
        cases.append(
            (f"{i:02}.png", ("benign", "malignant")[i % 2], f"P{i}", age, ("GE", "Philips")[i % 3 % 2])
        )
    write_table(folder / "manifest.csv", ("file", "label", "patient", "age", "device"), *cases)
    return folder


def train(
    data: Path, out: Path, method: str = "cnn3", covariates: object = COLUMNS, **more: Any
) -> dict[str, Any]:
    given = {**TINY, "data.covariates": covariates, **more.pop("overrides", {})}
    return train_on(data, method, out=out, profile="quick", overrides=given, folds=2, fold=0, **more)


@pytest.fixture(scope="module")
def alone(ill: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("alone") / "run"
    train(ill, out, covariates=[])
    return out


@pytest.fixture(scope="module")
def joined(ill: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("joined") / "run"
    train(ill, out)
    return out


def test_the_network_is_trained_as_without_covariates(alone: Path, joined: Path) -> None:
    plain, weights = load_file(alone / "model.safetensors"), load_file(joined / "model.safetensors")
    beside = {name for name in weights if name.startswith(PREFIX)}
    assert weights.keys() - beside == plain.keys() and beside
    assert all((weights[name] == plain[name]).all() for name in plain)
    more = read_run(joined).metrics["parameters"] - read_run(alone).metrics["parameters"]
    assert more == 2 * 4 + 2  # of age, that it is missing, and two devices, for two classes


def test_covariates_that_tell_the_class_lift_what_is_said(alone: Path, joined: Path) -> None:
    areas = [read_run(run).metrics["test"]["auc"] for run in (alone, joined)]
    assert areas[1] > areas[0] + 0.1 and areas[1] > 0.8


def test_a_model_says_again_what_it_said_in_its_run(ill: Path, joined: Path) -> None:
    run, model = read_run(joined), load_model(joined)
    data = load(ill, covariates=COLUMNS)
    written = read_predictions(joined / "predictions.csv", run.classes)
    test = np.array([data.files.index(file) for file in written.files])
    images = [data.images[i] for i in test]
    again = model.log_odds(images, covariates=data.cells(test))
    assert again == pytest.approx(log_odds_of(written.logits, 1), abs=1e-4)
    assert model.description.covariates and model.description.covariates.names == ("age", "device")
    with pytest.raises(
        ModelError, match="takes covariates beside the images; give age, device, a cell an image"
    ):
        model.logits(images)
    with pytest.raises(ModelError, match="give device"):
        model.logits(images, covariates={"age": ["40"] * len(images)})
    with pytest.raises(ModelError, match="1 cells of a covariate for"):
        model.logits(images, covariates={"age": ["40"], "device": ["GE"]})


def test_a_refit_keeps_the_shares_that_the_validation_images_chose(
    ill: Path, joined: Path, tmp_path: Path
) -> None:
    train(ill, tmp_path / "run", overrides={"protocol.refit": True})
    first, again = load_model(joined).head, load_model(tmp_path / "run").head
    assert first and again
    assert (first.get_buffer("shares") == again.get_buffer("shares")).all()
    assert not (first.layer.weight == again.layer.weight).all()
    assert load_model(joined).description.covariates == load_model(tmp_path / "run").description.covariates


def test_covariates_alone_are_a_method(ill: Path, tmp_path: Path) -> None:
    found = train(ill, tmp_path / "run", "covariates")
    assert found["test"]["auc"] > 0.8 and found["parameters"] is None
    with pytest.raises(SettingsError, match=r"learns from data\.covariates alone, and none are set"):
        train(ill, tmp_path / "none", "covariates", covariates=[])


def test_a_classifier_of_images_takes_covariates_behind_its_features(ill: Path, tmp_path: Path) -> None:
    areas = [
        train(ill, tmp_path / str(len(columns)), "hog", columns)["test"]["auc"] for columns in ([], COLUMNS)
    ]
    assert areas[1] > areas[0] + 0.1


def test_an_external_test_reads_the_models_columns(ill: Path, joined: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    random = np.random.default_rng(1)
    cases = []
    for i in range(40):
        save_picture(other / f"{i:02}.png", 100 + i)
        age = str(round(random.normal(40 + 25 * (i % 2), 12)))
        cases.append((f"{i:02}.png", ("benign", "malignant")[i % 2], age, "Sony"))
    write_table(other / "manifest.csv", ("file", "label", "age", "device"), *cases)
    (found,) = run_evaluate([joined], tmp_path / "out", other)["external"]["methods"].values()
    assert found["frozen"]["auc"] > 0.8
    train(ill, tmp_path / "run", external=other)
    run = read_run(tmp_path / "run")
    for said in (run.record["data"]["notes"], run.warnings):
        assert "40 of 40 external images have a value that no training image has" in " ".join(said)
    assert not any("external" in warning for warning in load_model(run.folder).description.warnings)
    write_table(other / "manifest.csv", ("file", "label", "age"), *(case[:3] for case in cases))
    with pytest.raises(DataError, match="no column 'device'"):
        run_evaluate([joined], tmp_path / "again", other)


def test_an_ensemble_passes_covariates_on_to_its_members(lesions: Path, tmp_path: Path) -> None:
    fold0, columns = tmp_path / "fold0", ["width", "height"]
    members = [train(lesions, fold0 / name, name, columns) for name in ("cells7", "hog_geometry")]
    name = "cells7_hog_geometry"
    mean = train(lesions, fold0 / name, name, columns)
    run = read_run(fold0 / name)
    said = [
        read_predictions(fold0 / one / "predictions.csv", run.classes).logits
        for one in ("cells7", "hog_geometry")
    ]
    written = read_predictions(fold0 / name / "predictions.csv", run.classes).logits
    assert written == pytest.approx(mean_logits(said, 1), abs=1e-6)
    assert all(found["data_digest"] == mean["data_digest"] for found in members)
    make_phantoms(tmp_path / "elsewhere", count=12, side=40, seed=7)
    train(lesions, tmp_path / "fold0" / "again" / name, name, columns, external=tmp_path / "elsewhere")


def test_cells_that_no_training_image_has_are_warned_of_once_where_members_join(
    lesions: Path, tmp_path: Path
) -> None:
    widths, larger = ["width", "height"], tmp_path / "larger"
    shutil.copytree(lesions, larger)
    tested = Split.load(lesions, load_settings("quick"), folds=2, fold=0).test[0]
    manifest, file = larger / "manifest.csv", load(lesions).files[tested]
    lines = manifest.read_text().splitlines()  # of file, label, width, height, ...
    cells = [line.split(",") for line in lines]
    write_table(manifest, *([*row[:2], "90", *row[3:]] if row[0] == file else row for row in cells))
    train(larger, tmp_path / "hog", "hog", widths)
    warned = [line for line in read_run(tmp_path / "hog").warnings if line.startswith("covariate ")]
    assert any("test images lie beyond the training images'" in line for line in warned)
    train(
        larger,
        tmp_path / "ensemble",
        "ensemble",
        widths,
        overrides={"ensemble.members": ["hog", "covariates"]},
    )
    assert [line for line in read_run(tmp_path / "ensemble").warnings if "covariate " in line] == warned


def test_a_report_finds_the_data_again(ill: Path, joined: Path) -> None:
    found = read_data(ill, read_comparison([joined]))
    assert found.data.covariates == ("age", "device")


def test_geometry_knows_the_boxes_of_masks_as_covariates_do(lesions: Path, tmp_path: Path) -> None:
    columns = ["width", "height", "ratio"]
    given = {"data.log_covariates": []}
    by_column = train(lesions, tmp_path / "columns", "covariates", columns, overrides=given)
    geometry = train(lesions, tmp_path / "geometry", "geometry", [])
    assert by_column["test"]["auc"] == pytest.approx(geometry["test"]["auc"], abs=0.05)


def test_damaged_weights_of_covariates_are_named(joined: Path, tmp_path: Path) -> None:
    (tmp_path / "model.json").write_bytes((joined / "model.json").read_bytes())
    plain = {
        name: part for name, part in load_file(joined / "model.safetensors").items() if PREFIX not in name
    }
    save_file(plain, tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match=r"not the weights that model\.json describes"):
        load_model(tmp_path)


# The head by itself


def test_shares_are_those_of_what_new_images_bear_out() -> None:
    random = np.random.default_rng(0)
    labels = np.arange(300) % 3
    covariates = np.column_stack([labels == 1, random.normal(labels == 2, 1)]).astype(np.float32)
    head = CovariateHead(2, 3)
    head.fit_layer(covariates, labels, balanced=True)
    overconfident = 6 * (np.eye(3)[labels] + random.normal(0, 1, (300, 3)))
    head.fit_shares(overconfident, covariates, labels)
    network, layer = head.get_buffer("shares").tolist()
    assert network < 0.5 < layer
    both = head.join(overconfident, covariates)
    areas = [roc_auc_score(labels == 2, logits[:, 2]) for logits in (overconfident, both)]
    assert areas[1] > areas[0]
    head.fit_shares(random.normal(0, 1, (300, 3)), covariates, labels)
    assert head.get_buffer("shares")[0] < 0.3  # nothing in the network
    head.fit_shares(overconfident, random.normal(0, 1, (300, 2)).astype(np.float32), labels)
    assert head.get_buffer("shares")[1] < 0.1 and (head.get_buffer("shares") >= 0).all()


def test_a_class_without_training_images_is_no_error() -> None:
    head = CovariateHead(1, 3)
    head.fit_layer(np.array([[0.0], [1], [0], [1]], dtype=np.float32), np.array([0, 2, 0, 2]), balanced=False)
    assert (head.layer.weight[1] == 0).all() and head.layer.weight[2] > 0 > head.layer.weight[0]
