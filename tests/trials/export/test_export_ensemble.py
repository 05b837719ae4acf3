"""An exported ensemble is one graph, which gives the members' mean probability without the project."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from tests.helpers.exports import alone, ask, shares_of
from tests.helpers.images import write_table
from tests.helpers.models import pictures, save_untrained
from trials.data.covariates import fit_coding
from trials.data.files.decoding import decode
from trials.evaluation.decisions import Decision
from trials.export.export import run_export
from trials.models.model_file import load_model, save_ensemble
from trials.runs.predictions import Frozen

TWO = {"classes": ("benign", "malignant"), "positive": "malignant", "threshold": 0.5}
AGES = ["20", "50", "80", "", "35", "64"]


def age(*known: str) -> Any:
    return fit_coding({"age": known}, ["age"])


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return pictures(tmp_path_factory.mktemp("images"), 6)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """An ensemble in an ensemble, whose members look at squares of two sizes and code ages in two ways."""
    home = tmp_path_factory.mktemp("ensemble")
    frozen = Frozen(Decision(1, 0.25), 1.5, "", ())
    members = [
        save_untrained(home / "small", 1, **TWO),
        save_untrained(home / "large", 2, **TWO, image_size=24, covariates=age("20", "40"), mirror=True),
        save_untrained(home / "padded", 3, **TWO, fit="pad", image_size=24, covariates=age("50", "80")),
    ]
    save_ensemble(home / "inner", [(members[0], 1.0), (members[1], 2.0)], frozen)
    save_ensemble(home / "outer", [(home / "inner", 3.0), (members[2], 1.0)], frozen)
    run_export(home / "outer", home / "out")
    return home / "outer", home / "out"


NAMES = ["images_16_stretch", "images_24_stretch", "images_24_pad"]


def test_every_form_gives_the_models_probabilities(exported: tuple[Path, Path], images: list[Path]) -> None:
    folder, out = exported
    model = load_model(folder)
    expected = model.probabilities([decode(image) for image in images], covariates={"age": AGES})
    assert np.ptp(expected) > 0.1
    write_table(
        images[0].parent / "t.csv", ("file", "age"), *zip([i.name for i in images], AGES, strict=True)
    )
    answers = alone(out, "--covariates", images[0].parent / "t.csv", *images)
    odds = model.log_odds([decode(image) for image in images], covariates={"age": AGES})
    assert [answer["called_positive"] for answer in answers] == (odds >= 0.25).tolist()
    np.testing.assert_allclose(shares_of(answers), expected, atol=1e-5)


def test_runtimes_take_each_square_by_name(exported: tuple[Path, Path]) -> None:
    _, out = exported
    session = onnxruntime.InferenceSession(out / "model.onnx")
    assert [given.name for given in session.get_inputs()] == [*NAMES, "covariates"]
    random = torch.Generator().manual_seed(0)
    squares = [torch.randint(0, 256, (5, 1, s, s), generator=random, dtype=torch.uint8) for s in (16, 24, 24)]
    inputs = [*squares, torch.randn(5, 2, generator=random)]
    said = session.run(None, dict(zip([*NAMES, "covariates"], map(np.asarray, inputs), strict=True)))
    opened = torch.export.load(out / "model.pt2").module()(*inputs)
    for one, other in zip(said, opened, strict=True):
        assert one.dtype == np.float32
        np.testing.assert_allclose(one, other.detach().numpy(), atol=1e-5)


def test_metadata_and_card_say_the_members(exported: tuple[Path, Path]) -> None:
    _, out = exported
    metadata = json.loads((out / "metadata.json").read_text())
    card, described = metadata["model"], metadata["network_data_format"]["inputs"]
    assert list(described) == [*NAMES, "covariates"] and described["images_24_pad"]["spatial_shape"] == [
        24,
        24,
    ]
    assert len(described["covariates"]["channel_def"]) == 2
    shares = {tuple(member["inputs"]): member["weight"] for member in card["members"]}
    assert shares == {(NAMES[0],): 0.25, (NAMES[1],): 0.5, (NAMES[2],): 0.25}
    assert card["members"][0]["mirror"] and card["members"][0]["covariates"]["columns"][0]["name"] == "age"
    page = (out / "README.md").read_text()
    assert "# ensemble of 3" in page and "| 0.500 | cells | stretch to 24x24, bicubic (pixels)" in page
    assert "| `images_24_pad` | `[batch, 1, 24, 24]` | grey | pad, bicubic |" in page
    assert "weighted mean of the probabilities of 3 models; in some the mean over the image and" in page


def test_members_of_three_classes_that_look_at_one_square_leave_its_name(
    tmp_path: Path, images: list[Path]
) -> None:
    members = [(save_untrained(tmp_path / str(seed), seed), 1.0) for seed in (1, 2)]
    save_ensemble(tmp_path / "both", members, Frozen(Decision(), 1.5, "", ()))
    run_export(tmp_path / "both", tmp_path / "out")
    session = onnxruntime.InferenceSession(tmp_path / "out" / "model.onnx")
    assert [given.name for given in session.get_inputs()] == ["images"]
    answers = ask(tmp_path / "out", *images).answers
    expected = load_model(tmp_path / "both").probabilities([decode(image) for image in images])
    np.testing.assert_allclose(shares_of(answers), expected, atol=1e-5)
