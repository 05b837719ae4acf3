"""Synthetic lesions."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from trials.data.checks import verify
from trials.data.images import to_tensor
from trials.data.load import load
from trials.data.phantoms import CLASSES, Lesion, contour, draw_lesion, lesion_mask, make_phantoms, scan


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made") / "phantoms"
    make_phantoms(out, count=160, seed=0, side=96)
    return out


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_phantoms_repeat_by_seed(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        make_phantoms(tmp_path / name, count=7, seed=seed, side=48)
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")
    assert files_of(tmp_path / "a").keys() == files_of(tmp_path / "c").keys()
    assert files_of(tmp_path / "a") != files_of(tmp_path / "c")


def test_phantoms_are_named_synthetic_everywhere(phantoms: Path, tmp_path: Path) -> None:
    data = load(phantoms)
    assert data.name == "synthetic-phantoms"
    assert load(shutil.copytree(phantoms, tmp_path / "synthetic_phantoms")).name == "synthetic-phantoms"
    assert all(file.startswith("synthetic_") for file in data.files)
    assert "Synthetic" in (phantoms / "README.txt").read_text()
    with (phantoms / "manifest.csv").open(newline="") as lines:
        assert {row["source"] for row in csv.DictReader(lines)} == {"synthetic"}


def test_phantoms_pass_the_check_and_are_balanced(phantoms: Path) -> None:
    report = verify(phantoms)
    assert report.ok and report.counts["classes"] == {"benign": 80, "malignant": 80}
    data = load(phantoms)
    assert max(max(image.shape) for image in data.images) <= 96
    assert 90 < len(set(data.groups)) < 150


def test_small_phantoms_show_what_large_ones_do(tmp_path: Path) -> None:
    for side in (32, 128):
        make_phantoms(tmp_path / str(side), count=24, seed=0, side=side)
    small, large = (load(tmp_path / str(side)).images for side in (32, 128))
    for one, other in zip(small, large, strict=True):
        assert np.abs(np.array(other.shape) / 4 - one.shape).max() <= 0.5
        assert one.std() > 10 and one.mean() == pytest.approx(other.mean(), abs=8)


def test_phantoms_can_be_learned_but_not_by_shape_alone(phantoms: Path) -> None:
    data = load(phantoms)
    boxes = np.array([(h, w, w / h) for h, w in (image.shape for image in data.images)])
    pixels = to_tensor(data, 16).numpy().reshape(len(boxes), -1) / 255.0
    scores = []
    for features in (boxes, np.hstack([pixels, boxes])):
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.003))
        folds = StratifiedGroupKFold(5, shuffle=True, random_state=0)
        margins = cross_val_predict(
            model, features, data.labels, groups=data.groups, cv=folds, method="decision_function"
        )
        scores.append(roc_auc_score(data.labels, margins))
    assert 0.7 < scores[0] < 0.9 and 0.85 < scores[1] < 0.99


def lesion(**changed: float) -> Lesion:
    values = {
        "width": 60.0,
        "height": 40.0,
        "irregularity": 0.0,
        "echo": 15.0,
        "attenuation": 0.0,
        "blur": 1.0,
    }
    return Lesion(**(values | changed), phases=np.linspace(0, 6, 16), tissue_seed=0)  # type: ignore[arg-type]


def test_regular_lesion_is_an_ellipse_within_a_tenth_of_margin() -> None:
    mask = lesion_mask(lesion(blur=0.01)) > 0.5
    assert mask.shape == (48, 72)
    assert mask.sum() == pytest.approx(np.pi * 30 * 20, rel=0.02)
    angles = np.linspace(-np.pi, np.pi, 500)
    assert contour(lesion(irregularity=1.0), angles).std() > 0.1 > contour(lesion(), angles).std() == 0


def test_attenuating_lesion_casts_a_shadow() -> None:
    behind = [
        np.mean([scan(lesion(attenuation=a), np.random.default_rng(seed))[-4:, 20:52] for seed in range(10)])
        for a in (-0.15, 0.0, 0.3)
    ]
    assert behind[0] > behind[1] > behind[2]


def test_malignant_phantoms_tend_to_be_taller_and_more_irregular() -> None:
    rng = np.random.default_rng(0)
    drawn = {label: [draw_lesion(label, 96, rng) for _ in range(200)] for label in CLASSES}
    aspect, irregularity = (
        {label: np.median([f(one) for one in lesions]) for label, lesions in drawn.items()}
        for f in (lambda one: one.width / one.height, lambda one: one.irregularity)
    )
    assert aspect["benign"] > aspect["malignant"] and irregularity["benign"] < irregularity["malignant"]
