"""Retraining: what it leaves, what it refuses, and that a killed one comes to the same end."""

import csv
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image

from search_space import Architecture, parameters
from trials.data.folds import assign_folds
from trials.data.inputs import Inputs
from trials.data.leaks import seen
from trials.data.load import load
from trials.errors import LeakError, ModelError, RunFolderError
from trials.models.model_file import load_model
from trials.models.network import TrainedModel
from trials.runs.layout import CHECKPOINT, REFIT_CHECKPOINT
from trials.settings.load import load_settings
from trials.settings.schema import ProtocolSettings, Settings
from trials.training.checkpoint import SaveEachEpoch

Retrain = Callable[..., Mapping[str, Any]]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def with_refit(tiny: Settings) -> Settings:
    return tiny.model_copy(update={"protocol": ProtocolSettings(refit=True)})


def decoded(folder: Path, names: list[str]) -> list[np.ndarray]:
    return [np.asarray(Image.open(folder / name)) for name in names]


def found_by_search(folder: Path, data: Path, **record: Any) -> Path:
    """An architecture with the record of a search that has seen all of `data` beside it."""
    folder.mkdir()
    everything = load(data)
    known = seen(everything, np.arange(len(everything.files)))
    record = {"data_digest": known.pop("data_digest"), "seen": known} | record
    (folder / "search.json").write_text(json.dumps(record))
    (folder / "architecture.json").write_text(Architecture.random(1).to_json())
    return folder / "architecture.json"


def test_predictions_are_of_the_test_fold_alone(finished: tuple[Path, Path], lesions: Path) -> None:
    data = load(lesions)
    folds = assign_folds(data, 2)
    for fold, out in enumerate(finished):
        written = rows(out / "predictions.csv")
        expected = folds.split(fold)[1]
        assert [row["file"] for row in written] == [data.files[i] for i in expected]
        assert [row["label"] for row in written] == [data.classes[data.labels[i]] for i in expected]
        assert [row["group"] for row in written] == [data.groups[i] for i in expected]
        assert {row["fold"] for row in written} == {str(fold)}
        validation = rows(out / "validation_predictions.csv")
        assert not {row["group"] for row in validation} & {row["group"] for row in written}


def test_saved_model_repeats_its_predictions(finished: tuple[Path, Path], lesions: Path) -> None:
    model, written = load_model(finished[0]), rows(finished[0] / "predictions.csv")
    again = model.probabilities(decoded(lesions, [row["file"] for row in written]))[:, 1]
    assert again == pytest.approx([float(row["probability"]) for row in written], abs=1e-6)


def test_threshold_is_chosen_on_validation_and_frozen(finished: tuple[Path, Path]) -> None:
    from trials.evaluation.metrics import score, youden_threshold

    metrics = json.loads((finished[0] / "metrics.json").read_text())
    validation = rows(finished[0] / "validation_predictions.csv")
    truth = [row["label"] == "malignant" for row in validation]
    assert metrics["threshold_log_odds"] == youden_threshold(
        truth, [float(row["log_odds"]) for row in validation]
    )
    assert load_model(finished[0]).description.threshold == metrics["threshold"]
    test = rows(finished[0] / "predictions.csv")
    truth, given = [row["label"] == "malignant" for row in test], [float(row["probability"]) for row in test]
    assert metrics["test"] == score(truth, given, metrics["threshold"]).to_dict()
    assert metrics["test_at_0.5"] == score(truth, given, 0.5).to_dict()


def test_metrics_name_the_networks_size_and_origin(
    finished: tuple[Path, Path], architecture_file: Path
) -> None:
    metrics = json.loads((finished[0] / "metrics.json").read_text())
    assert metrics["parameters"] == parameters(Architecture.load(architecture_file), "enas3", 2)
    trainable = sum(parameter.numel() for parameter in load_model(finished[0]).network.parameters())
    assert metrics["parameters"] == trainable
    assert metrics["search_overlap"] == "unknown"
    assert (metrics["layout"], metrics["folds"], metrics["fold"], metrics["seed"]) == ("enas3", 2, 0, 0)
    assert metrics["seconds"] > 0 and metrics["versions"]["torch"]


def test_network_view_and_drawings_are_left(finished: tuple[Path, Path]) -> None:
    onnx.checker.check_model(onnx.load(finished[0] / "model.onnx"))
    assert Image.open(finished[0] / "cells.png").size > (100, 100)
    assert "<svg" in (finished[0] / "cells.svg").read_text()
    assert list((finished[0] / "tensorboard").iterdir())
    assert not list(finished[0].glob(".*partial*")) and not (finished[0] / CHECKPOINT).exists()


