"""The modules' numbers are those of the classifiers that scikit-learn has fitted."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from torch import Tensor, nn

from trials.models.classifier_modules import Linear, Scaler, Sigmoids, SupportVectors


def examples(classes: int, count: int = 90) -> tuple[np.ndarray, np.ndarray]:
    """Return features [count, 5] of overlapping classes, and labels."""
    random = np.random.default_rng(classes)
    labels = np.arange(count) % classes
    return random.normal(size=(count, 5)) + 0.6 * labels[:, None] * random.normal(size=5), labels


def tensors(*arrays: np.ndarray) -> list[Tensor]:
    return [torch.from_numpy(np.atleast_1d(array)) for array in arrays]


def pair_coefficients(dual: np.ndarray, counts: Sequence[int]) -> np.ndarray:
    """Return the coefficients [pairs, n] of each pair of classes, of `SVC`'s `dual_coef_` [k - 1, n].

    `counts` are its `n_support_`: vectors lie behind one another by class, and the row of a vector's
    coefficient is the other class, counted without its own.
    """
    starts = np.cumsum([0, *counts])
    found = np.zeros((len(counts) * (len(counts) - 1) // 2, dual.shape[1]))
    for row, (first, second) in zip(found, combinations(range(len(counts)), 2), strict=True):
        for own, other in ((first, second - 1), (second, first)):
            of_class = slice(starts[own], starts[own + 1])
            row[of_class] = dual[other, of_class]
    return found


def machine(fitted: SVC) -> SupportVectors:
    dual = pair_coefficients(fitted.dual_coef_, fitted.n_support_)
    return SupportVectors(*tensors(fitted.support_vectors_, dual, fitted.intercept_), fitted.gamma)


def runtimes(module: nn.Module, features: np.ndarray, folder: Path) -> np.ndarray:
    """Return what ONNX says, after a look that the program says the same."""
    (given,) = tensors(features)
    batch = {0: torch.export.Dim("batch")}
    program = torch.export.export(module, (given[:2],), dynamic_shapes=(batch,))
    opened = program.module()(given).numpy()
    axes = {"given": {0: "batch"}, "said": {0: "batch"}}
    torch.onnx.export(
        module, (given[:2],), folder / "m.onnx", dynamo=False, input_names=["given"], output_names=["said"],
        dynamic_axes=axes,
    )  # fmt: skip
    (said,) = onnxruntime.InferenceSession(folder / "m.onnx").run(None, {"given": features})
    np.testing.assert_allclose(opened, said, atol=1e-9)
    return np.asarray(said)


@pytest.mark.parametrize("classes", [2, 3, 4])
@pytest.mark.filterwarnings("ignore")
def test_support_vectors_and_sigmoids(classes: int, tmp_path: Path) -> None:
    features, labels = examples(classes)
    calibrated = CalibratedClassifierCV(SVC(gamma=0.1), cv=3, ensemble=False).fit(features, labels)
    (one,) = calibrated.calibrated_classifiers_
    new = examples(classes, 300)[0] * 1.5
    scores = one.estimator.decision_function(new).reshape(len(new), -1)
    svm = machine(one.estimator)
    np.testing.assert_allclose(svm(torch.from_numpy(new)).numpy(), scores, atol=1e-9)
    sides = [np.array([getattr(sigmoid, name) for sigmoid in one.calibrators]) for name in ("a_", "b_")]
    said = runtimes(nn.Sequential(svm, Sigmoids(*tensors(*sides))), new, tmp_path)
    expected = calibrated.predict_proba(new)
    found = 1 / (1 + np.exp(-said[:, 0])) if classes == 2 else np.exp(said)
    np.testing.assert_allclose(found, expected[:, 1] if classes == 2 else expected, atol=1e-9)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.filterwarnings("ignore")
def test_regression_of_standardised_features(classes: int, tmp_path: Path) -> None:
    features, labels = examples(classes)
    scaler = StandardScaler().fit(features[:, :2])
    scaled = np.hstack([scaler.transform(features[:, :2]), features[:, 2:]])
    fitted = LogisticRegression().fit(scaled, labels)
    module = nn.Sequential(
        Scaler(*tensors(scaler.mean_, scaler.scale_)), Linear(*tensors(fitted.coef_, fitted.intercept_))
    )
    expected = fitted.decision_function(scaled).reshape(len(scaled), -1)
    np.testing.assert_allclose(runtimes(module, features, tmp_path), expected, atol=1e-9)


def test_sigmoids_that_are_all_0_share_alike() -> None:
    ones = torch.ones(3, dtype=torch.float64)
    said = Sigmoids(ones, 1e4 * ones)(torch.zeros(2, 3, dtype=torch.float64))
    np.testing.assert_allclose(said.exp().numpy(), 1 / 3)
