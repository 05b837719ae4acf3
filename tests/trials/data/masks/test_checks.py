"""Masks among what is listed as images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from tests.helpers.images import Picture, mask_pixels, save, write_frames
from trials.data.checks import verify
from trials.data.load import load
from trials.errors import DataError


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_masks_under_other_names_are_refused(
    soft: bool, suffix: str, tmp_path: Path, picture: Picture
) -> None:
    mask = Image.fromarray(mask_pixels())
    mask = mask.filter(ImageFilter.GaussianBlur(3)) if soft else mask
    write_frames(tmp_path, lambda of, n: (f"{of}/{n}.png", f"{of}/x{n}.{suffix}"), picture, mask)
    assert any("12 images have a handful of grey values" in line for line in verify(tmp_path).problems)


@pytest.mark.parametrize("side", [100, 1600])
@pytest.mark.parametrize("colours", [(255, 0, 0), (255, 0, 128), (90, 200, 40)])
def test_masks_in_colour_and_larger_than_is_kept_are_refused(
    colours: tuple[int, ...], side: int, tmp_path: Path, picture: Picture
) -> None:
    mask = Image.fromarray(np.dstack([mask_pixels() // 255 * colour for colour in colours]))
    mask = mask.resize((side, side * 4 // 5), Image.Resampling.NEAREST)
    write_frames(tmp_path, lambda of, n: (f"{of}/{n}.png", f"{of}/x{n}.png"), picture, mask)
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