@pytest.mark.parametrize("moment", ["epoch", "outputs"])
def test_killed_run_resumes_to_the_same_predictions(
    retrain: Retrain,
    finished: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
) -> None:
    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if moment == "epoch":
            save = SaveEachEpoch.on_train_epoch_end
            patch.setattr(SaveEachEpoch, "on_train_epoch_end", lambda *a: (save(*a), killed()))
        else:
            patch.setattr("trials.methods.networks.export_onnx", killed)
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            retrain(tmp_path / "out")
    assert (tmp_path / "out" / CHECKPOINT).exists()
    retrain(tmp_path / "out")
    for name in ("predictions.csv", "validation_predictions.csv", "model.safetensors", "model.json"):
        assert (tmp_path / "out" / name).read_bytes() == (finished[0] / name).read_bytes(), name


def test_finished_run_is_reported_and_not_repeated(
    retrain: Retrain, finished: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(finished[0], tmp_path / "out")
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir() if path.is_file()}
    assert retrain(tmp_path / "out") == json.loads((finished[0] / "metrics.json").read_text())
    after = {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in before if name != ".lock"}
    assert after == {name: time for name, time in before.items() if name != ".lock"}
    assert "done already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "difference"), [({"seed": 1}, "seed"), ({"fold": 1}, "fold"), ({"layout": "enas4"}, "layout")]
)
def test_folder_of_another_run_is_refused(
    retrain: Retrain, finished: tuple[Path, Path], change: dict[str, Any], difference: str
) -> None:
    with pytest.raises(RunFolderError, match=difference):
        retrain(finished[0], **change)


def test_search_that_saw_the_test_fold_is_refused(retrain: Retrain, lesions: Path, tmp_path: Path) -> None:
    architecture = found_by_search(tmp_path / "search", lesions)
    with pytest.raises(LeakError, match="--folds 2 --fold 0"):
        retrain(tmp_path / "out", architecture=architecture)
    assert not (tmp_path / "out").exists()


def test_planted_copy_of_a_test_image_in_the_searchs_data_is_refused(
    retrain: Retrain, lesions: Path, tmp_path: Path
) -> None:
    """Other groups, other names, another data set: the pixels are the same."""
    data = load(lesions)
    stolen = data.image_digests[assign_folds(data, 2).split(0)[1][3]]
    record = {"data_digest": "another", "seen": {"groups": [], "image_digests": [stolen], "copy_digests": []}}
    architecture = found_by_search(tmp_path / "search", lesions, **record)
    with pytest.raises(LeakError, match=r"1 of the \d+ test images"):
        retrain(tmp_path / "out", architecture=architecture)


def test_group_names_mean_nothing_in_another_data_set(
    retrain: Retrain, lesions: Path, tmp_path: Path
) -> None:
    record = {
        "data_digest": "another",
        "seen": {"groups": list(load(lesions).groups), "image_digests": [], "copy_digests": []},
    }
    architecture = found_by_search(tmp_path / "search", lesions, **record)
    assert retrain(tmp_path / "out", architecture=architecture)["search_overlap"] == "none"


def test_search_record_without_what_was_seen_is_refused(
    retrain: Retrain, lesions: Path, tmp_path: Path
) -> None:
    architecture = found_by_search(tmp_path / "search", lesions, seen=None)
    with pytest.raises(LeakError, match=r"search\.json"):
        retrain(tmp_path / "out", architecture=architecture)


def test_without_a_fold_all_groups_are_trained_on_and_none_tested(
    retrain: Retrain, lesions: Path, tmp_path: Path
) -> None:
    metrics = retrain(tmp_path / "out", fold=None)
    assert metrics["test"] is None and metrics["validation"]["n"] > 0
    assert rows(tmp_path / "out" / "predictions.csv") == []
    record = json.loads((tmp_path / "out" / "retrain.json").read_text())
    assert set(record["seen"]["groups"]) == set(load(lesions).groups)


def test_dry_run_tells_settings_data_and_cost_and_writes_nothing(
    retrain: Retrain, tiny: Settings, tmp_path: Path
) -> None:
    told = retrain(tmp_path / "out", dry_run=True)
    assert told["settings"]["retrain"] == tiny.retrain.model_dump(mode="json")
    assert told["data"]["images"] == {"benign": 20, "malignant": 20}
    assert all(told["estimate"][name] > 0 for name in ("seconds", "memory_bytes", "disk_bytes"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"data.expand": True, "data.augmentation": "none", "retrain.schedule": "restarts"},
        {"data.augmentation": "ultrasound", "data.class_balance": "balanced_sampling", "data.fit": "pad"},
        {"data.channels": 1, "retrain.auxiliary": True, "retrain.drop_path": 0.4},
    ],
)
def test_every_way_of_training_gives_a_model_that_loads(
    retrain: Retrain, lesions: Path, tmp_path: Path, changes: dict[str, object]
) -> None:
    settings = load_settings(
        "quick", {"data.image_size": 24, "retrain.epochs": 1, "retrain.filters": 2} | changes
    )
    retrain(tmp_path / "out", settings=settings, layout="enas5", fold=None)
    model, written = load_model(tmp_path / "out"), rows(tmp_path / "out" / "validation_predictions.csv")
    again = model.probabilities(decoded(lesions, [row["file"] for row in written]))[:, 1]
    assert again == pytest.approx([float(row["probability"]) for row in written], abs=1e-6)


