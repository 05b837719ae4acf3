"""What any model says of what it is given."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from trials.errors import ModelError
from trials.models.model import refuse_other_images

GREY = np.zeros((5, 4), np.uint8)


@pytest.mark.parametrize(
    ("images", "found"),
    [
        (GREY, r"image 0 is uint8 \[4\]"),  # one picture in place of a list
        ([GREY, GREY / 255], r"image 1 is float64 \[5, 4\]"),
        ([np.zeros((5, 4, 4), np.uint8)], r"uint8 \[5, 4, 4\]"),
        ([np.zeros((0, 4), np.uint8)], r"uint8 \[0, 4\]"),
        (["a.png"], "image 0 is str; .*files go to `trials.predict`"),
    ],
)
def test_what_is_no_picture_is_refused(images: Any, found: str) -> None:
    with pytest.raises(ModelError, match=f"hog: .*{found}"):
        refuse_other_images(images, "hog")


def test_grey_and_coloured_pictures_are_taken() -> None:
    refuse_other_images([GREY, np.dstack([GREY] * 3), *np.zeros((2, 5, 4), np.uint8)], "hog")
    refuse_other_images(np.zeros((2, 5, 4), np.uint8), "hog")
