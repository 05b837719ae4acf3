"""An export makes the same decisions without the project, and holds nothing of the data."""

import csv
import io
import json
import re
import runpy
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import tifffile
import torch
from PIL import Image
from scipy.special import log_softmax, logit, softmax

from search_space import Architecture
from tests.helpers.exports import ask
from tests.helpers.models import CLASSES, RULES, describe, pictures, save_untrained
from tests.helpers.runs import train_on
from trials.cli import main
from trials.data.files.decoding import decode
from trials.data.files.grey_range import GreyRange
from trials.data.images import to_tensor
from trials.errors import DataError, ExportError
from trials.evaluation.calibration import apply_temperature
from trials.export import export
from trials.export.card import write_card
from trials.export.claim import claim
from trials.export.contents import Contents
from trials.export.export import run_export
from trials.export.metadata import metadata
from trials.export.origin import Origin, read_origin
from trials.models.model_file import load_model
from trials.models.network import NetworkDescription, save_network

# Runs load_model.py where nothing of this project can be imported, nor what only the project needs.
STRANGER = """
import runpy, sys

BLOCKED = {
    "nni", "pytorch_lightning", "search_space", "strategies", "trials",  # ours
    "captum", "onnx", "onnxruntime", "pandas", "pydantic", "pydicom", "scipy", "sklearn", "torchvision",
}

class Blocker:
    def find_spec(self, name, *_):
        if name.partition(".")[0] in BLOCKED:
            raise ImportError("not here: " + name)

sys.meta_path.insert(0, Blocker())
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


DEEP = GreyRange(0, 4095)


def as_a_stranger(folder: Path, images: Sequence[Path]) -> list[dict[str, Any]]:
    command = [sys.executable, "-c", STRANGER, str(folder / "load_model.py"), *map(str, images)]
    told = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    assert told.returncode == 0, told.stderr
    answers: list[dict[str, Any]] = json.loads(told.stdout)
    return answers


@pytest.fixture(scope="module")
def told(finished: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the command says that exports fold 0's model."""
    out, said = tmp_path_factory.mktemp("exported") / "export", io.StringIO()
    with redirect_stdout(said):
        assert main(["export", str(finished[0]), "--out", str(out), "--json"]) == 0
    answer: dict[str, Any] = json.loads(said.getvalue())
    return answer


@pytest.fixture(scope="module")
def exported(told: dict[str, Any]) -> Path:
    """That export; never written to."""
    return Path(told["out"])


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of other kind, untrained: one channel, padded, mirrored, three classes."""
    folder = tmp_path_factory.mktemp("other")
    cells = Architecture.random(2, nodes=2).to_sample()
    network = {"kind": "cells", "architecture": cells, "layout": "enas3", "filters": 4}
    description = NetworkDescription.model_validate(
        {"network": network, "channels": 1, "classes": ("benign", 'mal"""ignant<b>', "normal")}
        | {"positive": 'mal"""ignant<b>', "image_size": 20, "fit": "pad", "mean": (0.4,), "std": (0.25,)}
        | {"per_image": True, "mirror": True, "threshold": 0.31, "temperature": 1.7}
        | {"grey_range": DEEP}
    )
    torch.manual_seed(0)
    save_network(folder, description.build(), description)
    return folder


