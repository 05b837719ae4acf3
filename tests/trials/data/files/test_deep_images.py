"""A model trained on images of 16 bits reads every image as its training did."""

import csv
import json
import runpy
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from trials.cli import main
from trials.data.files.decoding import decode
from trials.data.files.grey_range import GreyRange
from trials.data.images import to_tensor
from trials.data.phantoms import make_phantoms
from trials.errors import DataError
from trials.export.export import run_export
from trials.inference.predict import run_predict
from trials.models.model_file import load_model
from trials.pipeline.evaluate import run_evaluate, text_table

Retrain = Callable[..., Mapping[str, Any]]


def deepen(folder: Path, factor: int) -> None:
    """Store the same pictures with more bits, every third of them a dark exposure."""
    for number, path in enumerate(sorted(folder.glob("*.png"))):
        values = np.asarray(Image.open(path)).astype(np.uint16) * factor
        Image.fromarray(values // 20 if number % 3 == 0 else values).save(path)


@pytest.fixture(scope="module")
def deep(lesions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = shutil.copytree(lesions, tmp_path_factory.mktemp("deep") / "synthetic")
    deepen(folder, 16)
    return folder


@pytest.fixture(scope="module")
def trained(deep: Path, retrain: Retrain, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained") / "fold0"
    retrain(out, data=deep)
    return out


def test_prediction_of_one_image_equals_that_of_the_test(deep: Path, trained: Path) -> None:
    known = load_model(trained).description.grey_range
    assert known is not None and known.black == 0 and 2000 < known.white <= 4095
    with (trained / "predictions.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert any(
        np.asarray(Image.open(deep / row["file"])).max() < 256 for row in rows
    )  # alone it looks like 8 bits
    for row in rows:
        (told,) = run_predict(trained, [deep / row["file"]])["predictions"]
        assert told["probability"] == pytest.approx(float(row["probability"]), abs=1e-6), row["file"]
    noted = json.loads((trained / "retrain.json").read_text())["data"]
    assert noted["grey_range"] == list(known) and "store more than 8 bits" in noted["notes"][0]


def test_external_images_are_read_by_the_models_range(trained: Path, tmp_path: Path) -> None:
    make_phantoms(tmp_path / "elsewhere", count=12, side=40, seed=9)
    deepen(tmp_path / "elsewhere", 16)
    result = run_evaluate([trained], tmp_path / "out", tmp_path / "elsewhere")
    assert "the range that the model was trained on" in " ".join(result["external"]["findings"])
    assert "the range that the model was trained on" in text_table(result)
    deepen(tmp_path / "elsewhere", 3)
    with pytest.raises(DataError, match="half of its values lie beyond 0 to"):
        run_evaluate([trained], tmp_path / "again", tmp_path / "elsewhere")


def test_an_empty_range_is_refused(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = shutil.copytree(trained, tmp_path / "broken")
    described = json.loads((broken / "model.json").read_text()) | {"grey_range": [9, 9]}
    (broken / "model.json").write_text(json.dumps(described))
    (broken / "run.json").unlink()
    assert main(["predict", str(broken), "x.png"]) == 1
    assert "expected black below white" in capsys.readouterr().err


def test_the_export_reads_by_the_models_range(deep: Path, trained: Path, tmp_path: Path) -> None:
    run_export(trained, tmp_path / "export")
    square = runpy.run_path(str(tmp_path / "export" / "load_model.py"))["square"]
    card = load_model(trained).description
    for path in sorted(deep.glob("*.png"))[:6]:
        pixels = decode(path, grey_range=card.grey_range)
        expected = to_tensor([pixels], card.image_size, card.fit, card.channels)[0]
        assert np.array_equal(square(path), expected.expand(card.channels, -1, -1)), path
    assert f"the values {card.grey_range}" in (tmp_path / "export" / "README.md").read_text()
    assert isinstance(card.grey_range, GreyRange)
