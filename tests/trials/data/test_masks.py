from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from trials.data.checks import verify
from trials.data.dataset import load
from trials.data.masks.names import words
from trials.data.masks.pixels import looks_like_mask, read_shape
from trials.data.prepare import prepare
from trials.errors import DataError

CASES = 6  # of each class
BOX = (slice(20, 60), slice(30, 70))  # what masks mark of 80 x 100 pixels
CROP = (48, 48)  # and a tenth on both sides
Spell = Callable[[str, int], tuple[str, str]]
Picture = Callable[..., np.ndarray]


def mask_pixels(marked: tuple[slice, slice] = BOX) -> np.ndarray:
    pixels = np.zeros((80, 100), dtype=np.uint8)
    pixels[marked] = 255
    return pixels


def save(pixels: np.ndarray | Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(path)


def write(root: Path, spell: Spell, picture: Picture, mask: Image.Image | np.ndarray | None = None) -> Path:
    """Frames and masks at the places that `spell(label, number)` names."""
    for seed, (label, number) in enumerate(
        (label, number) for label in ("benign", "malignant") for number in range(1, CASES + 1)
    ):
        image, masked = spell(label, number)
        save(picture(seed, 80, 100), root / image)
        save(mask_pixels() if mask is None else mask, root / masked)
    return root


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
    data = load(write(tmp_path, lambda of, n: (f"{of}/{n}.jpg", f"{of}/{n}{suffix}.png"), picture))
    assert len(data.files) == 2 * CASES and data.classes == ("benign", "malignant")
    assert {image.shape for image in data.images} == {CROP}


@pytest.mark.parametrize("prefix", ["mask_", "Mask-", "GT ", "mask", "seg_"])
def test_masks_are_found_by_a_word_in_front(prefix: str, tmp_path: Path, picture: Picture) -> None:
    data = load(write(tmp_path, lambda of, n: (f"{of}/image_{n}.png", f"{of}/{prefix}{n}.png"), picture))
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
    data = load(write(tmp_path, spell, picture))
    assert len(data.files) == 2 * CASES and data.classes == ("benign", "malignant")
    assert data.layout == "masked_folders" and {image.shape for image in data.images} == {CROP}


def test_masks_in_the_parts_of_a_split_keep_the_split(tmp_path: Path, picture: Picture) -> None:
    for part, seed in (("train", 0), ("valid", 100), ("test", 200)):
        write(
            tmp_path / part,
            lambda of, n: (f"images/{of}/{n}.png", f"masks/{of}/{n}.png"),
            lambda number, *size, seed=seed: picture(seed + number, *size),
        )
    data = load(tmp_path)
    assert data.classes == ("benign", "malignant") and {image.shape for image in data.images} == {CROP}
    assert data.splits is not None and len(data.of_split("validation")) == 2 * CASES


def test_a_second_mask_and_a_lesion_in_two_words_widen_the_box(tmp_path: Path, picture: Picture) -> None:
    write(tmp_path, lambda of, n: (f"{of}/case{n:03}.png", f"{of}/case{n:03}_tumor.png"), picture)
    save(mask_pixels((slice(10, 20), slice(60, 90))), tmp_path / "benign" / "case001_other1.png")
    assert load(tmp_path).images[0].shape == (60, 72)


@pytest.mark.parametrize("name", ["masks/7.png", "benign/7_Mask.png", "benign_masks/7.png"])
def test_a_mask_without_an_image_is_refused(name: str, tmp_path: Path, picture: Picture) -> None:
    write(tmp_path, lambda of, n: (f"{of}/{of}{n}.png", f"{of}/{of}{n}_mask.png"), picture)
    save(mask_pixels(), tmp_path / name)
    with pytest.raises(DataError, match=rf"{name}: a mask without its image"):
        load(tmp_path)


def test_a_mask_that_two_images_may_have_is_refused(tmp_path: Path, picture: Picture) -> None:
    write(tmp_path, lambda of, n: (f"{of}/{n}.png", f"masks/{n}.png"), picture)
    with pytest.raises(DataError, match=r"masks/1\.png: a mask of .*benign/1\.png or .*malignant/1\.png"):
        load(tmp_path)


def test_a_picture_drawn_on_is_refused(tmp_path: Path, picture: Picture) -> None:
    write(tmp_path, lambda of, n: (f"{of}/{n}.png", f"{of}/{n}_mask.png"), picture)
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


def test_words_end_at_signs_digits_and_capitals() -> None:
    assert words("benign (1)_Mask_2") == ["benign", "1", "mask", "2"]
    assert words("lesionMask12") == ["lesion", "mask", "12"]
    assert words("ISIC_7_Ground-Truth") == ["isic", "7", "groundtruth"]
    assert words("damask01") == ["damask", "01"] and words("caseGT") == ["case", "gt"]


# Masks under any other name --------------------------------------------------------------------------------


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_masks_under_other_names_are_refused(
    soft: bool, suffix: str, tmp_path: Path, picture: Picture
) -> None:
    mask = Image.fromarray(mask_pixels())
    mask = mask.filter(ImageFilter.GaussianBlur(3)) if soft else mask
    write(tmp_path, lambda of, n: (f"{of}/{n}.png", f"{of}/x{n}.{suffix}"), picture, mask)
    assert any("12 images have a handful of grey values" in line for line in verify(tmp_path).problems)


@pytest.mark.parametrize("side", [100, 1600])
@pytest.mark.parametrize("colours", [(255, 0, 0), (255, 0, 128), (90, 200, 40)])
def test_masks_in_colour_and_larger_than_is_kept_are_refused(
    colours: tuple[int, ...], side: int, tmp_path: Path, picture: Picture
) -> None:
    mask = Image.fromarray(np.dstack([mask_pixels() // 255 * colour for colour in colours]))
    mask = mask.resize((side, side * 4 // 5), Image.Resampling.NEAREST)
    write(tmp_path, lambda of, n: (f"{of}/{n}.png", f"{of}/x{n}.png"), picture, mask)
    assert any("12 images have a handful of grey values" in line for line in verify(tmp_path).problems)


def test_one_mask_or_blank_image_among_many_is_a_warning(tmp_path: Path, picture: Picture) -> None:
    for seed in range(40):
        save(picture(seed), tmp_path / ("benign", "malignant")[seed % 2] / f"{seed:02}.png")
    save(np.full((40, 50), 9, dtype=np.uint8), tmp_path / "benign" / "blank.png")
    save(mask_pixels() // 255, tmp_path / "benign" / "strange.png")
    report = verify(tmp_path)
    assert report.ok
    for line in ("1 images are blank (benign/blank.png)", "1 images have a handful of grey values"):
        assert any(warning.startswith(line) for warning in report.warnings)


def test_masks_in_a_manifest_are_refused_by_their_names(tmp_path: Path, picture: Picture) -> None:
    rows = ["file,label"]
    for seed in range(40):
        label = ("benign", "malignant")[seed % 2]
        save(picture(seed), tmp_path / f"{seed}.png")
        rows.append(f"{seed}.png,{label}")
    save(Image.fromarray(mask_pixels()).filter(ImageFilter.GaussianBlur(2)), tmp_path / "3_Mask.png")
    (tmp_path / "manifest.csv").write_text("\n".join([*rows, "3_Mask.png,malignant"]))
    with pytest.raises(DataError, match=r"1 rows .* name masks.*3_Mask\.png of 3\.png.*remove those rows"):
        load(tmp_path)


# The pixels of masks ---------------------------------------------------------------------------------------


def soft_mask(kind: str) -> Image.Image:
    y, x = np.mgrid[:80, :100]
    pixels = np.where(((x - 50) / 20) ** 2 + ((y - 40) / 15) ** 2 < 1, 255, 0).astype(np.uint8)
    if kind == "faint":
        return Image.fromarray(
            np.maximum(pixels, np.random.default_rng(0).integers(0, 4, pixels.shape, "u1"))
        )
    if kind == "alpha":
        white = Image.new("L", (100, 80), 255)
        return Image.merge("RGBA", [white] * 3 + [Image.fromarray(pixels)])
    if kind == "black in alpha":
        black = Image.new("L", (100, 80))
        return Image.merge("LA", [black, Image.fromarray(pixels)])
    if kind == "clear border":
        clear = np.full((80, 100), 255, dtype=np.uint8)
        clear[:, :5] = 0
        return Image.merge("RGBA", [Image.fromarray(pixels)] * 3 + [Image.fromarray(clear)])
    if kind == "I;16":
        return Image.fromarray((pixels > 0).astype(np.uint16))
    if kind == "P":
        palette = Image.fromarray((pixels > 0).astype(np.uint8)).convert("P")
        palette.putpalette([0, 0, 0, 128, 0, 0] + [0] * 762)
        return palette
    if kind == "smooth":
        return Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(4))
    return Image.fromarray(pixels).convert(kind)


@pytest.mark.parametrize(
    "kind",
    ["1", "L", "RGB", "RGBA", "P", "I;16", "faint", "smooth", "alpha", "black in alpha", "clear border"],
)
def test_a_shape_is_where_a_mask_has_half_its_largest_value(kind: str, tmp_path: Path) -> None:
    save(soft_mask(kind), tmp_path / "mask.png")
    np.testing.assert_allclose(read_shape(tmp_path / "mask.png").box, (31, 26, 70, 55), atol=1)


def test_a_shape_survives_jpeg(tmp_path: Path) -> None:
    soft_mask("L").save(tmp_path / "mask.jpg", quality=40)
    np.testing.assert_allclose(read_shape(tmp_path / "mask.jpg").box, (31, 26, 70, 55), atol=1)


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


def test_real_pictures_do_not_look_like_masks(real_data: Path) -> None:
    for folder in ("busi", "busbra", "pcam"):
        pictures = sorted(path for path in (real_data / folder).rglob("*.*g"))[::10]
        assert not any(looks_like_mask(np.asarray(Image.open(path))) for path in pictures)


# Prepared crops --------------------------------------------------------------------------------------------


def test_prepared_boxes_are_in_pixels_of_the_source(tmp_path: Path, picture: Picture) -> None:
    mask = np.zeros((900, 1000), dtype=np.uint8)
    mask[100:700, 100:900] = 255
    source = tmp_path / "frames"
    for seed in range(4):
        label = ("benign", "malignant")[seed % 2]
        save(picture(seed, 900, 1000), source / label / f"{seed}.png")
        save(mask, source / label / f"{seed}_GT.png")
    prepare(source, tmp_path / "crops")
    with (tmp_path / "crops" / "manifest.csv").open(newline="") as lines:
        row = next(csv.DictReader(lines))
    assert [row[key] for key in ("x0", "y0", "x1", "y1")] == ["20", "40", "980", "760"]
    assert (row["width"], row["height"]) == ("960", "720")
    assert Image.open(tmp_path / "crops" / row["file"]).size == (512, 384)
