"""Images of any size become one tensor."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from trials.data.images import from_square, to_tensor


def test_resize_is_bicubic_and_stretches_as_the_paper(picture: Callable[..., np.ndarray]) -> None:
    image = picture(1, 30, 60)
    tensor = to_tensor([image])
    assert tensor.shape == (1, 1, 100, 100) and tensor.dtype == torch.uint8
    exact = torch.nn.functional.interpolate(
        torch.tensor(image)[None, None].double(), (100, 100), mode="bicubic", antialias=True
    )
    assert (tensor.double() - exact.clamp(0, 255)).abs().max() <= 1.5


@pytest.mark.parametrize(("height", "width"), [(30, 60), (60, 30), (1, 99), (40, 40)])
def test_padding_keeps_proportions(height: int, width: int) -> None:
    tensor = to_tensor([np.full((height, width), 200, np.uint8)], side=50, fit="pad")[0, 0]
    rows, columns = (tensor.any(1).sum().item(), tensor.any(0).sum().item())
    longer = max(height, width)
    assert (rows, columns) == (max(1, round(50 * height / longer)), max(1, round(50 * width / longer)))
    empty_before = int(tensor.any(1).int().argmax()), int(tensor.any(0).int().argmax())
    assert empty_before == ((50 - rows) // 2, (50 - columns) // 2)
    assert (tensor[tensor > 0] == 200).all()


@pytest.mark.parametrize(
    ("height", "width", "top", "left"), [(20, 20, 0, 0), (30, 21, 5, 0), (23, 40, 1, 10)]
)
def test_a_center_crop_keeps_its_pixels(
    height: int, width: int, top: int, left: int, picture: Callable[..., np.ndarray]
) -> None:
    image = picture(1, height, width)
    tensor = to_tensor([image], side=20, fit="center_crop")[0, 0]
    assert np.array_equal(tensor, image[top : top + 20, left : left + 20])


def test_an_image_smaller_than_the_centre_is_refused(picture: Callable[..., np.ndarray]) -> None:
    with pytest.raises(
        ValueError, match=r"image 1: 40x19 pixels.*center crop of 20x20.*or data\.fit=stretch"
    ):
        to_tensor([picture(1, 20, 20), picture(1, 19, 40)], side=20, fit="center_crop")


def test_colour_among_grey_makes_three_channels(picture: Callable[..., np.ndarray]) -> None:
    red = np.zeros((40, 50, 3), np.uint8)
    red[..., 0] = 255
    tensor = to_tensor([picture(1), red], side=32)
    assert tensor.shape == (2, 3, 32, 32)
    assert (tensor[0, 0] == tensor[0, 2]).all() and (tensor[1, :, 5, 5] == torch.tensor([255, 0, 0])).all()
    assert to_tensor([picture(1), red], side=32, channels=1)[1, 0, 5, 5] == 76  # 0.299 x 255


def test_unknown_fit_is_refused(picture: Callable[..., np.ndarray]) -> None:
    with pytest.raises(ValueError, match="stretch, pad, center_crop"):
        to_tensor([picture(1)], fit="squash")


@pytest.mark.parametrize(("fit", "side"), [("stretch", 40), ("pad", 64), ("center_crop", 24)])
def test_what_a_square_shows_is_found_again_in_its_image(fit: str, side: int) -> None:
    image = np.zeros((32, 64), np.uint8)
    image[8:20, 30:42] = 200
    square = to_tensor([image], side=side, fit=fit)[0, 0].numpy().astype(float)
    found = from_square(square, (32, 64), fit)
    assert found.shape == image.shape
    assert (found[10:18, 32:40] > 190).all() and (found[:, :26] < 10).all() and (found[24:] < 10).all()
