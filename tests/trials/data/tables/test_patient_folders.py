"""Folders that are patients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trials.data.load import load

Table = Callable[..., Path]


@pytest.fixture
def folders(tmp_path: Path, picture: Callable[..., np.ndarray]) -> Callable[[str, int, int], Path]:
    """Class folders with so many sub-folders each, named by a pattern, of so many images."""

    def write(pattern: str, count: int, images: int) -> Path:
        for seed in range(2 * count * images):
            label, number = ("benign", "malignant")[seed % 2], seed // 2 // images
            folder = tmp_path / "set" / label / pattern.format(2 * number + seed % 2)
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture(seed)).save(folder / f"{seed}.png")
        return tmp_path / "set"

    return write


@pytest.mark.parametrize("pattern", ["P{:02}", "patient {}", "{:03}", "SOB_B_{}-22549AB", "images/case_{}"])
def test_folders_of_patients_are_recognised(folders: Callable[..., Path], pattern: str) -> None:
    root = folders(pattern, 6, 3)
    data = load(root)
    assert data.group_source == "folders and perceptual hash" and len(set(data.groups)) == 12
    assert "12 of them" in data.notes[-1] and "--group-column none" in data.notes[-1]
    assert load(root, group_column="none").group_source == "perceptual hash"


@pytest.mark.parametrize("pattern", ["images", "batch{}", "{}0X", "adenoma", "2019", "scanner {}"])
def test_other_folders_are_not_patients_and_a_note_says_so(
    folders: Callable[..., Path], pattern: str
) -> None:
    root = folders(pattern, 6, 3)
    data = load(root)
    assert data.group_source == "perceptual hash" and "not taken for patients" in data.notes[-1]
    assert load(root, group_column="folder").group_source == "folders and perceptual hash"


def test_folders_in_a_manifest_are_recognised_too(table: Table) -> None:
    rows = [[f"P{p}/{i}.png", ("benign", "malignant")[p % 2]] for p in range(10) for i in range(3)]
    data = load(table([], rows))
    assert len(set(data.groups)) == 10 and data.group_source == "folders and perceptual hash"


@pytest.mark.parametrize("parts", [("Training", "val", "test_set"), ("train", "valid", "test")])
def test_a_patient_in_two_parts_of_a_split_is_one_group(parts: Sequence[str], table: Table) -> None:
    rows = [
        [f"{part}/P{p and 10 * number + p}/{i}.png", ("benign", "malignant")[i], part]
        for number, part in enumerate(parts)
        for p in range(10)
        for i in range(2)
    ]
    left_out = load(table(["split"], rows)).left_out
    assert [item.file for item in left_out] == [f"{part}/P0/{i}.png" for part in parts[:2] for i in range(2)]


def test_a_patient_in_both_class_folders_is_one_group(
    tmp_path: Path, picture: Callable[..., np.ndarray]
) -> None:
    for seed in range(40):
        folder = tmp_path / ("benign", "malignant")[seed % 2] / f"P{seed // 4}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(seed)).save(folder / f"{seed}.png")
    data = load(tmp_path)
    assert len(set(data.groups)) == 10 and not data.left_out
