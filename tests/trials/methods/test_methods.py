"""Methods: one registry, one protocol, the same files from all."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from search_space import Architecture, macs, parameters
from tests.helpers.images import write_table
from tests.helpers.runs import train_on
from tests.helpers.tiny import TINY
from trials.data.folds import assign_folds, write_folds
from trials.data.load import load
from trials.data.phantoms import make_phantoms
from trials.data.split import Split
from trials.data.task import Task
from trials.errors import DataError, LeakError, ModelError, RunFolderError, SettingsError
from trials.evaluation.power import TOO_FEW
from trials.inference.predict import run_predict
from trials.methods.build import build
from trials.methods.cells import random_cells
from trials.methods.classical import ClassicalMethod
from trials.methods.networks import NetworkMethod
from trials.methods.registry import METHODS
from trials.models import zoo
from trials.models.features import STATISTICS, statistics
from trials.models.model_file import load_model
from trials.models.specs import CellNetwork, KnownNetwork, Shape
from trials.models.zoo import AlexNet, cnn3, count_macs, count_parameters, load_imagenet_lite0
from trials.report.report import run_report
from trials.runs.layout import TUNING
from trials.settings.load import load_settings

SMALL = TINY | {"data.image_size": 32, "search.population": 1, "search.tournament": 1}
NETWORKS = ("alexnet", "cnn3", "resnet18", "efficientnet_b0", "efficientnet_lite0")
CLASSICAL = (
    *("covariates", "geometry", "hog", "hog_geometry", "hog_cells", "hog_cells_mirrored"),
    "statistics",
)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def train(data: Path, name: str, out: Path, **more: Any) -> dict[str, Any]:
    changes: dict[str, Any] = {"data.image_size": 67} if name == "alexnet" else {}
    changes |= {"data.smallest_crop": None} if name.startswith("boosted") else {}  # the crops are not square
    changes |= {"data.covariates": ["width", "height"]} if name == "covariates" else {}
    changes |= {"ensemble.members": ["cells7", "hog_geometry"]} if name == "ensemble" else {}
    arguments: dict[str, Any] = {"folds": 2, "fold": 0, "profile": "quick", "overrides": SMALL | changes}
    choices = METHODS[name].choices if name in METHODS else ()
    if choices:  # tuned by one trial, whose choice the test takes
        trial = {"out": out.parent / TUNING / "only" / name, "home": out.parent, "tested": False}
        train_on(data, name, **(arguments | trial))
        arguments["overrides"] = {
            key: value for key, value in (SMALL | changes).items() if key not in choices
        }
    return train_on(data, name, out=out, **(arguments | more))


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Synthetic lesions from another hospital."""
    folder = tmp_path_factory.mktemp("elsewhere") / "other"
    make_phantoms(folder, count=12, side=40, seed=7)
    return folder


