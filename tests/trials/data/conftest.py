"""Tiny data sets on disk, and the place of the real ones."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.images import save
from trials.data.readers.testing import picture as smooth_picture

REPOSITORY = Path(__file__).parents[3]
Row = tuple[str, str, str]


@pytest.fixture
def picture() -> Callable[..., np.ndarray]:
    return smooth_picture


@pytest.fixture
def balanced_rows() -> Callable[[int, int], list[Row]]:
    """Rows (file, label, group): so many images of each class, in so many groups of each."""

    def rows(images: int, groups: int) -> list[Row]:
        return [
            (f"{label}_{index:03d}.png", label, f"{label[0]}{index % groups}")
            for label in ("benign", "malignant")
            for index in range(images)
        ]

    return rows


@pytest.fixture
def manifest_folder(tmp_path: Path) -> Callable[..., Path]:
    """Write a manifest of (file, label, group) and a picture for each file that lies inside the folder."""

    def write(rows: Sequence[Row], column: str = "duplicate_group") -> Path:
        root = tmp_path / "lesions"
        root.mkdir()
        for seed, (file, _, _) in enumerate(rows):
            if file and not file.startswith(("/", "..")) and not (root / file).exists():
                Image.fromarray(smooth_picture(seed)).save(root / file)
        with (root / "manifest.csv").open("w", newline="") as lines:
            csv.writer(lines).writerows([("file", "label", column), *rows])
        return root

    return write


@pytest.fixture
def table(tmp_path: Path, picture: Callable[..., np.ndarray]) -> Callable[..., Path]:
    """Write a manifest of the columns named (file and label first) and a picture for each row."""

    def write(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Path:
        root = tmp_path / "lesions"
        for seed, row in enumerate(rows):
            (root / row[0]).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture(seed)).save(root / row[0])
        with (root / "manifest.csv").open("w", newline="") as lines:
            csv.writer(lines).writerows([["file", "label", *columns], *rows])
        return root

    return write


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    """Six pictures in each of two class folders."""
    root = tmp_path / "lesions"
    for seed in range(12):
        save(smooth_picture(seed), root / ("benign", "malignant")[seed % 2] / f"{seed:02}.png")
    return root


@pytest.fixture
def busi_folder(tmp_path: Path) -> Path:
    """BUSI's published layout: six frames of each class, malignant (2) with two masks, one normal frame."""
    root = tmp_path / "busi"
    for label in ("benign", "malignant", "normal"):
        (root / label).mkdir(parents=True)
        for number in range(1, 2 if label == "normal" else 7):
            name = f"{label} ({number})"
            frame = smooth_picture(number + 10 * len(label), 80, 100)
            Image.fromarray(np.repeat(frame[..., None], 3, axis=2)).save(root / label / f"{name}.png")
            mask = np.zeros((80, 100), dtype=np.uint8)
            mask[20:60, 30:70] = 0 if label == "normal" else 255
            Image.fromarray(mask).convert("1").save(root / label / f"{name}_mask.png")
    second = np.zeros((80, 100), dtype=np.uint8)
    second[10:20, 60:90] = 255
    Image.fromarray(second).save(root / "malignant" / "malignant (2)_mask_1.png")
    return root


@pytest.fixture
def real_data() -> Path:
    """The folder of the real images; tests that need it skip where it is absent."""
    root = Path(os.environ.get("LESION_NAS_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (root / "busi").is_dir():
        pytest.skip(f"no real images at {root}; LESION_NAS_DATA names their folder")
    return root
