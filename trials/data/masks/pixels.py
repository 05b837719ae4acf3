"""Read the pixels of masks: where they mark, and whether a picture looks like a mask."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from trials.data.files.image_file import open_image
from trials.errors import DataError

Box = tuple[int, int, int, int]  # x0, y0, x1, y1, half-open
HALF = 0.5  # of a mask's largest value: pixels from there up are marked, however soft the edge
FAINT = 1 / 8  # of the largest value of all masks of a data set: a mask below it marks nothing
FEW_LEVELS = 8  # grey values; the blankest of 1,200 patches of tissue has 18
# Of the pixels on either side of half the range, how many lie within an eighth of its end: a mask blurred
# over a fifth of its radius has 0.53 and 0.95. Of 8,900 real crops, frames and patches none has both.
BRIGHT, DARK = 0.5, 0.8


@dataclass(frozen=True)
class Shape:
    """What a mask marks: the box around it (None: nothing), and the mask's size and largest value."""

    size: tuple[int, int]  # width, height
    peak: float
    box: Box | None


def read_shape(path: Path) -> Shape:
    """Return the shape in a mask file of any mode, in grey or alpha. Raises `DataError` as `open_image`."""
    image = open_image(path)
    values = values_of(image)
    peak = float(values.max())
    return Shape(image.size, peak, box_around(values >= HALF * peak) if peak > 0 else None)


def values_of(image: Image.Image) -> np.ndarray:
    """Return how strongly pixels are marked, [h, w]: the grey value, or the opacity if that is the shape."""
    if image.mode.startswith(("I", "F")):
        return np.nan_to_num(np.asarray(image, dtype=np.float64)).clip(0)
    grey = np.asarray(image.convert("RGB").convert("L"))
    if not image.has_transparency_data:
        return grey
    alpha = np.asarray(image.convert("RGBA").getchannel("A"))
    opaque = alpha >= 128
    if opaque.all() or not opaque.any():
        return grey
    drawn = np.ptp(grey[opaque]) >= 128  # dark and bright are both drawn: the rest is border
    return np.where(opaque, grey, 0) if drawn else alpha


def box_around(marked: np.ndarray) -> Box:
    """Return the box around the marked pixels of bool [h, w], at least one."""
    ys, xs = np.flatnonzero(marked.any(1)), np.flatnonzero(marked.any(0))
    return int(xs[0]), int(ys[0]), int(xs[-1]) + 1, int(ys[-1]) + 1


def looks_like_mask(pixels: np.ndarray) -> bool:
    """Return whether a picture [h, w] or [h, w, 3] has a handful of values, or two with soft edges between.

    In colour each channel must. A blank picture is no mask.
    """
    channels = np.moveaxis(np.atleast_3d(pixels), -1, 0)
    drawn = [channel for channel in channels if not is_blank(channel)]  # a red mask has two blank ones
    return bool(drawn) and all(_looks_like_mask(channel) for channel in drawn)


def file_looks_like_mask(path: Path) -> bool:
    """Return whether a file looks like a mask, or cannot be read and so is no picture either."""
    try:
        return looks_like_mask(values_of(open_image(path)))
    except DataError:
        return True


def is_blank(pixels: np.ndarray) -> bool:
    """Return whether all pixels of [h, w] or [h, w, 3] are equal."""
    first = pixels[0, 0]
    return bool((pixels[0] == first).all() and (pixels == first).all())  # the first row mostly tells


def _looks_like_mask(channel: np.ndarray) -> bool:
    values, counts = _histogram(channel)
    low, high = float(values[0]), float(values[-1])
    if len(values) <= FEW_LEVELS:
        # Of less contrast, 0 and one other value are a mask for sure; more are a dark picture or blank.
        return high - low > FEW_LEVELS or (low == 0 and len(values) == 2)
    bright, near = values >= (low + high) / 2, (high - low) / 8
    top, bottom = counts[values >= high - near].sum(), counts[values <= low + near].sum()
    return bool(top >= BRIGHT * counts[bright].sum() and bottom >= DARK * counts[~bright].sum())


def _histogram(channel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the values that occur, in order, and how often each does."""
    if channel.dtype != np.uint8:
        return np.unique(channel, return_counts=True)
    counts = np.bincount(channel.ravel(), minlength=256)
    values = np.flatnonzero(counts)
    return values, counts[values]
