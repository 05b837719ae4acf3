"""Frozen features of networks and an SVM of them: found by name, learned from, saved, exported."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.helpers.exports import alone, shares_of
from tests.helpers.runs import train_on
from trials.data.files.decoding import decode
from trials.errors import ModelError, SettingsError
from trials.evaluation.decisions import log_odds_of
from trials.export.contents import Contents
from trials.export.export import run_export
from trials.methods.registry import find_method
from trials.models.backbones import build_backbone, head_of, load_backbone
from trials.models.classical import ClassicalDescription
from trials.models.frozen_features import start_frozen
from trials.models.model_file import load_model
from trials.models.specs import Backbone, Shape
from trials.models.square import Square
from trials.runs.finished import read_run
from trials.runs.predictions import read_predictions

NAME = "features:timm:test_convnext.r160_in1k"
SMALL: dict[str, object] = {"data.image_size": 32, "classical.mirror": True}


def backbone(name: str) -> Backbone:
    found = find_method(name).backbone
    assert found
    return found


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of weights of the network, for five other classes."""
    path = tmp_path_factory.mktemp("weights") / "known.safetensors"
    torch.manual_seed(7)
    save_file(build_backbone(backbone(NAME), Shape(3, 5, 32)).state_dict(), path)
    return path


@pytest.fixture(scope="module")
def run(lesions: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("frozen") / "run"
    given = {**SMALL, "backbone.weights": str(weights)}
    train_on(lesions, NAME, out=out, profile="quick", overrides=given, folds=2, fold=0)
    return out


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("features:timm:resnet18", "features-timm-resnet18"),
        ("features-torchvision-resnet18", "features-torchvision-resnet18"),
        ("features:efficientnet_lite0", "features-efficientnet_lite0"),
    ],
)
def test_features_of_any_network_are_a_method_with_a_name_of_its_own(given: str, name: str) -> None:
    entry = find_method(given)
    assert entry.title.name == name and entry.title.saw_other_data and entry.frozen
    assert find_method(name) == entry and find_method(name).backbone == backbone(given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("features:hog", r"hog has no published weights here; name features:efficientnet_lite0"),
        ("features:timm:resnet81", r"timm has no network 'resnet81' \(nearest: resnet18"),
    ],
)
def test_features_of_what_is_no_such_network_are_refused(given: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        find_method(given)


@pytest.mark.parametrize("name", ["timm:test_efficientnet", "torchvision:mobilenet_v3_small"])
def test_features_are_what_the_networks_own_classifier_sees(name: str) -> None:
    network, shape = backbone(name), Shape(3, 2, 32)
    torch.manual_seed(3)
    frozen = start_frozen(network, Square(32, "stretch", 3), None)
    torch.manual_seed(3)
    whole = build_backbone(network, shape).eval()
    load_backbone(whole, network, shape, None)
    grey = np.random.default_rng(0).integers(0, 256, (32, 32), dtype=np.uint8)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (frozen.card.mean, frozen.card.std))
    with torch.inference_mode():
        expected = whole(((torch.from_numpy(grey) / 255 - mean) / std)[None])
        classifier = whole.get_submodule(min(head_of(network, shape)).rpartition(".")[0])
        said = classifier(torch.from_numpy(frozen.of([grey])).float())
    torch.testing.assert_close(said, expected, atol=1e-5, rtol=1e-4)
    assert frozen.card.outputs == frozen.of([grey, grey]).shape[1]


def test_a_run_leaves_the_weights_as_they_are_and_names_them(run: Path, weights: Path) -> None:
    saved, given = load_file(run / "model.safetensors"), load_file(weights)
    kept = {name for name in given if f"backbone.{name}" in saved}
    assert given.keys() - kept == {"head.fc.weight", "head.fc.bias"}
    assert all(torch.equal(saved[f"backbone.{name}"], given[name]) for name in kept)
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["method"] == NAME.replace(":", "-") and metrics["saw_other_data"]
    assert metrics["weights"]["source"] == weights.name and metrics["parameters"] > 0 < metrics["macs"]
    model = load_model(run)
    assert any("licence" in warning for warning in model.description.warnings)
    assert isinstance(model.description, ClassicalDescription) and model.description.mirror


def test_the_model_file_says_what_the_run_said(run: Path, lesions: Path) -> None:
    written = read_predictions(run / "predictions.csv", read_run(run).classes)
    images = [decode(lesions / file) for file in written.files]
    np.testing.assert_allclose(load_model(run).log_odds(images), log_odds_of(written.logits, 1), atol=1e-4)


def test_what_it_costs_is_told_before(lesions: Path, weights: Path, tmp_path: Path) -> None:
    given = {**SMALL, "backbone.weights": str(weights)}
    place = {"out": tmp_path / "run", "folds": 2, "fold": 0}
    told = train_on(lesions, NAME, profile="quick", overrides=given, dry_run=True, **place)
    assert told["estimate"]["seconds"] > 0 and not (tmp_path / "run").exists()


def test_it_is_exported_as_one_graph_without_its_library(run: Path, lesions: Path, tmp_path: Path) -> None:
    told = run_export(run, tmp_path / "out")
    assert max(told["largest_difference"].values()) < 1e-5
    images = sorted(lesions.glob("*.png"))[:3]
    expected = load_model(run).probabilities([decode(image) for image in images])
    np.testing.assert_allclose(shares_of(alone(tmp_path / "out", *images)), expected, atol=1e-5)
    assert "timm" not in (tmp_path / "out" / "network.py").read_text()
    assert Contents.of(load_model(run)).kind == "svm of frozen features of timm:test_convnext.r160_in1k"
    assert "standardised as for the network" in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.parametrize("damage", ["missing", "not finite", "not described", "of another size"])
def test_weights_that_do_not_fit_the_description_are_refused(damage: str, run: Path, tmp_path: Path) -> None:
    weights = load_file(run / "model.safetensors")
    card = json.loads((run / "model.json").read_text())
    name = next(name for name in weights if name.endswith("stem.0.weight"))
    if damage == "missing":
        del weights[name]
    elif damage == "not finite":
        weights[name] = weights[name] * torch.nan
    elif damage == "of another size":
        card["backbone"]["outputs"] += 1
    else:
        card["backbone"] = None
    (tmp_path / "model.json").write_text(json.dumps(card))
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match=r"not the classifier that model\.json describes"):
        load_model(tmp_path)
