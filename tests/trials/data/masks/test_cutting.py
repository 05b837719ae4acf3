"""Frames are cut to their masks."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.images import mask_pixels, save
from trials.data.load import load
from trials.errors import DataError


def test_busi_is_cut_to_all_masks_with_a_margin(busi_folder: Path) -> None:
    data = load(busi_folder)
    assert data.layout == "busi" and data.group_source == "perceptual hash" and len(data.files) == 12
    assert [(item.file, item.reason) for item in data.left_out] == [("normal/normal (1).png", "no lesion")]
    shapes = dict(zip(data.files, (image.shape for image in data.images), strict=True))
    assert shapes["benign/benign (1).png"] == (48, 48)  # 40 pixels and a tenth on both sides
    assert shapes["malignant/malignant (2).png"] == (60, 72)  # 60 x 50 marked, and a tenth on both sides
    frame = np.asarray(Image.open(busi_folder / "benign" / "benign (1).png"))[..., 0]
    np.testing.assert_array_equal(data.images[0], frame[16:64, 26:74])


@pytest.mark.parametrize("fault", ["orphan", "no mask", "size", "empty"])
def test_masks_that_do_not_match_are_refused(fault: str, busi_folder: Path) -> None:
    mask = busi_folder / "benign" / "benign (3)_mask.png"
    if fault == "orphan":
        (busi_folder / "benign" / "benign (3).png").unlink()
    elif fault == "no mask":
        mask.unlink()
    else:
        Image.new("L", (99, 80) if fault == "size" else (100, 80)).save(mask)
    texts = {
        "orphan": "without its image",
        "no mask": "no mask",
        "size": r"\(99, 80\)",
        "empty": "mark no pixel",
    }
    with pytest.raises(DataError, match=rf"benign \(3\).*{texts[fault]}"):
        load(busi_folder)


def test_real_busi_frames_are_cut_as_the_published_crops(real_data: Path) -> None:
    data = load(real_data / "busi_layout_sample")
    assert data.layout == "busi" and len(data.files) + len(data.left_out) == 25
    with (real_data / "busi" / "manifest.csv").open(newline="") as lines:
        crops = {Path(row["source_file"]).name: row for row in csv.DictReader(lines)}
    compared = 0
    for file, image in zip(data.files, data.images, strict=True):
        row = crops[Path(file).name]
        box = tuple(int(row[key]) for key in ("x0", "y0", "x1", "y1"))
        assert image.shape == (box[3] - box[1], box[2] - box[0])
        if max(image.shape) <= 256:  # the published crops are reduced to 256 pixels
            np.testing.assert_array_equal(image, np.asarray(Image.open(real_data / "busi" / row["file"])))
            compared += 1
    assert compared >= 5


def test_noise_in_the_mask_of_a_normal_frame_marks_nothing(busi_folder: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 4, (80, 100), dtype=np.uint8)
    save(noise, busi_folder / "normal" / "normal (1)_mask.png")
    assert [item.reason for item in load(busi_folder).left_out] == ["no lesion"]


def test_a_mask_of_the_frames_proportions_is_scaled(busi_folder: Path) -> None:
    before = load(busi_folder)
    path = busi_folder / "benign" / "benign (1)_mask.png"
    save(Image.open(path).resize((50, 40)), path)
    assert load(busi_folder).image_digests == before.image_digests


def test_crops_as_large_as_the_frame_are_flagged(busi_folder: Path) -> None:
    save(255 - mask_pixels(), busi_folder / "benign" / "benign (1)_mask.png")
    assert "1 crops are as large as their frames" in load(busi_folder).notes[0]
    for number in range(2, 7):
        save(255 - mask_pixels(), busi_folder / "benign" / f"benign ({number})_mask.png")
    with pytest.raises(DataError, match="6 crops are as large as their frames"):
        load(busi_folder)


def test_whole_frames_are_read_on_request_and_normal_ones_take_part(busi_folder: Path) -> None:
    noise = np.random.default_rng(5).integers(0, 256, (80, 100), dtype=np.uint8)
    save(noise, busi_folder / "normal" / "normal (1).png")
    crops, frames = load(busi_folder), load(busi_folder, frames=True)
    assert "normal" not in crops.classes and "normal" in frames.classes
    assert any("masks of" in note and "passed over" in note for note in frames.notes)
    sizes = dict(zip(frames.files, (image.shape[:2] for image in frames.images), strict=True))
    assert all(
        np.prod(sizes[file]) > np.prod(image.shape[:2])
        for file, image in zip(crops.files, crops.images, strict=True)
    )
    assert frames.digest != crops.digest and not any("mask" in file for file in frames.files)


def test_frames_are_refused_where_nothing_is_cut(lesions: Path) -> None:
    with pytest.raises(DataError, match=r"data\.frames .* no masks beside these images"):
        load(lesions, frames=True)


def test_published_busi_is_read_as_three_classes(real_data: Path) -> None:
    data = load(real_data / "busi_layout_sample", frames=True)
    found = [data.classes[label] for label in data.labels] + [item.label for item in data.left_out]
    assert Counter(found) == {"benign": 12, "malignant": 10, "normal": 3} and data.positive == "malignant"
