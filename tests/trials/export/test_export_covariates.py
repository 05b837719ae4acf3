"""An exported model that takes covariates does so without the project, from a table."""

from __future__ import annotations

import json
import re
import runpy
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from tests.helpers.exports import ask, shares_of
from tests.helpers.images import write_table
from tests.helpers.models import pictures, save_untrained
from trials.data.covariates import CovariateCoding, fit_coding
from trials.data.files.decoding import decode
from trials.errors import ExportError
from trials.evaluation.decisions import probabilities
from trials.export import export
from trials.export.export import run_export
from trials.models.model_file import load_model

TWO = {"classes": ("benign", "malignant"), "positive": "malignant", "threshold": 0.5}
CELLS = {
    "age": ["20", "50", "80", "", "old", "-3"],
    "device": ["GE", "philips", "Sony", "?", " ge", "Philips"],
    "ratio": ["1.5", "0.5", "1", "2", "0", "?"],
}
CODING = fit_coding(
    {"age": ["20", "50", "80"], "device": ["GE", "Philips", ""], "ratio": ["1", "2", "3"]},
    ["age", "device", "ratio"],
    log=["age"],
)


@pytest.fixture(scope="module", params=[{}, TWO], ids=["three classes", "two classes"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_untrained(tmp_path_factory.mktemp("covariates") / "model", **request.param, covariates=CODING)


@pytest.fixture(scope="module")
def exported(model: Path) -> Path:
    """The export of that model; never written to."""
    out = model.with_name("out")
    result = run_export(model, out)
    assert set(result["largest_difference"]) == {"model.onnx", "model.pt2", "model.safetensors"}
    return out


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    (tmp_path / "images").mkdir()
    return pictures(tmp_path / "images", 6)


def table(images: list[Path], **columns: list[str]) -> Path:
    path = images[0].parent / "cells.csv"
    rows = zip([image.name for image in images], *columns.values(), strict=True)
    write_table(path, ("file", *columns), *rows)
    return path


def answers(folder: Path, *arguments: str | Path) -> list[dict[str, Any]]:
    told = ask(folder, *arguments)
    assert not told.ended, told.words
    return told.answers


def test_the_loader_reads_a_table_and_says_what_the_model_says(
    model: Path, exported: Path, images: list[Path]
) -> None:
    trained = load_model(model)
    logits = trained.logits([decode(image) for image in images], covariates=CELLS)
    said = answers(exported, "--covariates", table(images, **CELLS), *images)
    np.testing.assert_allclose(shares_of(said), probabilities(logits), atol=1e-5)


def test_the_loader_says_which_cells_are_unlike_those_of_the_training_images(
    exported: Path, images: list[Path]
) -> None:
    told = ask(exported, "--covariates", table(images, **CELLS), *images)
    assert "covariate device: 1 of 6 images have a value that no training image has" in told.words
    usual = {"age": ["20"] * 6, "device": [" ge"] * 6, "ratio": ["2"] * 6}
    usual_told = ask(exported, "--covariates", table(images, **usual), *images)
    assert not usual_told.ended and "covariate " not in usual_told.words


def test_the_loader_says_of_cells_what_predict_says(tmp_path: Path) -> None:
    loader = tmp_path / "load_model.py"
    shutil.copyfile(Path(export.__file__).with_name("load_model.py"), loader)
    (tmp_path / "metadata.json").write_text(json.dumps({"model": {"covariates": CODING.model_dump()}}))
    cells = {
        "age": ["81", "1e16", "n/a", "Unknown", "(none)", "0", "100", "101", "102", "103", "104"],
        "device": ["GE", "not given", "Sony", "sony ", "", "?", "-", "nan", "ge", "PHILIPS", "ﬁ"],
        "ratio": ["1", "2", "3", "2.5", "1.0", "1", "2", "3", "2", "1", "4"],
    }
    rows = [dict(zip(cells, row, strict=True)) for row in zip(*cells.values(), strict=True)]
    said = runpy.run_path(str(loader))["notes"](rows)
    assert said == CODING.doubts(cells) and len(said) == 5


def test_both_runtimes_name_the_second_input_and_the_card_its_columns(exported: Path) -> None:
    stored = onnx.load(exported / "model.onnx")
    assert [given.name for given in stored.graph.input] == ["images", "covariates"]
    assert stored.graph.input[1].type.tensor_type.shape.dim[1].dim_value == len(CODING.inputs) == 5
    inputs = json.loads((exported / "metadata.json").read_text())["network_data_format"]["inputs"]
    assert list(inputs["covariates"]["channel_def"].values()) == list(CODING.inputs)
    card = (exported / "README.md").read_text()
    assert "| logarithm of age, less" in card and "| device | GE, Philips |" in card and "20 to 80" in card
    assert 'given["covariates"] = code(read_cells(' in card and "--covariates TABLE.csv IMAGE..." in card
    code = (exported / "network.py").read_text()
    assert re.search(r"^def network\(images, covariates, weights\):$", code, re.M)


def test_width_and_height_tell_the_ratio(exported: Path, images: list[Path]) -> None:
    columns = {"age": ["50"] * 6, "device": ["GE"] * 6}
    told = answers(exported, "--covariates", table(images, **columns, ratio=["1.5"] * 6), *images)
    sized = table(images, **columns, width=["30"] * 6, height=["20"] * 6)
    assert answers(exported, "--covariates", sized, *images) == told


def test_the_images_own_size_is_measured(images: list[Path], tmp_path: Path) -> None:
    cells = {"age": ["20", "50", "80"], "width": ["20", "30", "40"], "ratio": ["1", "2", "3"]}
    fitted = fit_coding(cells, list(cells)).columns
    own = [fitted[0], *(column.model_copy(update={"of_image": True}) for column in fitted[1:])]
    for name, columns in (("sized", own[1:]), ("aged", own)):
        save_untrained(tmp_path / name, **TWO, covariates=CovariateCoding(columns=tuple(columns)))
        run_export(tmp_path / name, tmp_path / "out" / name)
    sizes = {"width": ["24"] * 6, "height": ["24"] * 6}
    given = table(images, **sizes)
    told = answers(tmp_path / "out" / "sized", "--covariates", given, *images)
    assert answers(tmp_path / "out" / "sized", *images) == told
    assert "Unless a table tells them, width, ratio are" in (tmp_path / "out/sized/README.md").read_text()
    told = answers(tmp_path / "out" / "aged", "--covariates", table(images, age=["33"] * 6, **sizes), *images)
    assert answers(tmp_path / "out" / "aged", "--covariates", table(images, age=["33"] * 6), *images) == told


def test_the_loader_refuses_what_does_not_fit(exported: Path, images: list[Path]) -> None:
    said = ask(exported, *images)
    assert said.ended
    assert "--covariates TABLE.csv, whose first line is file,age,device,ratio" in said.words
    said = ask(exported, "--covariates", table(images, age=["1"] * 6), *images)
    assert said.ended and "no column device, width, height; its first line has file, age" in said.words
    few = table(images, **CELLS)
    few.write_text("".join(few.read_text().splitlines(keepends=True)[:-1]))
    said = ask(exported, "--covariates", few, *images)
    assert not said.ended and "no row of" in said.words
    few.write_text(few.read_text() + f"{images[0].name},99,GE,1\n")
    said = ask(exported, "--covariates", few, *images)
    assert said.ended and "2 rows may be of" in said.words
    assert "usage" in ask(exported, "--covariates", few).words


def test_a_model_without_covariates_refuses_a_table(images: list[Path], tmp_path: Path) -> None:
    run_export(save_untrained(tmp_path / "plain", **TWO), tmp_path / "out")
    assert "Covariates" not in (tmp_path / "out" / "README.md").read_text()
    (images[0].parent / "cells.csv").write_text("file,age\n")
    said = ask(tmp_path / "out", "--covariates", images[0].parent / "cells.csv", *images)
    assert said.ended and "the model takes 0 of 6 images" in said.words


def test_an_export_that_codes_otherwise_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = save_untrained(tmp_path / "model", **TWO, covariates=CODING)
    copy = export.shutil.copyfile

    def spoilt(source: Path, target: Path) -> None:
        copy(source, target)
        target.write_text(target.read_text().replace('- column["mean"]', '+ column["mean"]'))

    monkeypatch.setattr(export.shutil, "copyfile", spoilt)
    with pytest.raises(ExportError, match="codes covariates otherwise than the model"):
        run_export(model, tmp_path / "out")
    assert not (tmp_path / "out").exists()