@pytest.fixture(scope="module")
def exported_other(other: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The export of that model; never written to."""
    out = tmp_path_factory.mktemp("exported") / "other"
    run_export(other, out)
    return out


@pytest.fixture(scope="module")
def of_rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models of three classes, a folder for each rule, and in it the export and what it has told."""
    home = tmp_path_factory.mktemp("rules")
    for rule, given in RULES.items():
        model = save_untrained(home / rule, ordered=rule == "costs", **given)
        (model / "told.json").write_text(json.dumps(run_export(model, model / "out")))
    return home


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "predictions.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_export_predicts_the_same_without_nni_and_this_project(
    exported: Path, finished: tuple[Path, Path], lesions: Path, tmp_path: Path
) -> None:
    shutil.copytree(exported, tmp_path / "elsewhere")
    written = rows(finished[0])
    answers = as_a_stranger(tmp_path / "elsewhere", [lesions / row["file"] for row in written])
    expected = [float(row["probability"]) for row in written]
    assert [answer["probability"] for answer in answers] == pytest.approx(expected, abs=1e-5)
    card = load_model(finished[0]).description
    assert [answer["called_positive"] for answer in answers] == [p >= card.threshold for p in expected]
    odds = np.array([float(row["log_odds"]) for row in written])
    assert [answer["log_odds"] for answer in answers] == pytest.approx(odds, abs=1e-4)
    calibrated = apply_temperature(odds, card.temperature)
    assert [answer["calibrated"] for answer in answers] == pytest.approx(calibrated, abs=1e-5)


def test_the_loader_makes_images_square_as_training_does(
    other: Path, exported_other: Path, tmp_path: Path
) -> None:
    random = np.random.default_rng(0)
    colour = Image.fromarray(random.integers(0, 256, (9, 14, 3), dtype=np.uint8)).resize((70, 43))
    pictures = {
        "large.png": Image.fromarray(random.integers(0, 256, (700, 433), dtype=np.uint8)),
        "palette.png": colour.quantize(16),
        "alpha.png": colour.resize((31, 50)).convert("RGBA"),
        "deep.png": Image.fromarray(random.integers(0, 4000, (40, 25), dtype=np.uint16)),
        "dark.png": Image.fromarray(random.integers(0, 250, (40, 25), dtype=np.uint16)),
        "white_is_zero.tif": Image.fromarray(random.integers(0, 4000, (40, 25), dtype=np.uint16)),
        "print.tif": colour.resize((40, 40)).convert("CMYK"),
        **{f"turned{number}.tif": colour.convert("L").resize((40, 25)) for number in range(1, 9)},
        "photo.webp": colour,
        "colour.ppm": colour,
    }
    for name, picture in pictures.items():
        tags = {262: 0} if "zero" in name else {274: int(name[6])} if "turned" in name else {}
        picture.save(tmp_path / name, **({"tiffinfo": tags} if tags else {}))
    grey_and_alpha = np.sort(random.integers(0, 256, (40, 25, 2), dtype=np.uint8))
    multiplied = {"photometric": "minisblack", "planarconfig": "contig", "extrasamples": [1]}
    tifffile.imwrite(tmp_path / "multiplied.tif", grey_and_alpha, **multiplied)
    paths = [tmp_path / name for name in (*pictures, "multiplied.tif")]
    square = runpy.run_path(str(exported_other / "load_model.py"))["square"]
    for path in paths:
        expected = to_tensor([decode(path, grey_range=DEEP)], 20, "pad", 1)[0]
        assert np.array_equal(square(path), expected), path
    answers = ask(exported_other, *paths).answers
    model = load_model(other)
    logits = model.logits([decode(path, grey_range=DEEP) for path in paths])
    assert np.ptp(logits) > 1e-3  # the pictures differ to this network
    for answer, row in zip(answers, logits, strict=True):
        assert list(answer["probabilities"]) == list(model.description.classes)
        assert list(answer["log_probabilities"].values()) == pytest.approx(row, abs=1e-4)
        assert list(answer["probabilities"].values()) == pytest.approx(softmax(row), abs=1e-5)
        assert list(answer["calibrated"].values()) == pytest.approx(softmax(row / 1.7), abs=1e-5)
    called = model.description.frozen.decision.call(logits)
    assert [answer["called"] for answer in answers] == [model.description.classes[index] for index in called]


