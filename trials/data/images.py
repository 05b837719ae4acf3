"""Make decoded images of any size one array or tensor of bytes, kept where `storage.py` says."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import PIL
from PIL import Image

from search_space.progress import progress
from search_space.strict_json import dump_json
from trials.data.dataset import LesionData
from trials.data.storage import stack

if TYPE_CHECKING:
    from torch import Tensor

FITS = ("stretch", "pad", "center_crop")
FORMAT = 1  # of kept squares; another where they are made otherwise


def to_tensor(
    data: LesionData | Sequence[np.ndarray], side: int = 100, fit: str = "stretch", channels: int = 3
) -> Tensor:
    """Return `to_array`'s images as a tensor."""
    import torch  # late: seconds

    squares = to_array(data, side, fit, channels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a file is read only
        return torch.from_numpy(squares)


def to_array(
    data: LesionData | Sequence[np.ndarray], side: int = 100, fit: str = "stretch", channels: int = 3
) -> np.ndarray:
    """Return images, uint8 [h, w] or [h, w, 3], as uint8 [n, 1 or 3, side, side], resized bicubically.

    There is one channel if all images are grey or `channels` is 1, else three. Colour becomes grey by the
    weights of ITU-R BT.601. `fit` is one of `FITS`:

    - `stretch` stretches to the square, as Ahmed et al. (2020) do at side 100;
    - `pad` keeps the proportions and adds black borders (ours: taller than wide is a sign of malignancy,
      which stretching hides);
    - `center_crop` cuts the square from the middle at native resolution (ours, for patches whose label is of
      their centre), half a pixel up and left where it cannot lie exactly there.

    Raises ValueError for another `fit`, and for an image smaller than the square to cut, by file or index.
    """
    if fit not in FITS:
        raise ValueError(f"fit {fit!r}: expected one of {', '.join(FITS)}")
    images = data.images if isinstance(data, LesionData) else data
    mode = "RGB" if channels == 3 and any(image.ndim == 3 for image in images) else "L"

    def square(index: int, image: np.ndarray) -> np.ndarray:
        if fit == "center_crop" and min(image.shape[:2]) < side:
            name = data.root / data.files[index] if isinstance(data, LesionData) else f"image {index}"
            raise ValueError(
                f"{name}: {image.shape[1]}x{image.shape[0]} pixels, too small for a center crop of "
                f"{side}x{side}: use larger images, or set data.image_size to their shorter side, or "
                "data.fit=stretch"
            )
        pixels = _square(Image.fromarray(image).convert(mode), side, fit)
        return np.moveaxis(pixels.reshape(side, side, -1), -1, 0)

    name = _name(data, side, fit, mode) if isinstance(data, LesionData) else None
    shape = (len(images), len(mode), side, side)
    return stack(lambda: map(square, range(len(images)), progress(images, "images resized")), shape, name)


def _name(data: LesionData, side: int, fit: str, mode: str) -> str:
    """Return what squares of a data set's images are called in the cache: by all that makes them."""
    made_of = [FORMAT, PIL.__version__, data.image_digests, side, fit, mode]
    return f"squares-{hashlib.sha256(dump_json(made_of).encode()).hexdigest()[:16]}"


def from_square(values: np.ndarray, size: tuple[int, int], fit: str) -> np.ndarray:
    """Return values of a square's pixels, float [side, side], for those of the image it was made of.

    Float [h, w], of the image's `size` (h, w), between pixels linearly; 0 where the square shows nothing of
    the image. `fit` is as that of `to_array`.
    """
    side, (height, width) = len(values), size
    square = Image.fromarray(values.astype(np.float32))
    if fit == "center_crop":
        whole = Image.new("F", (width, height))
        whole.paste(square, ((width - side) // 2, (height - side) // 2))
        return np.asarray(whole)
    inner = square.crop(_within(width, height, side)) if fit == "pad" else square
    return np.asarray(inner.resize((width, height), Image.Resampling.BILINEAR))


def _square(image: Image.Image, side: int, fit: str) -> np.ndarray:
    if fit == "stretch":
        return np.asarray(image.resize((side, side), Image.Resampling.BICUBIC))
    if fit == "center_crop":
        left, top = ((length - side) // 2 for length in image.size)
        return np.asarray(image.crop((left, top, left + side, top + side)))
    left, top, right, bottom = _within(*image.size, side)
    canvas = Image.new(image.mode, (side, side))
    canvas.paste(image.resize((right - left, bottom - top), Image.Resampling.BICUBIC), (left, top))
    return np.asarray(canvas)


def _within(width: int, height: int, side: int) -> tuple[int, int, int, int]:
    """Return where a padded image lies in its square: left, top, right and bottom."""
    scale = side / max(width, height)
    inner = [max(1, round(length * scale)) for length in (width, height)]
    left, top = ((side - length) // 2 for length in inner)
    return left, top, left + inner[0], top + inner[1]
