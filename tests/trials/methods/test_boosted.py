"""Boosted EfficientNet and ENAS on patches in colour that come with a split of their own."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import models

from search_space.boosted_efficientnet import CBAM, imagenet_weights
from tests.helpers.runs import train_on
from tests.helpers.tiny import TINY
from trials.data.load import load
from trials.data.split import Split
from trials.data.task import Task
from trials.errors import RunFolderError
from trials.inference.predict import run_predict
from trials.methods.networks import BoostedMethod
from trials.methods.registry import METHODS
from trials.models.model_file import load_model
from trials.models.specs import BoostedNetwork, Shape
from trials.models.zoo import build
from trials.pipeline.evaluate import run_evaluate, text_table
from trials.report.report import run_report, text
from trials.settings.load import load_settings
from trials.training.seeding import seed_everything

pytest.importorskip("torchvision")
SMALL = TINY | {
    "data.image_size": 40,
    "retrain.batch_size": 4,
    "search.warmup_epochs": 0,
    "search.max_steps": 3,
}
CROPPED = {"data.smallest_crop": 32}
FILES = [f"test_{index}.png" for index in range(8)]


def train(data: Path, name: str, out: Path, **more: Any) -> dict[str, Any]:
    changes = CROPPED if name in ("boosted", "boosted_cropping", "enas7") else {}
    return train_on(data, name, out=out, profile="patches", overrides=SMALL | changes, **more)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def trained(patches: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of EfficientNet and ENAS, and of all four changes with two seeds."""
    out = tmp_path_factory.mktemp("boosted")
    for name, seed in (("boosted_baseline", 0), ("boosted", 0), ("boosted", 1), ("enas7", 0)):
        train(patches, name, out / f"seed{seed}" / name, seed=seed)
    return out


def test_the_ablation_differs_by_one_change_each_and_all_four_in_the_last() -> None:
    def chosen(name: str) -> dict[str, Any]:
        settings = METHODS[name].settings(load_settings("patches"))
        return {"smallest_crop": settings.data.smallest_crop, **settings.boosted.model_dump()}

    baseline, everything = chosen("boosted_baseline"), chosen("boosted")
    changed: dict[str, Any] = {}
    for name in ("cropping", "downsampling", "attention", "fusion"):
        (change,) = chosen(f"boosted_{name}").items() - baseline.items()
        changed |= dict([change])
    assert everything == baseline | changed and len(changed) == 4


def test_the_baseline_is_the_librarys_network() -> None:
    seed_everything(0)
    ours = build(BoostedNetwork(), Shape(3, 2, 64)).eval()
    seed_everything(0)
    library = models.efficientnet_b0(num_classes=2).eval()
    images = torch.rand(2, 3, 64, 64)
    assert torch.equal(ours(images), library(images))


def test_what_starts_from_imagenet_weights_says_so_and_is_loaded_without_them(
    patches: Path, tmp_path: Path
) -> None:
    pytest.importorskip("timm")
    changes = {"boosted.variant": "lite0", "boosted.pretrained": True}
    settings = load_settings("patches", SMALL | changes)
    task = Task(Split.load(patches, settings), settings)
    stem = BoostedMethod(task).network.get_submodule("features.0.0").weight
    stored = imagenet_weights("lite0").get_state_dict(progress=False, check_hash=True)["conv_stem.weight"]
    assert torch.equal(stem, stored)
    metrics = train_on(
        patches, "boosted_baseline", out=tmp_path / "run", profile="patches", overrides=SMALL | changes
    )
    assert metrics["saw_other_data"] is True
    loaded = load_model(tmp_path / "run").network.get_submodule("features.0.0").weight
    assert not torch.equal(loaded, stored) and torch.allclose(loaded, stored, atol=0.01)


def test_weights_that_cannot_be_had_are_refused_with_what_can(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*arguments: Any, **named: Any) -> None:
        raise URLError("no such host")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", unreachable)
    network = BoostedNetwork(variant="b0", pretrained=True)
    with pytest.raises(ValueError, match=r"b0 .*no such host.*lite0 to lite2.*boosted\.pretrained=false"):
        build(network, Shape(3, 2, 64), load_settings("patches").retrain)


def test_each_choice_reaches_the_network() -> None:
    def built(**choices: Any) -> torch.nn.Module:
        return build(BoostedNetwork.model_validate(choices), Shape(3, 2, 96)).eval()

    maps = {by: built(downsampling=by).features(torch.zeros(1, 3, 96, 96)).shape[-1] for by in (32, 16, 8)}
    assert maps == {32: 3, 16: 6, 8: 12}
    assert sum(isinstance(module, CBAM) for module in built(attention="cbam").modules()) == 7
    assert built(fusion=True).classifier[1].in_features == 1280 + 40 + 112
    assert built(variant="b1").features[1][1].stochastic_depth.p != built().features[1][0].stochastic_depth.p


def test_a_run_trains_and_tests_on_the_parts_of_the_split(trained: Path, patches: Path) -> None:
    run = trained / "seed0" / "boosted"
    assert [row["file"] for row in rows(run / "predictions.csv")] == FILES
    assert {row["file"].split("_")[0] for row in rows(run / "validation_predictions.csv")} == {"valid"}
    metrics, record = (json.loads((run / name).read_text()) for name in ("metrics.json", "retrain.json"))
    assert (metrics["folds"], metrics["fold"], metrics["test"]["n"]) == (1, 0, 8)
    assert record["data"]["folds"] == "the data's own split"
    data = load(patches, positive="1")
    assert set(record["seen"]["image_digests"]) == {
        data.image_digests[i] for name in ("training", "validation") for i in data.of_split(name)
    }


