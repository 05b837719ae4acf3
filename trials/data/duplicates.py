"""Near-duplicates among images by a perceptual hash, and the groups they form.

The hash is the signs of the differences between neighbours, along rows and columns, of the image reduced to
13 x 13 grey values (a difference hash, 312 signs, 0 for equal neighbours). Crops of one frame often differ
by their box, so one image of a pair is hashed with and without a tenth cut from each of its sides (16
ways). Two images are near-duplicates where the cosine of two such hashes is 0.6 or more (without ties: at
most a fifth of the signs differ).

Chosen on the 647 crops of BUSI, whose `duplicate_group` is the truth (253 pairs): recall 0.49, precision
0.98 over pairs (`test_half_of_busis_duplicate_pairs_are_found` repeats this). The other pairs mostly show a
lesion in another plane or frame, which no hash of a crop finds, nor other images of a patient (BUS-BRA: 3
of 819 pairs): patient or lesion numbers are better, where there are any. Time grows with the square of the
number of images; 2,000 take some seconds.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

SIMILAR = 0.6
COPY = 0.9  # of the uncut images: one file saved twice; no two groups of BUSI or BUS-BRA come above 0.7
CUT = 0.1
THUMBNAIL = 48
GRID = 13
BLACK = 8  # grey values up to this one are border, which many frames share
_CUTS = tuple(itertools.product((0.0, CUT), repeat=4))  # left, top, right, bottom; the first cuts nothing
_ROWS_AT_ONCE = 1024


def sign_hashes(image: np.ndarray, cuts: Sequence[tuple[float, ...]] = _CUTS) -> np.ndarray:
    """Of uint8 [h, w] or [h, w, 3]: float32 [cuts, 312], norm 1 (0 for a flat image), uncut image first."""
    lanczos = Image.Resampling.LANCZOS
    grey = Image.fromarray(image).convert("L")
    inside = grey.point(lambda value: value > BLACK).getbbox()
    small = grey.crop(inside).resize((THUMBNAIL, THUMBNAIL), lanczos)
    signs = []
    for left, top, right, bottom in cuts:
        box = (left * THUMBNAIL, top * THUMBNAIL, (1 - right) * THUMBNAIL, (1 - bottom) * THUMBNAIL)
        grid = np.asarray(small.resize((GRID, GRID), lanczos, box), dtype=np.int16)
        signs.append(np.concatenate([np.diff(grid, axis=1).ravel(), np.diff(grid, axis=0).ravel()]))
    hashes = np.sign(np.array(signs)).astype(np.float32)
    return hashes / np.maximum(np.linalg.norm(hashes, axis=1, keepdims=True), 1)


def near_duplicates(images: Sequence[np.ndarray]) -> list[tuple[int, int]]:
    """All pairs i < j of near-duplicates, in order."""
    hashes = np.stack([sign_hashes(image) for image in images])
    whole, cuts = hashes[:, 0], hashes.transpose(1, 2, 0)
    pairs: set[tuple[int, int]] = set()
    for start in range(0, len(images), _ROWS_AT_ONCE):
        rows = whole[start : start + _ROWS_AT_ONCE]
        for cut in cuts:
            found = np.argwhere(rows @ cut >= SIMILAR)
            found[:, 0] += start
            pairs.update((min(i, j), max(i, j)) for i, j in found.tolist() if i != j)
    return sorted(pairs)


def copies(images: Sequence[np.ndarray], others: Sequence[np.ndarray]) -> list[tuple[int, int]]:
    """All pairs (image, other) that are one picture, saved anew perhaps: smaller, lossy, brighter."""
    if not images or not others:
        return []
    hashes, known = (
        np.stack([sign_hashes(image, _CUTS[:1])[0] for image in some]) for some in (images, others)
    )
    return [(i, j) for i, j in np.argwhere(hashes @ known.T >= COPY).tolist()]


def connected(count: int, pairs: Iterable[tuple[int, int]]) -> np.ndarray:
    """The group int64 [count] of each item when paired items belong together, by first appearance."""
    edges = np.array(list(pairs), dtype=np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(edges.shape[1], dtype=bool), (edges[0], edges[1])), shape=(count, count))
    return connected_components(graph, directed=False)[1].astype(np.int64)
