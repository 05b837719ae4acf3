"""Pictures that look like masks, and the shape that a mask marks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from tests.helpers.images import save
from trials.data.masks.pixels import looks_like_mask, read_shape


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


def test_real_pictures_do_not_look_like_masks(real_data: Path) -> None:
    for folder in ("busi", "busbra", "pcam"):
        pictures = sorted(path for path in (real_data / folder).rglob("*.*g"))[::10]
        assert not any(looks_like_mask(np.asarray(Image.open(path))) for path in pictures)
