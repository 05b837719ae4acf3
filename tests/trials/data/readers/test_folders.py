"""Folders with one sub-folder a class."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trials.data.files.decoding import image_digest
from trials.data.load import load
from trials.data.tables.split_names import SHORT
from trials.errors import DataError

PARTS = {"train": 12, "valid": 6, "test": 8}


def test_class_folders_in_the_parts_of_a_split_are_that_split(
    tmp_path: Path, picture: Callable[..., np.ndarray]
) -> None:
    for seed, file in enumerate(
        f"{split}/{label}/{n}.png" for split in PARTS for label in "01" for n in "ab"
    ):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(seed)).save(tmp_path / file)
    data = load(tmp_path, positive="1")
    assert data.classes == ("0", "1") and data.labels.tolist() == [0, 0, 1, 1] * 3
    assert data.splits is not None and [SHORT[split] for split in data.splits] == [
        file.split("/")[0] for file in data.files
    ]
    assert {image_digest(image) for image in data.images} == set(data.image_digests)
    (tmp_path / "valid").rename(tmp_path / "more")
    with pytest.raises(DataError, match="more, test, train are no classes, and no split"):
        load(tmp_path, positive="1")


def test_class_folders_take_the_folder_as_label(tmp_path: Path, picture: Callable[..., np.ndarray]) -> None:
    for seed, file in enumerate(
        ("benign/1.png", "benign/clinic/2.png", "malignant/1.PNG", "malignant/.hidden.png")
    ):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(seed)).save(tmp_path / file)
    (tmp_path / "benign" / "notes.txt").write_text("no image")
    data = load(tmp_path)
    assert data.layout == "class_folders" and data.labels.tolist() == [0, 0, 1]
    assert data.files == ("benign/1.png", "benign/clinic/2.png", "malignant/1.PNG")
    assert data.notes[:-1] == (
        "1 files skipped, not images by their suffix (.txt)",
        "1 images in hidden or stray places skipped (hidden files)",
    )
    assert "1 sub-folders (clinic), which are not taken for patients" in data.notes[-1]
