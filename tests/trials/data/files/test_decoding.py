"""Pictures are read as they look."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from trials.data.files.decoding import decode
from trials.data.files.grey_range import GreyRange
from trials.data.files.image_file import open_image
from trials.errors import DataError


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


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_the_orientation_of_a_tiff_is_ignored(
    tmp_path: Path, orientation: int, compression: str | None, depth: type
) -> None:
    stored = np.arange(12, dtype=depth).reshape(3, 4)
    tifffile.imwrite(
        tmp_path / "image.tif", stored, compression=compression, extratags=[(274, 3, 1, orientation, True)]
    )
    assert open_image(tmp_path / "image.tif").size == (4, 3)
    np.testing.assert_array_equal(decode(tmp_path / "image.tif", grey_range=GreyRange(0, 255)), stored)


def test_grey_that_alpha_has_been_multiplied_into_is_divided_by_it(tmp_path: Path) -> None:
    grey, alpha = [[100, 60, 0]], [[255, 128, 255]]
    samples = np.stack([grey, alpha], axis=-1).astype(np.uint8)
    tifffile.imwrite(
        tmp_path / "image.tif", samples, photometric="minisblack", planarconfig="contig", extrasamples=[1]
    )
    np.testing.assert_array_equal(decode(tmp_path / "image.tif"), [[100, 119, 0]])


@pytest.mark.parametrize("planes", ["contig", "separate"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_tiff_in_colour_of_sixteen_bits_is_refused(
    tmp_path: Path, planes: str, compression: str | None
) -> None:
    shape = (3, 5, 4) if planes == "separate" else (5, 4, 3)
    colour = np.arange(60, dtype=np.uint16).reshape(shape) * 1000
    tifffile.imwrite(
        tmp_path / "image.tif", colour, photometric="rgb", planarconfig=planes, compression=compression
    )
    with pytest.raises(DataError, match=r"image\.tif: 16 bits a channel"):
        decode(tmp_path / "image.tif")


def test_a_ppm_in_colour_of_sixteen_bits_is_refused(tmp_path: Path) -> None:
    values = np.array([0, 300, 65535], dtype=">u2").tobytes()
    (tmp_path / "image.ppm").write_bytes(b"P6 1 1 65535\n" + values)
    with pytest.raises(DataError, match=r"image\.ppm: 16 bits a channel"):
        decode(tmp_path / "image.ppm")
    (tmp_path / "image.pgm").write_bytes(b"P5 3 1 65535\n" + values)
    assert decode(tmp_path / "image.pgm", grey_range=GreyRange(0, 65535)).tolist() == [[0, 1, 255]]
    (tmp_path / "image.ppm").write_bytes(b"P6 1 1 255\n" + bytes([0, 3, 255]))
    assert decode(tmp_path / "image.ppm").tolist() == [[[0, 3, 255]]]


def test_bytes_with_a_sign_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "image.tif", np.array([[-128, -1, 0, 127]], dtype=np.int8))
    with pytest.raises(DataError, match=r"image\.tif: 8 bits with a sign"):
        decode(tmp_path / "image.tif")


def test_values_beyond_thirty_one_bits_are_refused(tmp_path: Path) -> None:
    for largest in (255, 2**31 - 1):
        values = np.array([[0, largest // 2, largest]], dtype=np.uint32)
        tifffile.imwrite(tmp_path / "image.tif", values)
        assert decode(tmp_path / "image.tif", grey_range=GreyRange(0, largest)).tolist() == [[0, 127, 255]]
    tifffile.imwrite(tmp_path / "image.tif", np.array([[0, 2**31]], dtype=np.uint32))
    with pytest.raises(DataError, match=r"image\.tif: values of 2147483648 or more"):
        decode(tmp_path / "image.tif", grey_range=GreyRange(0, 2**32 - 1))