def test_the_model_file_says_all_choices_and_gives_the_predictions_again(
    trained: Path, patches: Path
) -> None:
    run = trained / "seed0" / "boosted"
    assert json.loads((run / "model.json").read_text())["network"] == {
        "kind": "boosted_efficientnet",
        "variant": "b0",
        "pretrained": False,
        "downsampling": 16,
        "attention": "cbam",
        "fusion": True,
        "frozen": 0,
        "cropping": "random_center",
    }
    told = run_predict(run, [patches / file for file in FILES])
    given = [float(row["probability"]) for row in rows(run / "predictions.csv")]
    assert [one["probability"] for one in told["predictions"]] == pytest.approx(given, abs=1e-6)
    assert (run / "model.onnx").stat().st_size > 1_000_000 and list((run / "tensorboard").iterdir())
    assert load_model(run).description.positive == "1"


def test_a_published_split_is_evaluated_as_that_and_reported_over_seeds(
    trained: Path, patches: Path, tmp_path: Path
) -> None:
    runs = [trained / "seed0" / name for name in ("boosted_baseline", "boosted", "enas7")]
    table = text_table(run_evaluate(runs, tmp_path / "evaluation"))
    assert "boosted, test split" in table and "enas7, test split" in table
    assert "mean" not in table and "fold" not in table
    result = run_report([trained], tmp_path / "report", data=patches)
    row = next(row for row in result["results"] if row["method"] == "boosted")
    each = [json.loads((trained / f"seed{seed}/boosted/metrics.json").read_text()) for seed in (0, 1)]
    for column, measure in (("auc", "auc"), ("accuracy", "accuracy")):
        values = [metrics["test"][measure] for metrics in each]
        assert row[column] == pytest.approx(np.mean(values), abs=1e-6)
        assert row[f"{column}_sd_seeds"] == pytest.approx(np.std(values, ddof=1), abs=1e-6)
    assert (row["folds"], row["auc_sd"], row["seeds"]) == (None, None, "0 1")
    assert "fold" not in text(result).replace(str(tmp_path), "")
    page = (tmp_path / "report" / "report.html").read_text()
    assert "the data's own split" in page.replace("&#39;", "'") and "SD of seeds: AUC / accuracy" in page
    for words in ("test folds", "Spread over the folds", "fold 0"):
        assert words not in page


def test_enas_searches_and_retrains_on_the_same_patches(trained: Path, patches: Path) -> None:
    found, run = trained / "seed0" / "search", trained / "seed0" / "enas7"
    record, metrics = (json.loads(path.read_text()) for path in (found / "search.json", run / "metrics.json"))
    assert (record["folds"], record["fold"], record["data"]["test"]) == (1, 0, 8)
    data = load(patches, positive="1")
    tested = {data.image_digests[i] for i in data.of_split("test")}
    assert len(record["seen"]["image_digests"]) == 28 and not tested & set(record["seen"]["image_digests"])
    assert metrics["search_overlap"] == "none" and metrics["test"]["n"] == 8


def test_tuning_looks_at_no_test_image_and_takes_no_part_in_a_report(
    trained: Path, patches: Path, tmp_path: Path
) -> None:
    shutil.copytree(trained / "seed0", tmp_path / "runs")
    metrics = train(patches, "boosted", tmp_path / "runs" / "tuning" / "boosted", tested=False)
    assert metrics["test"] is None and metrics["validation"]["n"] == 8
    assert rows(tmp_path / "runs" / "tuning" / "boosted" / "predictions.csv") == []
    with pytest.raises(RunFolderError, match="belongs to another run"):
        train(patches, "boosted", tmp_path / "runs" / "tuning" / "boosted")
    result = run_report([tmp_path / "runs"], tmp_path / "report")
    assert sorted(row["method"] for row in result["results"]) == ["boosted", "boosted_baseline", "enas7"]
    assert "1 runs for tuning" in " ".join(result["warnings"])


def repainted(patches: Path, out: Path, size: tuple[int, int], mode: str = "RGB") -> Path:
    shutil.copytree(patches, out)
    for path in out.glob("*.png"):
        with Image.open(path) as image:
            image.convert(mode).resize(size).save(path)
    return out


@pytest.mark.parametrize(
    ("size", "mode", "changes", "words"),
    [
        (
            (24, 24),
            "RGB",
            CROPPED | {"data.fit": "stretch"},
            "24x24 pixels.*native size, 40x40 by data.image_size",
        ),
        (
            (24, 24),
            "RGB",
            CROPPED | {"data.image_size": 24},
            "centre of 32x32 pixels, and the images have 24x24",
        ),
        (
            (24, 24),
            "RGB",
            CROPPED,
            r"\.png: 24x24 pixels, too small for a center crop of 40x40",
        ),
        ((40, 40), "RGB", {"data.smallest_crop": 64}, "set data.smallest_crop from 32 to 40"),
        (
            (40, 40),
            "RGB",
            {"data.image_size": 20},
            "leaves no map of images of 20x20; set boosted.downsampling",
        ),
        ((40, 40), "L", {}, "grey images.*in colour.*or set data.augmentation=poses"),
        ((40, 40), "RGB", {"data.channels": 1, "data.augmentation": "poses"}, "not 1; set data.channels=3"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_anything_is_written(
    size: tuple[int, int], mode: str, changes: dict[str, Any], words: str, patches: Path, tmp_path: Path
) -> None:
    data = repainted(patches, tmp_path / "data", size, mode)
    with pytest.raises(ValueError, match=words):
        train_on(data, "boosted_baseline", out=tmp_path / "out", profile="patches", overrides=SMALL | changes)
    assert not (tmp_path / "out").exists()
