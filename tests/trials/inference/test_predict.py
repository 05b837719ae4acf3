"""Prediction of folders and into tables; unreadable images are left out."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.special import softmax

from search_space import Architecture
from tests.helpers.models import CLASSES, RULES, pictures, save_untrained
from trials.cli import main
from trials.data.files.decoding import decode
from trials.data.given import image_files
from trials.errors import DataError, ModelError
from trials.inference.predict import run_predict
from trials.inference.prediction_rows import OF_TWO
from trials.inference.views import VIEWS
from trials.models.model_file import load_model
from trials.models.network import NetworkDescription, save_network


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small untrained model."""
    folder = tmp_path_factory.mktemp("model")
    sample = Architecture.random(0, nodes=2).to_sample()
    network = {"kind": "cells", "architecture": sample, "layout": "enas3", "filters": 2}
    description = NetworkDescription.model_validate(
        {"network": network, "channels": 3, "classes": ["benign", "malignant"], "positive": "malignant"}
        | {"image_size": 16, "fit": "pad", "mean": [0.4], "std": [0.2], "threshold": 0.5}
    )
    save_network(folder, description.build(), description)
    return folder


def picture(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (20, 24), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def clinic(tmp_path: Path) -> Path:
    """Five images in folders, beside other files."""
    root = tmp_path / "clinic"
    for seed, name in enumerate(("b.png", "a.png", "2024/x.jpg", "2024/may/y.PNG", "z.bmp")):
        picture(root / name, seed)
    picture(root / ".hidden.png", 9)
    picture(root / ".trash" / "old.png", 9)
    (root / "notes.txt").write_text("no image")
    return root


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_a_folder_stands_for_its_images_in_order_each_once(model: Path, clinic: Path) -> None:
    files = [clinic / name for name in ("2024/may/y.PNG", "2024/x.jpg", "a.png", "b.png", "z.bmp")]
    told = run_predict(model, [clinic, clinic / "a.png", clinic / "2024" / ".." / "b.png"])
    assert [row["file"] for row in told["predictions"]] == list(map(str, files))
    alone = [run_predict(model, [file])["predictions"][0] for file in files]
    for one, together in zip(alone, told["predictions"], strict=True):
        assert together["probability"] == pytest.approx(one["probability"], abs=1e-6)


def test_masks_in_a_folder_are_no_images(clinic: Path) -> None:
    mask = np.zeros((20, 24), dtype=np.uint8)
    mask[5:9, 5:9] = 255
    Image.fromarray(mask).save(clinic / "a_mask.png")
    given = image_files([clinic])
    assert clinic / "a_mask.png" not in given.files and len(given.files) == 5
    assert any("1 masks skipped" in note for note in given.notes)


def test_more_images_than_are_read_at_a_time(
    model: Path, clinic: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run_predict(model, [clinic])
    monkeypatch.setattr("trials.inference.predict.AT_ONCE", 2)
    parts = run_predict(model, [clinic])
    for one, other in zip(whole["predictions"], parts["predictions"], strict=True):
        assert one["file"] == other["file"]
        assert one["probability"] == pytest.approx(other["probability"], abs=1e-6)


def test_the_table_has_a_row_an_image(
    model: Path, clinic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["predict", str(model), str(clinic), "--csv", str(tmp_path / "out.csv")]
    assert main([*arguments, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["predictions"]
    written = rows(tmp_path / "out.csv")
    assert tuple(written[0]) == OF_TWO
    assert [row["file"] for row in written] == [row["file"] for row in told]
    assert [float(row["probability"]) for row in written] == [row["probability"] for row in told]
    assert [bool(int(row["called_positive"])) for row in written] == [row["called_positive"] for row in told]
    assert main(arguments) == 1  # and what is there stays
    assert "out.csv: is there already" in capsys.readouterr().err
    assert rows(tmp_path / "out.csv") == written


def test_unreadable_images_are_named_and_the_rest_goes_on(
    model: Path, clinic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (clinic / "torn.png").write_bytes((clinic / "a.png").read_bytes()[:200])
    (clinic / "empty.png").touch()
    os.mkfifo(clinic / "pipe.png")
    arguments = ["predict", str(model), str(clinic), str(clinic / "gone.png")]
    assert main([*arguments, "--csv", str(tmp_path / "out.csv")]) == 1
    said = capsys.readouterr().out
    for name in ("torn.png", "empty.png", "pipe.png: is a named pipe", "gone.png: there is no such file"):
        assert f"left out: {clinic / name}" in said
    assert len(rows(tmp_path / "out.csv")) == 5


def test_a_blank_image_is_noted(model: Path, clinic: Path) -> None:
    Image.new("L", (24, 20), 90).save(clinic / "c.png")
    told = run_predict(model, [clinic])
    assert len(told["predictions"]) == 6
    assert any(f"1 images are blank ({clinic / 'c.png'})" in note for note in told["notes"])


def test_a_name_that_is_not_utf8_is_left_out_by_name(model: Path, clinic: Path) -> None:
    odd = os.fsencode(clinic) + b"/benign_\xe9.png"
    try:
        shutil.copy(os.fsencode(clinic / "a.png"), odd)
    except OSError:
        pytest.skip("this file system takes UTF-8 names alone")
    for places in ([clinic], [clinic / "a.png", Path(os.fsdecode(odd))]):
        told = run_predict(model, places)
        (reason,) = told["left_out"]
        assert "not UTF-8" in reason and "\\xe9" in reason
        json.dumps(told).encode()


def test_without_a_readable_image_there_is_an_error_and_no_table(model: Path, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    (tmp_path / "bad.png").touch()
    for place, message in ((tmp_path / "none", "no image in there"), (tmp_path / "bad.png", "is empty")):
        with pytest.raises(DataError, match=message):
            run_predict(model, [place], table=tmp_path / "out.csv")
        assert not (tmp_path / "out.csv").exists()


def test_predictions_stay_when_the_rest_is_stopped(
    model: Path, clinic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trials.inference.predict.AT_ONCE", 2)
    decoded: list[Path] = []

    def stops_at_the_fifth(path: Path, **_: object) -> np.ndarray:
        decoded.append(path)
        if len(decoded) == 5:
            raise KeyboardInterrupt
        return np.full((20, 20), len(decoded), dtype=np.uint8)

    monkeypatch.setattr("trials.inference.predict.decode", stops_at_the_fifth)
    with pytest.raises(KeyboardInterrupt):
        run_predict(model, [clinic], table=tmp_path / "out.csv")
    assert [row["file"] for row in rows(tmp_path / "out.csv")] == list(map(str, decoded[:4]))


@pytest.mark.parametrize("rule", RULES)
def test_more_classes_are_called_by_the_frozen_rule_with_a_calibrated_probability_each(
    tmp_path: Path, rule: str
) -> None:
    model = load_model(save_untrained(tmp_path / "model", **RULES[rule]))
    files = pictures(tmp_path)
    told = run_predict(tmp_path / "model", files, table=tmp_path / "out.csv")
    logits = model.logits([decode(file) for file in files])
    shares = softmax(logits / 1.7, axis=1)
    for row, calibrated in zip(told["predictions"], shares, strict=True):
        assert [row[f"calibrated:{name}"] for name in CLASSES] == pytest.approx(calibrated, abs=1e-6)
    called = [CLASSES[index] for index in model.description.frozen.decision.call(logits)]
    assert [row["called"] for row in told["predictions"]] == called and len(set(called)) > 1
    certainty = model.description.frozen.decision.certainty(logits)
    assert [row["certainty"] for row in told["predictions"]] == pytest.approx(certainty, abs=1e-5)
    written = rows(tmp_path / "out.csv")
    assert [row["called"] for row in written] == called
    assert [float(row["calibrated:normal"]) for row in written] == [
        row["calibrated:normal"] for row in told["predictions"]
    ]
    words = {"argmax": "the likeliest class", "sensitivity": "malignant from", "costs": "the class of least"}
    assert told["decision"].startswith(words[rule])


def test_spreads_of_more_classes_are_those_of_the_called_one(tmp_path: Path) -> None:
    folders = [save_untrained(tmp_path / str(seed), seed, temperature=1.0 + seed) for seed in (0, 1)]
    models, (file, *_) = [load_model(folder) for folder in folders], pictures(tmp_path)
    (row,) = run_predict(folders[0], file, folders[1])["predictions"]
    each = [model.logits([decode(file)], view) for model in models for view in VIEWS]
    each = [softmax(np.concatenate(part), axis=1) for part in (each[: len(VIEWS)], each[len(VIEWS) :])]
    views = softmax(np.log(np.mean(each, axis=0)) / 1.5, axis=1)  # the mean of the temperatures
    index = int(np.mean(each, axis=0)[0].argmax())
    assert row["called"] == CLASSES[index]
    assert row[f"calibrated:{row['called']}"] == pytest.approx(views[0, index], abs=1e-6)
    assert row["std_over_views"] == pytest.approx(views[:, index].std(ddof=1), abs=1e-6)
    alone = [softmax(np.log(one[0]) / (1 + seed))[index] for seed, one in enumerate(each)]
    assert row["std_over_models"] == pytest.approx(np.std(alone, ddof=1), abs=1e-6)


def test_text_of_more_classes_has_the_called_one_and_the_runner_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = save_untrained(tmp_path / "model", warnings=("a doubt",), **RULES["costs"])
    files = pictures(tmp_path)
    assert main(["predict", str(model), *map(str, files)]) == 0
    said = capsys.readouterr().out
    told = run_predict(model, files)["predictions"]
    line = next(line for line in said.splitlines() if line.endswith(str(files[0])))
    shares = {name: told[0][f"calibrated:{name}"] for name in CLASSES}
    share = shares.pop(told[0]["called"])
    other = max(shares, key=lambda name: shares[name])
    expected = rf"{share:.3f} ±\S+ +{told[0]['called']} +{shares[other]:.3f} {other} "
    assert re.match(expected, line)
    assert "least expected cost, by calibrated probabilities" in said and "a doubt" in said
    assert main(["predict", str(model), *map(str, files), "--csv", str(tmp_path / "out.csv")]) == 0
    said = capsys.readouterr().out
    for name, count in Counter(row["called"] for row in told).items():
        assert f"{count} called {name}" in said


def test_models_of_other_rules_do_not_decide_together(tmp_path: Path) -> None:
    folders = {rule: save_untrained(tmp_path / rule, **RULES[rule]) for rule in RULES}
    (file, *_) = pictures(tmp_path)
    for other in ("sensitivity", "costs"):
        with pytest.raises(ModelError, match=f"{other}: calls .* the first model calls the likeliest class"):
            run_predict(folders["argmax"], file, folders[other])