@pytest.fixture(scope="module")
def fold0(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which methods of fold 0 share their searches."""
    return tmp_path_factory.mktemp("compare") / "fold0"


ONE_SHOT = [
    "random_boosted",
    "enas_boosted",
]  # from ImageNet weights: tests/trials/pipeline/test_boosted_search.py


@pytest.mark.parametrize(
    "name", [name for name, entry in METHODS.items() if entry.networks == 1 and name not in ONE_SHOT]
)
def test_every_method_leaves_the_same_files_about_the_right_images(
    name: str, lesions: Path, elsewhere: Path, fold0: Path
) -> None:
    metrics = train(lesions, name, fold0 / name, external=elsewhere)
    data, other = load(lesions), load(elsewhere)
    test = assign_folds(data, 2).split(0)[1]
    for file, of, indices in (
        ("predictions.csv", data, test),
        ("external_predictions.csv", other, range(len(other.files))),
    ):
        written = rows(fold0 / name / file)
        assert [row["file"] for row in written] == [of.files[i] for i in indices]
        assert [row["label"] for row in written] == [of.classes[of.labels[i]] for i in indices]
        assert [row["group"] for row in written] == [of.groups[i] for i in indices]
        assert all(0 <= float(row["probability"]) <= 1 for row in written)
    chosen_by = rows(fold0 / name / "validation_predictions.csv")
    assert chosen_by and not {row["group"] for row in chosen_by} & {data.groups[i] for i in test}
    assert metrics == json.loads((fold0 / name / "metrics.json").read_text())
    title = METHODS[name].title
    assert (metrics["method"], metrics["label"], metrics["layout"]) == (name, title.label, title.layout)
    assert metrics["saw_other_data"] == (name == "efficientnet_lite0")
    assert metrics["test"]["n"] == len(test) and 0.05 <= metrics["temperature"] < 1000
    assert (metrics["parameters"] is None) == (name in CLASSICAL) == (metrics["macs"] is None)
    assert metrics["threads"] and metrics["seconds"] >= 0 and metrics["external"] == other.name


@pytest.mark.parametrize("name", [*CLASSICAL, "cnn3", "cells7"])
def test_the_same_seed_gives_the_same_probabilities_and_a_finished_run_is_only_reported(
    name: str,
    lesions: Path,
    elsewhere: Path,
    fold0: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    first = train(lesions, name, fold0 / name, external=elsewhere)
    train(lesions, name, tmp_path / "second")
    files = [folder / "predictions.csv" for folder in (fold0 / name, tmp_path / "second")]
    assert files[0].read_bytes() == files[1].read_bytes()
    capsys.readouterr()
    assert train(lesions, name, fold0 / name, external=elsewhere) == first
    assert "done already" in capsys.readouterr().err


@pytest.mark.parametrize(
    "file", ["predictions.csv", "validation_predictions.csv", "external_predictions.csv"]
)
def test_an_ensemble_averages_its_members_which_are_trained_once(
    file: str, lesions: Path, elsewhere: Path, fold0: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = [fold0 / "cells7", fold0 / "hog_geometry"]
    seconds = sum(train(lesions, place.name, place, external=elsewhere)["seconds"] for place in members)
    for kind in (ClassicalMethod, NetworkMethod):
        monkeypatch.setattr(kind, "fit", lambda *_, **__: pytest.fail("fitted twice"))
    mean = train(lesions, "cells7_hog_geometry", fold0 / "cells7_hog_geometry", external=elsewhere)
    assert mean["seconds"] == pytest.approx(seconds, abs=1e-3)
    said = zip(*(rows(place / file) for place in members), strict=True)
    for row, (network, gradients) in zip(rows(fold0 / mean["method"] / file), said, strict=True):
        assert row["file"] == network["file"] == gradients["file"]
        expected = (float(network["probability"]) + float(gradients["probability"])) / 2
        assert float(row["probability"]) == pytest.approx(expected, abs=1e-12)


def test_the_folder_of_another_method_is_refused_before_anything_is_written(
    lesions: Path, tmp_path: Path
) -> None:
    with pytest.raises(
        RunFolderError, match="cells7: is the place of cells7, not of cells7_hog_geometry; name"
    ):
        train(lesions, "cells7_hog_geometry", tmp_path / "cells7")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("strategy", ["enas", "random"])
def test_layouts_share_one_search_of_their_fold(
    strategy: str, lesions: Path, elsewhere: Path, fold0: Path
) -> None:
    seven, seventeen = ("enas7", "enas17") if strategy == "enas" else ("random7", "random17")
    told, again = (train(lesions, name, fold0 / name, external=elsewhere) for name in (seven, seventeen))
    folder = fold0 / {"enas": "search", "random": "search-random"}[strategy]
    record = json.loads((folder / "search.json").read_text())
    assert record["settings"]["search"]["strategy"] == strategy
    assert told["search_seconds"] == again["search_seconds"] == record["seconds"]
    assert told["search_overlap"] == "none"
    architecture = json.loads((folder / "architecture.json").read_text())
    for name in (seven, seventeen):
        described = json.loads((fold0 / name / "model.json").read_text())
        assert described["network"]["architecture"] == architecture


def test_random_cells_differ_by_fold_and_agree_over_layouts(lesions: Path) -> None:
    def cells(name: str, fold: int) -> object:
        settings = load_settings("quick", SMALL)
        task = Task(Split.load(lesions, settings, folds=2, fold=fold), settings)
        return build(task, METHODS[name], random_cells(task)).identity["network"]["architecture"]

    assert cells("cells7", 0) == cells("cells17", 0) != cells("cells7", 1)


@pytest.mark.parametrize("name", NETWORKS)
def test_any_networks_model_file_gives_its_predictions_again(
    name: str, lesions: Path, elsewhere: Path, fold0: Path
) -> None:
    train(lesions, name, fold0 / name, external=elsewhere)  # once for all tests
    written = rows(fold0 / name / "predictions.csv")
    told = run_predict(fold0 / name, [lesions / row["file"] for row in written])
    assert [row["probability"] for row in told["predictions"]] == pytest.approx(
        [float(row["probability"]) for row in written], abs=1e-5
    )
    metrics = json.loads((fold0 / name / "metrics.json").read_text())
    card = load_model(fold0 / name).description
    assert (card.threshold, card.temperature) == (metrics["threshold"], metrics["temperature"])
    assert card.network.kind == name


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"network": {"kind": "vgg"}}, "network"),
        ({"network": {"kind": "cells", "architecture": {}, "layout": "enas7", "filters": 2}}, "no network"),
        ({"network": {"kind": "alexnet"}, "image_size": 32}, "67x67"),
        ({"temperature": 0}, "temperature"),
    ],
)
def test_a_model_file_of_an_impossible_network_is_refused(
    change: dict[str, Any], words: str, lesions: Path, elsewhere: Path, fold0: Path, tmp_path: Path
) -> None:
    train(lesions, "cnn3", fold0 / "cnn3", external=elsewhere)  # once for all tests
    for file in ("model.json", "model.safetensors"):  # a model by itself, which nothing vouches for
        shutil.copy(fold0 / "cnn3" / file, tmp_path)
    described = json.loads((tmp_path / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps(described | change))
    with pytest.raises(ModelError, match=words):
        load_model(tmp_path)


def test_alexnet_counted_as_the_poster_does_has_its_weights() -> None:
    network = AlexNet(Shape(3, 2, 227))
    weights = [weight.numel() for name, weight in network.named_parameters() if name.endswith("weight")]
    assert sum(weights[:-1]) == 56_858_656


def test_cnn3_counted_so_comes_within_two_weights_of_the_posters() -> None:
    assert sum(weight.numel() for weight in cnn3(Shape(3, 2, 48)).parameters() if weight.ndim == 4) == 619_200


def test_counts_of_a_built_network_are_those_of_its_architecture() -> None:
    architecture = Architecture.random(3)
    network = CellNetwork(architecture=architecture.to_sample(), layout="enas7", filters=4)
    built = zoo.build(network, Shape(3, 2, 33), load_settings("paper").retrain)
    assert count_parameters(built) == parameters(architecture, "enas7", 4)
    assert count_macs(built, Shape(3, 2, 33)) == macs(architecture, "enas7", 4, 3, 2, 33)


def test_the_output_norm_brings_running_averages_and_no_weights() -> None:
    cells = {"architecture": Architecture.random(3).to_sample(), "layout": "enas7", "filters": 4}
    without, with_norm = (
        zoo.build(CellNetwork.model_validate(cells | {"output_norm": norm}), Shape(3, 2, 32)).state_dict()
        for norm in (False, True)
    )
    assert set(with_norm) - set(without) == {
        "output_norm.running_mean",
        "output_norm.running_var",
        "output_norm.num_batches_tracked",
    }


def test_imagenet_weights_come_with_every_layer_but_the_head() -> None:
    networks = [zoo.build(KnownNetwork(kind="efficientnet_lite0"), Shape(3, 2, 64)) for _ in range(2)]
    for network in networks:
        load_imagenet_lite0(network)
    first, second = (network.state_dict() for network in networks)
    differing = {name for name in first if not first[name].equal(second[name])}
    assert differing == {"classifier.weight", "classifier.bias"}


def test_a_group_on_both_sides_of_a_split_is_refused(lesions: Path) -> None:
    honest = Split.load(lesions, load_settings("quick"), folds=2, fold=0)
    with pytest.raises(LeakError, match="has seen"):
        replace(honest, training=np.concatenate([honest.training, honest.test[:1]]))


def test_settings_that_would_split_otherwise_are_refused(lesions: Path) -> None:
    split = Split.load(lesions, load_settings("quick"), folds=2, fold=0)
    with pytest.raises(SettingsError, match=r"data\.fold_seed = 1: the data were split with 0"):
        Task(split, load_settings("quick", {"data.fold_seed": 1}))


def test_external_data_that_were_read_by_themselves_are_refused(lesions: Path, elsewhere: Path) -> None:
    settings = load_settings("quick")
    split = Split.load(lesions, settings, folds=2, fold=0)
    with pytest.raises(DataError, match=r"positive = benign, expected malignant.*load_external"):
        Task(split, settings, load(elsewhere, positive="benign"))


@pytest.mark.parametrize("saved_anew", [False, True])
def test_a_test_group_copied_into_training_under_other_names_is_refused(
    saved_anew: bool, tmp_path: Path
) -> None:
    folder = tmp_path / "leaky"
    make_phantoms(folder, count=40, side=80)  # larger ones, none of which is all black
    data = load(folder)
    folds = assign_folds(data, 2)
    write_folds(folder / "folds.csv", data, folds)
    stolen = data.files[folds.split(0)[1][0]]
    pixels = np.asarray(Image.open(folder / stolen))
    Image.fromarray(np.clip(pixels + 2.0 * saved_anew, 0, 255).astype(np.uint8)).save(folder / "new.png")
    row = next(row for row in rows(folder / "manifest.csv") if row["file"] == stolen)
    changed = {**row, "file": "new.png", "duplicate_group": "another"}
    with (folder / "manifest.csv").open("a") as manifest:
        manifest.write(",".join(changed.values()) + "\n")
    with (folder / "folds.csv").open("a") as listed:
        listed.write("new.png,1\n")
    with pytest.raises(LeakError if saved_anew else DataError, match=r"new\.png|is split over folds"):
        train(folder, "geometry", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_training_image_among_the_external_ones_is_refused(
    lesions: Path, elsewhere: Path, tmp_path: Path
) -> None:
    mixed = tmp_path / "mixed"
    shutil.copytree(elsewhere, mixed)
    data, other = load(lesions), load(mixed)
    trained_on = Split.load(lesions, load_settings("quick", SMALL), folds=2, fold=0).training[0]
    Image.fromarray(data.images[trained_on]).save(mixed / other.files[0], quality=90)
    with pytest.raises(LeakError, match="take those out of the external data"):
        train(lesions, "geometry", tmp_path / "out", external=mixed)


def test_shuffled_labels_cannot_be_told_apart(tmp_path: Path) -> None:
    """Two folds of one draw err alike, and its interval misses 0.5 too often: the mean of draws counts."""
    make_phantoms(tmp_path / "data", count=160, side=40)
    manifest = tmp_path / "data" / "manifest.csv"
    table = rows(manifest)
    groups = sorted({row["duplicate_group"] for row in table})
    areas = []
    for seed in range(6):
        labels = np.random.default_rng(seed).permutation([group.split("-")[0] for group in groups])
        of_group = dict(zip(groups, labels, strict=True))
        cases = [row | {"label": of_group[row["duplicate_group"]]} for row in table]
        write_table(manifest, tuple(table[0]), *(tuple(row.values()) for row in cases))
        out = tmp_path / str(seed)
        for fold in (0, 1):
            train(tmp_path / "data", "geometry", out / "runs" / str(fold), fold=fold)
        (told,) = run_report([out / "runs"], out / "report")["results"]
        assert told["high"] - told["low"] < 0.3
        areas.append(told["pooled_auc"])
    assert np.mean(areas) == pytest.approx(0.5, abs=0.1)


def test_statistics_are_of_the_whole_and_of_its_middle_third() -> None:
    framed = np.full((9, 12, 3), 50, np.uint8)
    framed[3:6, 4:8] = (10, 20, 30)
    ramp = np.tile(np.arange(0, 60, 2, dtype=np.uint8), (30, 1))  # grey, two levels steeper each pixel
    found = statistics([framed, ramp]).reshape(2, 2, 7, 4)
    assert found.size == 2 * STATISTICS
    whole, middle = found[0]
    assert middle[0, :3].tolist() == [10, 20, 30] and not middle[1, :3].any()
    assert (middle[2:, :3] == [10, 20, 30]).all()
    share = 12 / 108  # of the pixels
    assert whole[0, :3] == pytest.approx([50 - share * 40, 50 - share * 30, 50 - share * 20])
    assert found[1, 1, 0].tolist() == pytest.approx([29, 29, 29, 2])  # the middle: levels 20 to 38


@pytest.mark.parametrize("name", ["geometry", "cells7_hog_geometry", "enas7_hog_geometry"])
def test_geometry_without_boxes_is_refused_before_anything_is_searched_or_trained(
    name: str, lesions: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "no boxes"
    shutil.copytree(lesions, folder)
    manifest = folder / "manifest.csv"
    manifest.write_text(manifest.read_text().replace(",width,", ",wide,"))
    with pytest.raises(DataError, match="no column width"):
        train(folder, name, tmp_path / "out" / name)
    assert not (tmp_path / "out").exists()


def test_a_methods_differences_stand_over_the_profile_and_under_the_users_settings() -> None:
    alexnet = METHODS["alexnet"]
    assert alexnet.settings(load_settings("cpu")).data.image_size == 227
    assert alexnet.settings(load_settings("cpu", {"data": {"image_size": 99}})).data.image_size == 99
    assert all(bool(entry.differs) == bool(entry.reason) for entry in METHODS.values())


def test_an_unknown_method_is_refused_with_the_nearest(lesions: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="nearest: resnet18"):
        train(lesions, "resnet", tmp_path / "out")


@pytest.mark.parametrize("name", ["enas7", "hog"])
def test_a_dry_run_tells_settings_and_data_and_writes_nothing(
    name: str, lesions: Path, tmp_path: Path
) -> None:
    told = train(lesions, name, tmp_path / "out" / name, dry_run=True)
    assert told["settings"]["data"]["image_size"] == 32 and told["data"]["test"] == 20
    assert (told["estimate"] is None) == (name == "hog")
    assert told["smallest_auc_difference"]["images"] == TOO_FEW  # of 40 images
    assert not (tmp_path / "out").exists()


def experiment(name: str) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """An experiment file, and the values of its search space."""
    config = yaml.safe_load((Path(__file__).parents[3] / "nni_config" / f"{name}.yml").read_text())
    return config, {key: values["_value"] for key, values in config["searchSpace"].items()}


def test_the_comparisons_are_all_methods_on_all_folds_and_seeds() -> None:
    config, grid = experiment("compare")
    names = ("boosted_efficientnet", "boosted_one_shot", "sets")
    others = {method for name in names for method in experiment(name)[1]["method"]}
    tuned = [name for name, entry in METHODS.items() if entry.choices]  # by experiments before
    asking = ["covariates", "ensemble"]  # for columns and members, which only a user can name
    assert {*grid["method"], *others, *tuned, *asking} == set(METHODS)
    assert grid["fold"] == list(range(grid["folds"][0]))
    assert config["maxTrialNumber"] == len(grid["method"]) * len(grid["fold"]) * len(grid["seed"])
    for name in ("boosted_efficientnet", "boosted_one_shot"):
        config, grid = experiment(name)
        assert config["maxTrialNumber"] == len(grid["method"]) * len(grid["seed"])
    config, grid = experiment("sets")
    assert config["maxTrialNumber"] == len(grid["method"]) * len(grid["fold"]) * len(grid["seed"])
