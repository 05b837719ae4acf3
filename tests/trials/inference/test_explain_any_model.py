"""Maps of ensembles and classical models: over the image itself, of what the whole model depends on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.helpers.images import write_table
from tests.helpers.models import pictures, save_untrained
from trials.data.covariates import fit_coding
from trials.errors import ExplainError
from trials.evaluation.decisions import Decision
from trials.inference.explain import explain, run_explain
from trials.models.classical import ClassicalDescription, ClassicalModel, features_of, save_classical
from trials.models.classifiers import Linear, SupportVectors
from trials.models.ensemble import EnsembleDescription, EnsembleModel
from trials.models.model import Model
from trials.models.model_file import save_ensemble
from trials.models.network import NetworkDescription, TrainedModel
from trials.runs.predictions import Frozen

TWO = {"classes": ("benign", "malignant"), "positive": "malignant", "threshold": 0.5}
ACROSS = 10  # cells of `gradient_cells`


class Quarter(nn.Module):
    """Nothing but a quarter of a map: the upper left one, or the lower right."""

    def __init__(self, *, lower: bool) -> None:
        super().__init__()
        half = slice(16, 32) if lower else slice(0, 16)
        mask = torch.zeros(32, 32)
        mask[half, half] = 1
        self.register_buffer("mask", mask)

    def forward(self, images: Tensor) -> Tensor:
        return images * self.get_buffer("mask")


class BrightQuarter(nn.Module):
    """Calls images malignant that are bright in a quarter."""

    def __init__(self, *, lower: bool) -> None:
        super().__init__()
        self.map = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), Quarter(lower=lower))
        nn.init.ones_(self.map.get_parameter("0.weight"))

    def forward(self, images: Tensor) -> Tensor:
        score = 4 * self.map(images).mean((1, 2, 3))
        return torch.stack([-score, score], 1)


def network(*, lower: bool, fit: str = "stretch") -> TrainedModel:
    seen = {"channels": 1, "image_size": 32, "fit": fit, "mean": (0.4,), "std": (0.2,)}
    card = NetworkDescription.model_validate({**TWO, **seen, "network": {"kind": "cnn3"}})
    return TrainedModel(BrightQuarter(lower=lower).eval(), card)


def joined(members: Sequence[Model], weights: Sequence[float]) -> EnsembleModel:
    told = [{"folder": f"members/{at}", "weight": weight} for at, weight in enumerate(weights)]
    return EnsembleModel(members, EnsembleDescription.model_validate({**TWO, "members": told}))


def bright_cells() -> ClassicalModel:
    """A regression that looks at how bright the cells of the upper left quarter are."""
    weights = np.zeros((1, ACROSS**2 * 11))
    levels = weights[0, ACROSS**2 * 9 : ACROSS**2 * 10].reshape(ACROSS, ACROSS)
    levels[:5, :5] = 0.01
    card = {**TWO, "classifier": "logistic_regression", "features": ["gradient_cells"]}
    one = np.ones(weights.shape[1])
    classifier = Linear(0 * one, one, weights, np.array([-1.0]))
    return ClassicalModel(classifier, ClassicalDescription.model_validate(card))


@pytest.fixture
def image() -> np.ndarray:
    """Twice as wide as high, with two bright spots on grey: where it counts, and where it does not."""
    pixels = np.full((40, 80), 102, dtype=np.uint8)
    pixels[6:14, 12:28] = pixels[26:34, 52:68] = 255
    return pixels


SPOT, OTHER = (slice(7, 13), slice(14, 26)), (slice(27, 33), slice(54, 66))


def test_maps_of_an_ensemble_are_of_its_members_by_their_weights(image: np.ndarray) -> None:
    pytest.importorskip("captum")
    model = joined([network(lower=False), network(lower=True)], (0.75, 0.25))
    (one,) = explain(model, [image])
    assert one.seen is image and one.fit is None and set(one.maps) == {"grad_cam", "occlusion"}
    for found in one.maps.values():
        assert found.shape == image.shape
        assert found[SPOT].mean() > 2 * found[OTHER].mean() > 0
    (alone,) = explain(joined([network(lower=False)], [1.0]), [image], ["grad_cam"])
    (other,) = explain(joined([network(lower=True)], [1.0]), [image], ["grad_cam"])
    expected = 0.75 * alone.maps["grad_cam"] + 0.25 * other.maps["grad_cam"]
    np.testing.assert_allclose(one.maps["grad_cam"], expected, atol=1e-6)
    assert all(abs(correlation) < 0.99 for correlation in one.sanity.values())


def test_members_that_see_other_squares_map_the_same_image(image: np.ndarray) -> None:
    pytest.importorskip("captum")
    padded = joined([network(lower=False, fit="pad")], [1.0])
    (one,) = explain(padded, [image], ["grad_cam"])
    found = one.maps["grad_cam"]
    assert found.shape == image.shape
    assert found[8:12, 16:24].min() > 0.5 and np.abs(found[:, 50:]).max() < 1e-6


def test_a_classical_model_is_explained_by_what_it_says_when_parts_are_covered(image: np.ndarray) -> None:
    model = bright_cells()
    (one,) = explain(model, [image])
    (found,) = one.maps.values()
    assert set(one.maps) == {"occlusion"} and found[SPOT].min() > 0.01 > 1e-6 > np.abs(found[OTHER]).max()
    assert abs(one.sanity["occlusion"]) < 0.9
    (against,) = explain(model, [image], class_name="benign")
    np.testing.assert_allclose(against.maps["occlusion"], -found, atol=1e-9)
    with pytest.raises(ExplainError, match="has no map 'grad_cam', only occlusion"):
        explain(model, [image], ["grad_cam"])


def test_support_vectors_change_their_coefficients_for_the_sanity_check(image: np.ndarray) -> None:
    random, card = np.random.default_rng(0), bright_cells().description
    vectors = features_of(card.features, [image], None) + random.normal(0, 100, (8, card.inputs))
    one = np.ones(card.inputs)

    def sanity(coefficients: np.ndarray) -> float:
        machine = SupportVectors(0 * one, one, vectors, coefficients, np.zeros(1), np.array([1e-7]))
        model = ClassicalModel(machine, card.model_copy(update={"classifier": "svm"}))
        (found,) = explain(model, [image])
        return found.sanity["occlusion"]

    assert abs(sanity(random.normal(size=(1, 8)))) < 0.99
    assert sanity(np.full((1, 8), 0.5)) == pytest.approx(1)  # all alike: nothing is learned


def covariates_alone() -> ClassicalModel:
    coding = fit_coding({"age": ["30", "50", "70"]}, ["age"])
    count = len(coding.inputs)
    card = ClassicalDescription.model_validate(
        {**TWO, "classifier": "logistic_regression", "covariates": coding.model_dump()}
    )
    return ClassicalModel(Linear(np.zeros(count), np.ones(count), np.ones((1, count)), np.zeros(1)), card)


def test_what_sees_no_image_has_no_map(image: np.ndarray) -> None:
    for model in (covariates_alone(), joined([covariates_alone()], [1.0])):
        with pytest.raises(ExplainError, match="looks at covariates alone, and maps are of images"):
            explain(model, [image], covariates={"age": ["40"]})


def test_the_command_explains_an_ensemble_with_a_member_that_takes_covariates(tmp_path: Path) -> None:
    pytest.importorskip("captum")
    ages = tmp_path / "ages"
    ages.mkdir()
    save_classical(ages, covariates_alone())
    net = save_untrained(tmp_path / "network", **TWO)
    frozen = Frozen(Decision(1, 0.25), 1.5, "", ())
    save_ensemble(tmp_path / "model", [(net, 0.5), (ages, 0.5)], frozen)
    (file, *_) = pictures(tmp_path)
    write_table(tmp_path / "ages.csv", ("file", "age"), (file.name, "40"))
    told = run_explain(tmp_path / "model", file, tmp_path / "out", covariates=tmp_path / "ages.csv")
    (row,) = told["explanations"]
    assert set(row["sanity"]) == {"grad_cam", "occlusion"} and (tmp_path / "out" / row["picture"]).is_file()
