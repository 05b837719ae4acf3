"""Masks are paired with their images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.images import CASES, Picture, mask_pixels, save, write_frames
from trials.data.load import load
from trials.errors import DataError

Spell = Callable[[str, int], tuple[str, str]]
CROP = (48, 48)  # and a tenth on both sides


@pytest.mark.parametrize(
    "suffix",
    [
        *("_mask", "_Mask", "_MASK", "-mask", " mask", ".mask", "mask", "_mask_1", "_masks", "Mask"),
        *("_seg", "_segmentation", "_Segmentation", "_gt", "_GT", "-GT", "_groundtruth", "_ground_truth"),
        *("_GroundTruth", "_annotation", "_label", "_overlay", "_contour", "_tumor", "_lesion", "_mask (1)"),
    ],
)
def test_masks_beside_images_are_found_whatever_their_spelling(
    suffix: str, tmp_path: Path, picture: Picture
) -> None:
    data = load(write_frames(tmp_path, lambda of, n: (f"{of}/{n}.jpg", f"{of}/{n}{suffix}.png"), picture))
    assert len(data.files) == 2 * CASES and data.classes == ("benign", "malignant")
    assert {image.shape for image in data.images} == {CROP}


@pytest.mark.parametrize("prefix", ["mask_", "Mask-", "GT ", "mask", "seg_"])
def test_masks_are_found_by_a_word_in_front(prefix: str, tmp_path: Path, picture: Picture) -> None:
    data = load(
        write_frames(tmp_path, lambda of, n: (f"{of}/image_{n}.png", f"{of}/{prefix}{n}.png"), picture)
    )
    assert len(data.files) == 2 * CASES and {image.shape for image in data.images} == {CROP}


@pytest.mark.parametrize(
    "spell",
    [
        lambda of, n: (f"{of}/images/{of}-{n}.png", f"{of}/masks/{of}-{n}.png"),
        lambda of, n: (f"{of}/Images/{n}.png", f"{of}/Masks/{n}.png"),
        lambda of, n: (f"{of}/{n}.png", f"{of}/GT/{n}.png"),
        lambda of, n: (f"{of}/{n}.png", f"{of}/ground_truth/{n}_mask.png"),
        lambda of, n: (f"{of}/img/{n}.png", f"{of}/segmentations/{n}.png"),
        lambda of, n: (f"{of}/img/{n}.png", f"{of}/Annotations/{n}.png"),
        lambda of, n: (f"images/{of}/{n}.png", f"masks/{of}/{n}.png"),
        lambda of, n: (f"images/{of}/{n}.png", f"labels/{of.upper()}/{n}.png"),
        lambda of, n: (f"{of}/{n}.png", f"{of}_mask/{n}.png"),
        lambda of, n: (f"{of}/{n}.png", f"{of} Masks/{n}.png"),
        lambda of, n: (f"{of}_images/{n}.png", f"{of}_masks/{n}.png"),
        lambda of, n: (f"{of}/{of}{n}.png", f"masks/{of}{n}.png"),
        lambda of, n: (f"{of}/{of}{n}.png", f"Training_GroundTruth/{of}{n}_segmentation.png"),
        lambda of, n: (f"{of}/case{n}/scan.png", f"{of}/case{n}/mask.png"),
        lambda of, n: (f"{of}/case{n}/image.png", f"{of}/case{n}/mask.png"),
    ],
)
def test_masks_in_folders_of_their_own_are_found(spell: Spell, tmp_path: Path, picture: Picture) -> None:
    data = load(write_frames(tmp_path, spell, picture))
    assert len(data.files) == 2 * CASES and data.classes == ("benign", "malignant")
    assert data.layout == "masked_folders" and {image.shape for image in data.images} == {CROP}


def test_masks_in_the_parts_of_a_split_keep_the_split(tmp_path: Path, picture: Picture) -> None:
    for part, seed in (("train", 0), ("valid", 100), ("test", 200)):
        write_frames(
            tmp_path / part,
            lambda of, n: (f"images/{of}/{n}.png", f"masks/{of}/{n}.png"),
            lambda number, *size, seed=seed: picture(seed + number, *size),
        )
    data = load(tmp_path)
    assert data.classes == ("benign", "malignant") and {image.shape for image in data.images} == {CROP}
    assert data.splits is not None and len(data.of_split("validation")) == 2 * CASES


def test_a_second_mask_and_a_lesion_in_two_words_widen_the_box(tmp_path: Path, picture: Picture) -> None:
    write_frames(tmp_path, lambda of, n: (f"{of}/case{n:03}.png", f"{of}/case{n:03}_tumor.png"), picture)
    save(mask_pixels((slice(10, 20), slice(60, 90))), tmp_path / "benign" / "case001_other1.png")
    assert load(tmp_path).images[0].shape == (60, 72)


@pytest.mark.parametrize("name", ["masks/7.png", "benign/7_Mask.png", "benign_masks/7.png"])
def test_a_mask_without_an_image_is_refused(name: str, tmp_path: Path, picture: Picture) -> None:
    write_frames(tmp_path, lambda of, n: (f"{of}/{of}{n}.png", f"{of}/{of}{n}_mask.png"), picture)
    save(mask_pixels(), tmp_path / name)
    with pytest.raises(DataError, match=rf"{name}: a mask without its image"):
        load(tmp_path)


def test_a_mask_that_two_images_may_have_is_refused(tmp_path: Path, picture: Picture) -> None:
    write_frames(tmp_path, lambda of, n: (f"{of}/{n}.png", f"masks/{n}.png"), picture)
    with pytest.raises(DataError, match=r"masks/1\.png: a mask of .*benign/1\.png or .*malignant/1\.png"):
        load(tmp_path)


def test_a_picture_drawn_on_is_refused(tmp_path: Path, picture: Picture) -> None:
    write_frames(tmp_path, lambda of, n: (f"{of}/{n}.png", f"{of}/{n}_mask.png"), picture)
    save(picture(99, 80, 100), tmp_path / "benign" / "1_overlay.png")
    with pytest.raises(DataError, match=r"1_overlay\.png: its name says mask.*benign/1\.png"):
        load(tmp_path)


@pytest.mark.parametrize("folder", ["masks", "labels", "overlays"])
def test_a_folder_of_masks_is_no_class(folder: str, tmp_path: Path, picture: Picture) -> None:
    for seed in range(3 * CASES):
        label = ("benign", "malignant", folder)[seed % 3]
        save(picture(seed), tmp_path / label / f"{label}-{seed}.png")
    with pytest.raises(DataError, match=rf"{folder}/.*without its image"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("label", "name"),
    [("benign", "damask"), ("masked", "m"), ("unmasked", "m"), ("with_mask", "m"), ("tumor", "tumor_")],
)
def test_names_that_only_resemble_masks_are_images(
    label: str, name: str, tmp_path: Path, picture: Picture
) -> None:
    for seed in range(2 * CASES):
        folder, stem = (label, name) if seed % 2 else ("malignant", "m")
        save(picture(seed), tmp_path / folder / f"{stem}{seed:02}.png")
    data = load(tmp_path)
    assert len(data.files) == 2 * CASES and data.classes == tuple(sorted({label, "malignant"}))
    assert data.layout == "class_folders" and data.notes == ()


def test_pictures_named_like_masks_are_images_with_a_note(tmp_path: Path, picture: Picture) -> None:
    for seed in range(2 * CASES):
        save(picture(seed), tmp_path / ("benign", "malignant")[seed % 2] / f"lesion{seed:02}_seg.png")
    data = load(tmp_path)
    assert len(data.files) == 2 * CASES
    assert data.notes[0].startswith("12 files are named like masks but are pictures")