def test_a_mirroring_model_cannot_tell_an_image_from_its_mirror_image(
    retrain: Retrain, lesions: Path, tmp_path: Path
) -> None:
    settings = load_settings("quick", {"data.per_image": True, "retrain.epochs": 1, "retrain.mirror": True})
    retrain(tmp_path / "out", settings=settings, fold=None)
    model, written = load_model(tmp_path / "out"), rows(tmp_path / "out" / "validation_predictions.csv")
    images = decoded(lesions, [row["file"] for row in written])
    given = model.probabilities(images)[:, 1]
    assert given == pytest.approx([float(row["probability"]) for row in written], abs=1e-6)
    assert model.probabilities([image[:, ::-1] for image in images])[:, 1] == pytest.approx(given, abs=1e-6)
    plain = TrainedModel(model.network, model.description.model_copy(update={"mirror": False}))
    assert np.abs(plain.probabilities(images)[:, 1] - given).max() > 1e-4


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("model.json", None, "holds no model.json"),
        ("model.json", b"{}", "network: Field required"),
        ("model.safetensors", b"12", "not the weights"),
        ("model.safetensors", None, "No such file"),
    ],
)
def test_damaged_model_is_refused_by_name(
    finished: tuple[Path, Path], tmp_path: Path, file: str, content: bytes | None, message: str
) -> None:
    shutil.copytree(finished[0], tmp_path / "model")
    (tmp_path / "model" / "run.json").unlink()  # a model by itself, which nothing vouches for
    (tmp_path / "model" / file).unlink()
    if content is not None:
        (tmp_path / "model" / file).write_bytes(content)
    with pytest.raises(ModelError, match=message):
        load_model(tmp_path / "model")


def test_a_refit_learns_from_the_validation_images_too_once_they_have_chosen_the_threshold(
    retrain: Retrain, finished: tuple[Path, Path], with_refit: Settings, lesions: Path, tmp_path: Path
) -> None:
    metrics = retrain(tmp_path / "again", settings=with_refit)
    without = json.loads((finished[0] / "metrics.json").read_text())
    for name in ("threshold", "temperature", "validation"):
        assert metrics[name] == without[name]
    assert (tmp_path / "again" / "validation_predictions.csv").read_bytes() == (
        finished[0] / "validation_predictions.csv"
    ).read_bytes()

    # what is saved and tested is standardised by all images outside the test fold, and is another network
    data, model = load(lesions), load_model(tmp_path / "again")
    learned, test = assign_folds(data, 2).split(0)
    inputs = Inputs(data, with_refit.data, learned)
    assert (model.description.mean, model.description.std) == (inputs.mean, inputs.std)
    assert model.description.mean != load_model(finished[0]).description.mean
    written = [float(row["probability"]) for row in rows(tmp_path / "again" / "predictions.csv")]
    again = model.probabilities([data.images[i] for i in test])[:, 1]
    assert again == pytest.approx(written, abs=1e-6) and metrics["test"] != without["test"]


def test_a_run_killed_in_its_refit_resumes_to_the_same_weights(
    retrain: Retrain, with_refit: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    retrain(tmp_path / "whole", settings=with_refit)

    def killed(callback: SaveEachEpoch, *arguments: Any) -> None:
        save(callback, *arguments)
        if (tmp_path / "killed" / REFIT_CHECKPOINT).exists():
            raise KeyboardInterrupt

    save = SaveEachEpoch.on_train_epoch_end
    with monkeypatch.context() as patch:
        patch.setattr(SaveEachEpoch, "on_train_epoch_end", killed)
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            retrain(tmp_path / "killed", settings=with_refit)
    retrain(tmp_path / "killed", settings=with_refit)
    for name in ("predictions.csv", "validation_predictions.csv", "model.safetensors", "model.json"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    assert not list((tmp_path / "killed").glob("*.ckpt"))


def test_a_finished_run_is_not_taken_for_its_refit(
    retrain: Retrain, finished: tuple[Path, Path], with_refit: Settings, tmp_path: Path
) -> None:
    shutil.copytree(finished[0], tmp_path / "out")
    with pytest.raises(RunFolderError, match=r"protocol.*refit"):
        retrain(tmp_path / "out", settings=with_refit)
