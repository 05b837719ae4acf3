"""Exported classical models, and ensembles with one, give the model's probabilities without the project."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image

from tests.helpers.exports import alone, ask, shares_of
from tests.helpers.images import write_table
from tests.helpers.models import CLASSES, pictures, save_untrained
from trials.data.covariates import CovariateCoding, fit_coding
from trials.data.files.decoding import decode
from trials.data.images import to_tensor
from trials.errors import ExportError
from trials.evaluation.decisions import Decision
from trials.export.claim import claim
from trials.export.contents import Contents
from trials.export.export import run_export
from trials.export.origin import Origin
from trials.methods.learners import Fitted, LogisticLearner, Samples, SVMLearner
from trials.models.classical import ClassicalDescription, ClassicalModel, features_of, save_classical
from trials.models.model_file import load_model, save_ensemble
from trials.runs.predictions import Frozen

TWO = {"classes": ("benign", "malignant"), "positive": "malignant", "threshold": 0.5}
WIDTHS = ["20", "50.5", "80", "33", "64", "41"]
BOX = fit_coding({"width": ["20", "50", "90"]}, ["width"], log=["width"])


def fitted(features: np.ndarray, truth: np.ndarray, classifier: str) -> Fitted:
    groups = np.arange(len(truth)).astype(str)
    if classifier == "svm":
        return SVMLearner(cs=(1.0,))(Samples(features, truth, groups, slice(5)), 0)
    return LogisticLearner()(Samples(features, truth, groups), 0)


def save_fitted(
    folder: Path,
    classes: int,
    features: tuple[str, ...],
    classifier: str = "svm",
    coding: CovariateCoding | None = BOX,
    *,
    mirror: bool = False,
) -> Path:
    """Write a classifier that has learned how coarse images and how wide lesions of each class are."""
    folder.mkdir(parents=True)
    random, labels = np.random.default_rng(1), np.arange(30) % classes
    grains = [
        random.integers(0, 256, (2 + label + random.integers(2),) * 2, dtype=np.uint8) for label in labels
    ]
    images = [np.asarray(Image.fromarray(one).resize((24, 24), Image.Resampling.BICUBIC)) for one in grains]
    cells = {"width": [str(20 + 9 * label + random.integers(60)) for label in labels]}
    inputs = features_of(features, images, coding.code(cells, np.float64) if coding else None)
    learned = fitted(inputs, labels == 1 if classes == 2 else labels, classifier)
    told: dict[str, Any] = dict(TWO) if classes == 2 else {"classes": CLASSES}
    card = ClassicalDescription(
        **told, classifier=classifier, features=features, covariates=coding, mirror=mirror, temperature=1.3
    )
    save_classical(folder, ClassicalModel(learned.classifier, card))
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return pictures(tmp_path_factory.mktemp("images"), 6)


def agrees(folder: Path, out: Path, images: list[Path], *, apart: bool = False) -> None:
    """Assert that loader, ONNX and program say what the model says of images that differ to it.

    The loader is asked in a Python of its own where it is to be `apart`.
    """
    table = images[0].parent / "cells.csv"
    write_table(table, ("file", "width"), *zip([image.name for image in images], WIDTHS, strict=True))
    model, pixels = load_model(folder), [decode(image) for image in images]
    given = {"width": WIDTHS}
    expected = model.probabilities(pixels, covariates=given)
    assert np.ptp(expected, axis=0).min() > 0.01
    asked = ("--covariates", table, *images)
    answers = alone(out, *asked) if apart else ask(out, *asked).answers
    np.testing.assert_allclose(shares_of(answers), expected, atol=1e-5)
    squares = json.loads((out / "metadata.json").read_text())["model"]["squares"]
    inputs = {name: coloured(pixels, square) for name, square in squares.items()}
    coded = model.inputs(given, pixels)
    inputs |= {} if coded is None else {"covariates": torch.from_numpy(coded)}
    session = onnxruntime.InferenceSession(out / "model.onnx")
    assert [one.name for one in session.get_inputs()] == list(inputs)
    (said, *_) = session.run(None, {name: value.numpy() for name, value in inputs.items()})
    np.testing.assert_allclose(said, expected, atol=1e-5)
    (said, *_) = torch.export.load(out / "model.pt2").module()(*inputs.values())
    np.testing.assert_allclose(said.detach().numpy(), expected, atol=1e-5)


def coloured(pixels: list[np.ndarray], square: dict[str, Any]) -> torch.Tensor:
    """Return grey images as squares of three channels."""
    return to_tensor(pixels, square["image_size"], square["fit"]).expand(-1, 3, -1, -1)


@pytest.mark.parametrize("classes", [2, 3])
def test_an_svm(classes: int, images: list[Path], tmp_path: Path) -> None:
    folder = save_fitted(tmp_path / "model", classes, ("gradients", "gradient_cells"), mirror=True)
    told = run_export(folder, tmp_path / "out")
    assert max(told["largest_difference"].values()) < 1e-5
    agrees(folder, tmp_path / "out", images, apart=classes == 2)
    page = (tmp_path / "out" / "README.md").read_text()
    assert "# svm of gradients and gradient_cells and covariates" in page
    assert "All take uint8 images `[batch, 3, 100, 100]`" in page


def test_the_card_names_no_epochs_and_no_random_start_of_what_has_none(tmp_path: Path) -> None:
    retrain = {"optimizer": "adamw", "epochs": 9, "batch_size": 8, "learning_rate": 0.1, "weight_decay": 0.0}
    origin = Origin({"seed": 3}, {"settings": {"retrain": retrain}})
    for folder, epochs in (
        (save_fitted(tmp_path / "svm", 2, ()), 0),
        (save_untrained(tmp_path / "net", **TWO), 1),
    ):
        said = {item.number: item.known or "" for item in claim(Contents.of(load_model(folder)), origin, [])}
        assert ("9 epochs" in said[25], "last epoch" in said[26]) == (bool(epochs), bool(epochs))
        assert said[24] == ("random, seed 3" if epochs else "none: nothing begins at random")


def test_an_ensemble_of_a_network_and_an_svm(images: list[Path], tmp_path: Path) -> None:
    svm = save_fitted(tmp_path / "svm", 3, ("gradients",))
    network = save_untrained(tmp_path / "network", channels=3)
    frozen = Frozen(Decision(), 1.5, "", ())
    save_ensemble(tmp_path / "model", [(svm, 0.6), (network, 0.4)], frozen)
    run_export(tmp_path / "model", tmp_path / "out")
    names = list(json.loads((tmp_path / "out" / "metadata.json").read_text())["model"]["squares"])
    assert names == ["images_100", "images_16"]
    agrees(tmp_path / "model", tmp_path / "out", images)
    page = (tmp_path / "out" / "README.md").read_text()
    assert "| 0.600 | svm of gradients and covariates | stretch to 100x100, bicubic (pixels) | no |" in page


def test_a_regression_of_covariates_alone_takes_no_images(images: list[Path], tmp_path: Path) -> None:
    folder = save_fitted(tmp_path / "model", 2, (), "logistic_regression")
    run_export(folder, tmp_path / "out")
    agrees(folder, tmp_path / "out", images)
    assert "uint8 images" not in (tmp_path / "out" / "README.md").read_text()


def test_what_no_square_shows_is_not_exported(tmp_path: Path) -> None:
    folder = save_fitted(tmp_path / "model", 2, ("statistics",), coding=None)
    with pytest.raises(ExportError, match=r"model\.safetensors: sees statistics of images in their own size"):
        run_export(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()
