"""Models that take covariates are used with a table of them."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.images import write_table
from tests.helpers.models import describe, pictures, save_untrained
from trials.cli import main
from trials.data.covariates import CovariateCoding, coding_of, fit_coding
from trials.data.files.decoding import decode
from trials.data.load import load_data
from trials.errors import DataError
from trials.inference.explain import explain, run_explain
from trials.inference.predict import run_predict
from trials.models.model_file import load_model
from trials.models.network import save_network
from trials.settings.load import load_settings

AGES, DEVICES = ("20", "50", "80", ""), ("GE", "Philips", "GE", "GE")
TWO = {"classes": ("benign", "malignant"), "positive": "malignant", "threshold": 0.5}
CODING = fit_coding({"age": AGES, "device": DEVICES}, ["age", "device"])


def save(folder: Path, **changes: object) -> Path:
    """Write an untrained model to which age and device mean something."""
    return save_untrained(folder, **changes, covariates=CODING)


@pytest.fixture(params=[{}, TWO], ids=["three classes", "two classes"])
def model(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return save(tmp_path / "model", **request.param)


@pytest.fixture
def two(tmp_path: Path) -> Path:
    return save(tmp_path / "two", **TWO)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    pictures(tmp_path / "images", 4)
    return tmp_path / "images"


def table(folder: Path, *rows: tuple[str, ...], head: tuple[str, ...] = ("file", "age", "device")) -> Path:
    write_table(folder / "cells.csv", head, *rows)
    return folder / "cells.csv"


def full(folder: Path) -> Path:
    return table(folder, *((f"{i:02}.png", AGES[i], DEVICES[i]) for i in range(4)))


def test_predictions_are_those_of_the_model_with_the_images_own_cells(model: Path, images: Path) -> None:
    rows = run_predict(model, images, covariates=full(images))["predictions"]
    trained, cells = load_model(model), {"age": AGES, "device": DEVICES}
    expected = trained.probabilities([decode(images / f"{i:02}.png") for i in range(4)], covariates=cells)
    if "probability" in rows[0]:
        assert [row["probability"] for row in rows] == pytest.approx(expected[:, 1].tolist())
    else:
        assert [row["called"] for row in rows] == [trained.description.classes[i] for i in expected.argmax(1)]
    other = table(images, *((f"{i:02}.png", AGES[-1 - i], DEVICES[-1 - i]) for i in range(4)))
    assert run_predict(model, images, covariates=other)["predictions"] != rows


def test_the_command_takes_a_table(two: Path, images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = images / "out.csv"
    asked = ["predict", str(two), str(images), "--covariates", str(full(images)), "--csv", str(out)]
    assert main(asked) == 0
    with out.open(newline="") as lines:
        written = [float(row["probability"]) for row in csv.DictReader(lines)]
    expected = run_predict(two, images, covariates=full(images))["predictions"]
    assert written == [row["probability"] for row in expected]
    assert main(["predict", str(two), str(images)]) != 0
    said = capsys.readouterr().err
    assert "takes covariates beside the images, age, device; give a table" in said
    assert "\nfile,age,device\n" in said


def test_rows_are_found_by_path_before_name(two: Path, tmp_path: Path) -> None:
    for place in ("a", "b"):
        (tmp_path / "scans" / place).mkdir(parents=True)
        pictures(tmp_path / "scans" / place, 1)
    scans = tmp_path / "scans"
    by_path = table(scans, ("a/00.png", "20", "GE"), (str(scans / "b" / "00.png"), "80", "Philips"))
    rows = run_predict(two, scans, covariates=by_path)["predictions"]
    assert rows[0]["probability"] != rows[1]["probability"]
    with pytest.raises(DataError, match=r"one row is named as both .*a/00\.png and .*b/00\.png; name each"):
        run_predict(two, scans, covariates=table(scans, ("00.png", "20", "GE")))
    with pytest.raises(DataError, match=r"2 rows are named 00\.png, and none has the path of .*a/00\.png"):
        cells = table(scans, ("c/00.png", "20", "GE"), ("d/00.png", "30", "GE"))
        run_predict(two, scans / "a", covariates=cells)
    with pytest.raises(DataError, match=r"a/00\.png has two rows that differ"):
        run_predict(two, scans, covariates=table(scans, ("a/00.png", "1", "GE"), ("a/00.png", "2", "GE")))


def test_what_is_missing_or_unknown_is_said(two: Path, images: Path) -> None:
    cells = table(images, ("00.png", "20", "Sony"), ("01.png", "old", "GE"), ("02.png", "99", "GE"))
    notes = "\n".join(run_predict(two, images, covariates=cells)["notes"])
    assert "1 of 4 images have no row in" in notes and "03.png" in notes
    assert "covariate device: 1 of 4 images have a value that no training image has" in notes
    assert "covariate age: 1 of 4 images have a cell that is no number, coded as missing ('old')" in notes
    assert "lie beyond the training images' 20 to 80 (99)" in notes


def test_a_table_that_says_nothing_is_refused(two: Path, images: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no column device"):
        run_predict(two, images, covariates=table(images, ("00.png", "20"), head=("file", "age")))
    with pytest.raises(DataError, match="has a row for none of 4 images"):
        run_predict(two, images, covariates=table(images, ("x.png", "20", "GE")))
    plain = save_untrained(tmp_path / "plain")
    with pytest.raises(DataError, match="takes no covariates; leave the table out"):
        run_predict(plain, images, covariates=full(images))


def test_models_together_take_each_what_it_knows(two: Path, images: Path, tmp_path: Path) -> None:
    plain = save_untrained(tmp_path / "plain", **TWO)
    found = run_predict(plain, images, two, covariates=full(images))
    assert found["models"] == 2 and len(found["predictions"]) == 4


def test_width_and_height_tell_the_ratio(images: Path, tmp_path: Path) -> None:
    coding = fit_coding({"ratio": ["1", "2", "3"]}, ["ratio"])
    description = describe(**TWO, covariates=coding)
    (tmp_path / "sized").mkdir()
    save_network(tmp_path / "sized", description.build(), description, description.build_head())
    size = table(images, *((f"{i:02}.png", "30", "20") for i in range(4)), head=("file", "width", "height"))
    sized = run_predict(tmp_path / "sized", images, covariates=size)["predictions"]
    told = table(images, *((f"{i:02}.png", "1.5") for i in range(4)), head=("file", "ratio"))
    assert run_predict(tmp_path / "sized", images, covariates=told)["predictions"] == sized


def test_maps_hold_the_covariates_as_they_are(model: Path, images: Path, tmp_path: Path) -> None:
    pytest.importorskip("captum")
    trained = load_model(model)
    pixels, cells = [decode(images / "00.png")], {"age": ["20"], "device": ["GE"]}
    (found,) = explain(trained, pixels, class_name="malignant", covariates=cells)
    assert trained.head
    alone = describe(**({} if len(trained.description.classes) > 2 else TWO))
    (plain,) = explain(type(trained)(trained.network, alone), pixels, class_name="malignant")
    assert found.logits == pytest.approx(trained.logits(pixels, covariates=cells)[0])
    if len(trained.description.classes) == 2:  # of more, the log odds against the others depend on all logits
        for name, of_network in plain.maps.items():
            assert np.allclose(found.maps[name], of_network, atol=1e-4)
    with pytest.raises(DataError, match="takes covariates beside the images"):
        run_explain(model, images / "00.png", tmp_path / "maps")
    written = run_explain(model, images / "00.png", tmp_path / "maps", covariates=full(images))
    assert len(written["explanations"]) == 1


# An image's own size ----------------------------------------------------------------------------------------


@pytest.fixture
def sized(tmp_path: Path) -> Path:
    """A model to which an image's own width and age mean something, by data whose boxes are the images."""
    folder = tmp_path / "crops"
    folder.mkdir()
    random = np.random.default_rng(0)
    rows = []
    for i in range(12):
        width, height = 24 + 2 * i, 40 - i
        Image.fromarray(random.integers(0, 256, (height, width), np.uint8)).save(folder / f"{i:02}.png")
        rows.append((f"{i:02}.png", ("benign", "malignant")[i % 2], width, height, 30 + i))
    write_table(folder / "manifest.csv", ("file", "label", "width", "height", "age"), *rows)
    return folder