def test_the_loader_refuses_and_warns_as_training_does(exported_other: Path, tmp_path: Path) -> None:
    square = runpy.run_path(str(exported_other / "load_model.py"))["square"]
    random = np.random.default_rng(0)
    pages = [Image.fromarray(random.integers(0, 256, (40, 25), dtype=np.uint8)) for _ in range(3)]
    for name in ("a.tif", "a.png", "a.webp"):
        pages[0].save(tmp_path / name, save_all=True, append_images=pages[1:])
    Image.fromarray(random.integers(8000, 9000, (40, 25), dtype=np.uint16)).save(tmp_path / "beyond.png")
    Image.fromarray(random.random((40, 25), dtype=np.float32)).save(tmp_path / "float.tif")
    colour = random.integers(0, 60000, (3, 40, 25), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "planes.tif", colour, photometric="rgb", planarconfig="separate")
    (tmp_path / "deep.ppm").write_bytes(b"P6 25 40 65535\n" + colour.astype(">u2").tobytes())
    tifffile.imwrite(tmp_path / "signed.tif", random.integers(-99, 99, (40, 25), dtype=np.int8))
    tifffile.imwrite(tmp_path / "wide.tif", random.integers(0, 2**32, (40, 25), dtype=np.uint32))
    for name, message in {
        **dict.fromkeys(("a.tif", "a.png", "a.webp"), "holds 3 pictures"),
        "beyond.png": "values .* exceed|half of its values lie beyond 0 to 4095",
        "float.tif": "floating-point pixels",
        **dict.fromkeys(("planes.tif", "deep.ppm"), "16 bits a channel"),
        "signed.tif": "8 bits with a sign",
        "wide.tif": "values of 2147483648 or more",
    }.items():
        for reads in (square, partial(decode, grey_range=DEEP)):
            with pytest.raises(ValueError, match=rf"{re.escape(name)}: .*({message})"):
                reads(tmp_path / name)
    Image.fromarray(random.integers(0, 5000, (40, 25), dtype=np.uint16)).save(tmp_path / "bright.png")
    with pytest.warns(UserWarning, match=r"bright\.png: .* exceed 0 to 4095"):
        found = square(tmp_path / "bright.png")
    assert np.array_equal(
        found, to_tensor([decode(tmp_path / "bright.png", grey_range=DEEP)], 20, "pad", 1)[0]
    )
    pages[0].convert("RGB").save(
        tmp_path / "photo.jpg", format="MPO", save_all=True, append_images=[pages[1].convert("RGB")]
    )
    found = square(tmp_path / "photo.jpg")
    assert np.array_equal(found, to_tensor([decode(tmp_path / "photo.jpg")], 20, "pad", 1)[0])


def test_the_loader_as_a_program_reports_errors_in_one_line(exported_other: Path, tmp_path: Path) -> None:
    page = Image.new("L", (9, 9))
    page.save(tmp_path / "a.tif", save_all=True, append_images=[page])
    told = ask(exported_other, tmp_path / "a.tif")
    assert told.ended and told.words.startswith(f"error: {tmp_path / 'a.tif'}: holds 2 pictures")
    assert "\n" not in told.words


