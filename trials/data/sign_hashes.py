"""A perceptual hash of an image: in which direction grey rises, between neighbours of a small grid.

The hash is a difference hash: the signs of the differences between neighbours, along rows and columns, of
the image reduced to 13 x 13 grey values (312 signs, 0 for equal neighbours). It can be made of the image cut
too, a tenth from each of its sides or not (16 ways), as crops of one frame often differ by their box. In
another pose (mirrored, rotated by quarters) an image has the same signs in other places, some of them
changed; inverted it has all changed.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

from search_space.progress import progress

CUT = 0.1
THUMBNAIL = 48
GRID = 13
SIGNS = 2 * GRID * (GRID - 1)
BORDER = 8  # grey values this near to black or white are border, which many frames share
_LANCZOS = Image.Resampling.LANCZOS
_ONE = 2**22  # Pillow weighs bytes by whole numbers, of which this many are one
_AT_ONCE = 256  # images


def sign_hashes(images: Sequence[np.ndarray], cut: bool = False) -> np.ndarray:
    """Return the signs of uint8 [h, w] or [h, w, 3]: int8 [n, 1, 312]; if `cut` of all cuts, [n, 16, 312].

    The first is of the whole image.
    """
    sides = list(itertools.product((0, CUT), repeat=2)) if cut else [(0, 0)]
    weights = np.concatenate([_weights(before, after) for before, after in sides])
    signs = np.empty((len(images), len(sides) ** 2, SIGNS), np.int8)
    for start in progress(range(0, len(images), _AT_ONCE), f"batches of {_AT_ONCE} images hashed"):
        some = [_thumbnail(image) for image in images[start : start + _AT_ONCE]]
        signs[start : start + len(some)] = _signs(np.array(some, np.float64), weights)
    return signs


def _thumbnail(image: np.ndarray) -> np.ndarray:
    grey = Image.fromarray(image).convert("L")
    values = np.asarray(grey)
    inside = Image.fromarray((values > BORDER) & (values < 255 - BORDER)).getbbox()
    return np.asarray(grey.crop(inside).resize((THUMBNAIL, THUMBNAIL), _LANCZOS))


def _weights(before: float, after: float) -> np.ndarray:
    """Return Pillow's weights, float64 [13, 48], by which a line cut at its ends is reduced, as multiples."""
    each = Image.fromarray(np.eye(THUMBNAIL, dtype=np.int32) * _ONE)
    box = (0, before * THUMBNAIL, THUMBNAIL, (1 - after) * THUMBNAIL)
    return np.asarray(each.resize((THUMBNAIL, GRID), _LANCZOS, box), np.float64)


def _signs(thumbnails: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the signs int8 [n, cuts, 312] of thumbnails [n, 48, 48], all cuts of them reduced at once."""
    rows = _reduced(thumbnails, weights)
    both = _reduced(rows.swapaxes(1, 2), weights)  # [n, columns of all cuts, rows of all cuts]
    cuts = len(weights) // GRID
    grids = both.reshape(-1, cuts, GRID, cuts, GRID).transpose(0, 1, 3, 4, 2)
    grids = grids.astype(np.int16, order="C").reshape(len(both), cuts**2, GRID, GRID)
    across, down = np.sign(np.diff(grids, axis=3)), np.sign(np.diff(grids, axis=2))
    return np.concatenate([one.reshape(*grids.shape[:2], -1) for one in (across, down)], axis=2)


def _reduced(lines: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return lines of bytes [..., 48] reduced to bytes [..., weights], rounded as Pillow rounds.

    All are whole numbers below 2**53, so that sums are exact.
    """
    return np.clip(np.floor(lines @ weights.T / _ONE + 0.5), 0, 255)


def _moved(hashes: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the hashes [n, 312] that the images would have in each of the 8 poses, unchanged first."""
    half = SIGNS // 2
    across, down = (
        hashes[:, :half].reshape(-1, GRID, GRID - 1),
        hashes[:, half:].reshape(-1, GRID - 1, GRID),
    )
    rotated = down.swapaxes(1, 2), across.swapaxes(1, 2)
    for (x, y), mirrored, upside in itertools.product(
        ((across, down), rotated), (False, True), (False, True)
    ):
        if mirrored:
            x, y = -x[:, :, ::-1], y[:, :, ::-1]
        if upside:
            x, y = x[:, ::-1], -y[:, ::-1]
        yield np.concatenate([x.reshape(len(x), -1), y.reshape(len(y), -1)], axis=1)


_FROM = np.concatenate(
    list(_moved(np.arange(1, SIGNS + 1)[None]))
)  # [8, 312]: the place, from 1, and its sign
POSES = len(_FROM)


def posed(hashes: np.ndarray, poses: np.ndarray | int) -> np.ndarray:
    """Return int8 [n, 312], the hashes of the images in `poses`, one each or one of all; 0 is unchanged."""
    places = _FROM[poses]
    if places.ndim == 1:
        return hashes[:, abs(places) - 1] * np.sign(places).astype(np.int8)
    return np.take_along_axis(hashes, abs(places) - 1, axis=1) * np.sign(places).astype(np.int8)
