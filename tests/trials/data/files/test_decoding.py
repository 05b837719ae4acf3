"""Pictures are read as they look."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trials.data.files.decoding import decode
from trials.data.files.grey_range import GreyRange


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_grey_pictures_are_grey_in_every_mode(
    tmp_path: Path, mode: str, picture: Callable[..., np.ndarray]
) -> None:
    grey = picture(1) if mode != "1" else (picture(1) > 127).astype(np.uint8) * 255
    path = tmp_path / ("image.tif" if mode == "CMYK" else "image.png")
    Image.fromarray(grey).convert(mode).save(path)
    np.testing.assert_array_equal(decode(path), grey)


def test_colour_stays_colour(tmp_path: Path) -> None:
    colour = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    Image.fromarray(colour).save(tmp_path / "image.png")
    np.testing.assert_array_equal(decode(tmp_path / "image.png"), colour)


@pytest.mark.parametrize(
    ("largest", "expected"), [(65535, [0, 128, 255]), (4095, [0, 128, 255]), (255, [0, 128, 255])]
)
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_are_mapped_linearly(
    tmp_path: Path, suffix: str, largest: int, expected: list[int]
) -> None:
    path = tmp_path / f"image.{suffix}"
    Image.fromarray(np.array([[0, (largest + 1) // 2, largest]], dtype=np.uint16)).save(path)
    assert decode(path, grey_range=GreyRange(0, largest))[0].tolist() == expected


def test_large_images_keep_their_proportions_within_the_limit(tmp_path: Path) -> None:
    Image.new("L", (1024, 600), 7).save(tmp_path / "image.png")
    assert decode(tmp_path / "image.png").shape == (300, 512)