def coding(data: Path, *names: str) -> CovariateCoding:
    found = coding_of(load_data(data, load_settings("quick", {"data.covariates": names})), np.arange(8))
    assert found is not None
    return found


def test_a_size_that_is_the_images_own_needs_no_table(sized: Path, tmp_path: Path) -> None:
    names = ("width", "height", "ratio")
    fitted = coding(sized, *names)
    assert fitted.of_image == names
    model = save_untrained(tmp_path / "model", **TWO, covariates=fitted)
    asked = run_predict(model, sized / "11.png")
    table = tmp_path / "sizes.csv"
    write_table(table, ("file", "width", "height"), (str(sized / "11.png"), "46", "29"))
    assert asked["predictions"] == run_predict(model, sized / "11.png", covariates=table)["predictions"]
    assert asked["notes"][0].startswith("width, height, ratio: each image's own, in pixels; give crops at")
    assert "covariate width: 1 of 1 images lie beyond the training images' 24 to 38 (46)" in asked["notes"]
    pixels = decode(sized / "11.png")
    [row], [alone] = asked["predictions"], load_model(model).probabilities([pixels])
    assert row["probability"] == pytest.approx(alone[1])


def test_beside_a_table_of_other_covariates_the_size_is_measured(sized: Path, tmp_path: Path) -> None:
    model = save_untrained(tmp_path / "model", **TWO, covariates=coding(sized, "age", "width"))
    with pytest.raises(DataError, match="age, width; give a table"):
        run_predict(model, sized / "03.png")
    ages, both = tmp_path / "ages.csv", tmp_path / "both.csv"
    write_table(ages, ("file", "age"), (str(sized / "03.png"), "33"))
    write_table(both, ("file", "age", "width", "height"), (str(sized / "03.png"), "33", "30", "37"))
    found = [run_predict(model, sized / "03.png", covariates=given)["predictions"] for given in (ages, both)]
    assert found[0] == found[1]


def test_a_size_that_is_not_the_images_own_is_asked_for(sized: Path) -> None:
    manifest = sized / "manifest.csv"
    manifest.write_text(manifest.read_text().replace(",46,29,", ",92,58,"))
    assert coding(sized, "width").of_image == ()