def test_the_loader_center_crops_as_training_does(exported_other: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(exported_other, tmp_path / "export")
    known = json.loads((folder / "metadata.json").read_text())
    known["model"]["fit"] = "center_crop"
    (folder / "metadata.json").write_text(json.dumps(known))
    square = runpy.run_path(str(folder / "load_model.py"))["square"]
    random = np.random.default_rng(0)
    for height, width in ((20, 20), (31, 45), (700, 433)):
        path = tmp_path / f"{height}.png"
        Image.fromarray(random.integers(0, 256, (height, width), dtype=np.uint8)).save(path)
        assert np.array_equal(square(path), to_tensor([decode(path)], 20, "center_crop", 1)[0])
    Image.new("L", (19, 40)).save(tmp_path / "small.png")
    with pytest.raises(ValueError, match=r"small\.png: 19x40 pixels, too small for a center crop of 20x20"):
        square(tmp_path / "small.png")


def test_onnx_runs_by_itself_and_describes_its_input(exported: Path, finished: tuple[Path, Path]) -> None:
    card = load_model(finished[0]).description
    stored = onnx.load(exported / "model.onnx")
    known = {entry.key: entry.value for entry in stored.metadata_props}
    assert known["positive"] == "malignant" and float(known["threshold"]) == card.threshold
    assert known["fit"] == "stretch to 24x24, bicubic" and "clinical" in known["not_for"]
    session = onnxruntime.InferenceSession(exported / "model.onnx")
    squares = np.random.default_rng(0).integers(0, 256, (5, 3, 24, 24), dtype=np.uint8)
    probabilities, calibrated = session.run(["probabilities", "calibrated"], {"images": squares})
    expected = load_model(finished[0]).probabilities(list(squares.transpose(0, 2, 3, 1)))[:, 1]
    assert probabilities[:, card.classes.index("malignant")] == pytest.approx(expected, abs=1e-5)
    assert calibrated == pytest.approx(apply_temperature(logit(expected), card.temperature), abs=1e-5)


def test_program_opens_and_holds_nothing_pickled(exported: Path, finished: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(exported / "model.pt2") as parts:
        for name in parts.namelist():
            assert b'"use_pickle": true' not in parts.read(name), name
            assert not name.endswith(".pt") or not parts.read(name), name
    squares = np.random.default_rng(0).integers(0, 256, (3, 3, 24, 24), dtype=np.uint8)
    probabilities, *_ = torch.export.load(exported / "model.pt2").module()(torch.from_numpy(squares))
    expected = load_model(finished[0]).probabilities(list(squares.transpose(0, 2, 3, 1)))[:, 1]
    assert probabilities.detach().numpy()[:, 1] == pytest.approx(expected, abs=1e-5)


def test_an_export_holds_nothing_of_the_data_and_this_machine(
    finished: tuple[Path, Path], tmp_path: Path
) -> None:
    model = tmp_path / "JANE-PATH" / "run"
    shutil.copytree(finished[0], model)
    state = json.loads((model / "run.json").read_text())
    del state["sha256"]  # a run of a time before there were digests
    (model / "run.json").write_text(json.dumps(state))
    for file in (model / "retrain.json", *model.glob("*predictions.csv")):
        text = file.read_text().replace("synthetic_", "JANE-DOE_")
        assert "JANE-DOE_" in text or file.name == "retrain.json"
        file.write_text(text)
    record = json.loads((model / "retrain.json").read_text())
    record["data"]["notes"] = ["groups JANE-NOTE, b hold images of identical pixels"]
    left_out = {"file": "JANE-FILE.png", "label": "benign", "group": "JANE-GROUP", "reason": "x"}
    record["data"]["left_out"] = [left_out]
    record["seen"]["groups"] += ["JANE-SEEN"]
    (model / "retrain.json").write_text(json.dumps(record))
    run_export(model, tmp_path / "out")
    places = (tmp_path, Path(export.__file__).parents[2], Path(sys.prefix), Path.home())
    for path in (tmp_path / "out").iterdir():
        content = path.read_bytes()  # a zip's parts are stored as they are
        for word in ("JANE", *map(str, places)):
            assert word.encode() not in content, (path.name, word)


def test_card_has_the_runs_figures_and_open_items(exported: Path, finished: tuple[Path, Path]) -> None:
    card = (exported / "README.md").read_text()
    metrics = json.loads((finished[0] / "metrics.json").read_text())
    assert "Not for clinical use" in card
    assert f"| accuracy | {metrics['test']['accuracy']:.3f} (" in card
    assert f"| AUC | {metrics['test']['auc']:.3f} (" in card
    assert f"| images, malignant, groups | {metrics['test']['n']}, {metrics['test']['positives']}, " in card
    assert "| 16 | reference standard: who annotated | **open** |" in card
    assert "| 24 | initialisation of parameters | random, seed 0 |" in card
    assert f"digest {metrics['data_digest']}" in card


def test_a_model_without_its_run_says_so_and_its_names_are_text(exported_other: Path) -> None:
    card = (exported_other / "README.md").read_text()
    assert "the run that trained the model was not in its folder" in card
    assert "<b>" not in card and "&lt;b&gt;" in card
    assert "ignant" not in (exported_other / "network.py").read_text()


def test_metadata_follow_monais_specification(exported: Path) -> None:
    described = json.loads((exported / "metadata.json").read_text())
    for key in ("schema", "version", "changelog", "pytorch_version", "numpy_version", "task", "description",
                "authors", "copyright", "required_packages_version", "network_data_format"):  # fmt: skip
        assert described[key], key
    (images,) = described["network_data_format"]["inputs"].values()
    assert (images["num_channels"], images["spatial_shape"], images["dtype"]) == (3, [24, 24], "uint8")
    assert list(described["network_data_format"]["outputs"]) == ["probabilities", "calibrated", "log_odds"]


def test_nothing_is_overwritten_or_half_written(
    finished: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match="not an empty folder"):
        run_export(finished[0], tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]
    monkeypatch.setattr(export, "TOLERANCE", -1.0)
    with pytest.raises(ExportError, match="differ from the model's"):
        run_export(finished[0], tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_command_exports(
    told: dict[str, Any], exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert set(told["files"]) == {path.name for path in exported.iterdir()}
    assert max(told["largest_difference"].values()) < 1e-5
    assert main(["export", str(tmp_path), "--out", str(tmp_path / "again")]) == 1
    assert "holds no model.json" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("frames", "said"),
    [
        (True, "crops of lesions, as the model knows whole frames"),
        (False, "whole frames for a model of crops"),
    ],
)
def test_card_knows_whether_images_were_whole_frames(
    finished: tuple[Path, Path], tmp_path: Path, frames: bool, said: str
) -> None:
    origin = Origin({}, {"settings": {"data": {"frames": frames}}})
    write_card(tmp_path, Contents.of(load_model(finished[0])), origin, [], {}, [])
    assert f"images cut otherwise, such as {said}; other organs" in (tmp_path / "README.md").read_text()


def test_card_says_that_a_refit_has_trained_on_the_validation_images(finished: tuple[Path, Path]) -> None:
    about, origin = Contents.of(load_model(finished[0])), read_origin(finished[0])
    refit = Origin(origin.metrics | {"refit": True}, origin.record)
    for one, said in ((origin, False), (refit, True)):
        items = {number: known or "" for number, _, known in claim(about, one, [])}
        for number in (19, 26):
            assert ("from the validation images too" in items[number]) == said


@pytest.mark.parametrize("rule", RULES)
def test_more_classes_go_from_bytes_to_the_same_calls_in_every_form(
    of_rules: Path, tmp_path: Path, rule: str
) -> None:
    folder, files = of_rules / rule, pictures(tmp_path)
    out, told = folder / "out", json.loads((folder / "told.json").read_text())
    assert max(told["largest_difference"].values()) < 1e-5
    model = load_model(folder)
    images = [decode(file) for file in files]
    logits = model.logits(images)
    expected = (softmax(logits, axis=1), softmax(logits / 1.7, axis=1), logits)
    squares = to_tensor(images, 16, "stretch", 1)
    session = onnxruntime.InferenceSession(out / "model.onnx")
    assert [output.name for output in session.get_outputs()] == ["probabilities", "calibrated", "logits"]
    given = session.run(None, {"images": squares.numpy()})
    opened = torch.export.load(out / "model.pt2").module()(squares)
    for values, onnx_values, torch_values in zip(expected, given, opened, strict=True):
        assert onnx_values == pytest.approx(values, abs=1e-4)
        assert torch_values.detach().numpy() == pytest.approx(values, abs=1e-4)
    called = [CLASSES[index] for index in model.description.frozen.decision.call(logits)]
    answers = as_a_stranger(out, files) if rule == "argmax" else ask(out, *files).answers
    assert [answer["called"] for answer in answers] == called and len(set(called)) > 1
    for answer, row in zip(answers, expected[1], strict=True):
        assert list(answer["calibrated"].values()) == pytest.approx(row, abs=1e-5)


@pytest.mark.parametrize(
    "given",
    [*RULES.values(), {"positive": "normal", "threshold": 0.6}, {"temperature": 0.05} | RULES["costs"]],
)
def test_the_loader_calls_as_the_frozen_decision_does(tmp_path: Path, given: dict[str, object]) -> None:
    about = Contents.of(load_model(save_untrained(tmp_path, **given)))
    card = json.loads(json.dumps(metadata(about, {})))["model"]
    call = runpy.run_path(str(Path(export.__file__).with_name("load_model.py")))["call"]
    logits = log_softmax(np.random.default_rng(0).normal(scale=4, size=(5000, 3)), axis=1)
    expected = describe(**given).frozen.decision.call(logits)
    assert call(card, logits).tolist() == expected.tolist() and len(set(expected.tolist())) == 3


def test_metadata_and_onnx_say_the_classes_and_the_rule(of_rules: Path) -> None:
    for rule, given in RULES.items():
        described = json.loads((of_rules / rule / "out" / "metadata.json").read_text())
        card = described["model"]
        assert (card["classes"], card["decision"]) == (list(CLASSES), rule)
        assert card["threshold_of"] == given.get("threshold_of")
        assert card["costs"] == json.loads(json.dumps(given.get("costs")))
        for output in described["network_data_format"]["outputs"].values():
            assert list(output["channel_def"].values()) == list(CLASSES)
        stored = onnx.load(of_rules / rule / "out" / "model.onnx")
        known = {entry.key: entry.value for entry in stored.metadata_props}
        assert known["classes"] == "benign, malignant, normal" and "positive" not in known
        assert ("threshold_log_odds" in known) == (rule == "sensitivity")
    assert json.loads(known["costs"]) == card["costs"] and "least expected cost" in known["decision"]


def test_card_says_the_costs_and_the_threshold_of_more_classes(of_rules: Path) -> None:
    cards = {rule: (of_rules / rule / "out" / "README.md").read_text() for rule in RULES}
    assert (
        "It calls an image malignant from a probability of 0.300 up, else the likeliest"
        in cards["sensitivity"]
    )
    assert "It calls an image the class of least expected cost" in cards["costs"]
    assert "| malignant | 1.5 | 0 | 2 |" in cards["costs"] and "They are ordered" in cards["costs"]
    assert "the likeliest class; this rule" in cards["argmax"] and "They have no order" in cards["argmax"]
    assert "threshold" not in cards["argmax"].split("## Data")[0]


def test_card_of_more_classes_has_the_runs_measures_and_confusion_matrix(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for number, name in enumerate(CLASSES):
        (tmp_path / "images" / name).mkdir(parents=True)
        for index in range(12):
            pixels = random.integers(0, 130 + 60 * number, (24, 24), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / name / f"{index}.png")
    quick = {"data.image_size": 32, "data.duplicates": "copies", "retrain.epochs": 1, "retrain.max_steps": 2}
    metrics = train_on(
        tmp_path / "images", "cnn3", out=tmp_path / "run", profile="quick", overrides=quick, folds=2, fold=0
    )
    run_export(tmp_path / "run", tmp_path / "out")
    page = (tmp_path / "out" / "README.md").read_text()
    tested = metrics["test"]
    assert "quadratic_kappa" not in tested  # these classes have no order
    assert (
        "by bootstrap over groups, at the frozen rule" in page
        and f"| images, groups | {tested['n']}," in page
    )
    assert f"| balanced accuracy | {tested['balanced_accuracy']:.3f} (" in page
    for row, name in zip(tested["confusion"], CLASSES, strict=True):
        assert f"| {name} | {' | '.join(map(str, row))} |" in page
        one = tested["per_class"][name]
        (line,) = (
            line
            for line in page.splitlines()
            if line.startswith(f"| {name} | {one['n']} | {one['auc']:.3f} (")
        )
        assert f"| {one['sensitivity']:.3f} (" in line and f"| {one['specificity']:.3f} (" in line
        assert (one["ppv"] is None) == ("| not defined |" in line)
    assert "calls of the likeliest class; temperature by validation" in page
