"""Find copies and near-duplicates among images, and the groups that they form.

A copy has the same pixels, perhaps mirrored, rotated by quarters or inverted: all have one `copy_digest`.

Near-duplicates are found by a perceptual hash: the signs of the differences between neighbours, along
rows and columns, of the image reduced to 13 x 13 grey values (a difference hash, 312 signs, 0 for equal
neighbours). Crops of one frame often differ by their box, so one image of a pair is hashed with and
without a tenth cut from each of its sides (16 ways), and the other in its 8 poses (mirrored, rotated),
which only change the places and signs in a hash; inverting changes all signs. Two images are near-
duplicates if the cosine of two such hashes is at least 0.6 in the same pose (without ties: at most a fifth
of the signs differ), or 0.7 in another pose or inverted.

The thresholds were chosen on the 647 crops of BUSI, whose `duplicate_group` is the truth (253 pairs): recall
0.49, precision 0.98 over pairs (`test_half_of_busis_duplicate_pairs_are_found` repeats this). The other pairs
mostly show a lesion in another plane or frame. No hash of a crop finds these, or other images of a patient
(BUS-BRA: 3 of 819 pairs): patient or lesion numbers are better. In another pose or inverted, no two images of
BUSI, of BUS-BRA's 1875 crops or of 5600 patches of PatchCamelyon come above 0.69. Time grows with the square
of the number of images; 2,000 take some ten seconds.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Hashable, Iterable, Iterator, Sequence

import numpy as np
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

SIMILAR = 0.6
MOVED = 0.7  # in another pose or inverted: more comparisons agree more often by chance
COPY = 0.9  # of the uncut images: one file saved twice; no two groups of BUSI or BUS-BRA come above 0.7
CUT = 0.1
THUMBNAIL = 48
GRID = 13
BORDER = 8  # grey values this near to black or white are border, which many frames share
_CUTS = tuple(itertools.product((0.0, CUT), repeat=4))  # left, top, right, bottom; the first cuts nothing
_ROWS_AT_ONCE = 1024


def copy_digest(pixels: np.ndarray) -> str:
    """Return 16 hex digits, the same for uint8 [h, w] or [h, w, 3] mirrored, rotated or inverted.

    An image of one value is not compared inverted: black would be a copy of white.
    """
    flat = pixels.min() == pixels.max()
    views = [view for one in ((pixels,) if flat else (pixels, 255 - pixels)) for view in _views(one)]
    edges = [(view.shape, view[0].tobytes()) for view in views]  # mostly tell the views apart already
    first = min(edges)
    whole = min(view.tobytes() for view, edge in zip(views, edges, strict=True) if edge == first)
    return hashlib.sha256(f"{first[0]}:".encode() + whole).hexdigest()[:16]


def _views(pixels: np.ndarray) -> Iterator[np.ndarray]:
    """Yield all 8 poses."""
    for one in (pixels, pixels.swapaxes(0, 1)):
        yield from (one, one[::-1], one[:, ::-1], one[::-1, ::-1])


def sign_hashes(image: np.ndarray, cuts: Sequence[tuple[float, ...]] = _CUTS) -> np.ndarray:
    """Return the hashes of uint8 [h, w] or [h, w, 3]: float32 [cuts, 312], norm 1 (0 for a flat image)."""
    lanczos = Image.Resampling.LANCZOS
    grey = Image.fromarray(image).convert("L")
    inside = grey.point(lambda value: BORDER < value < 255 - BORDER).getbbox()
    small = grey.crop(inside).resize((THUMBNAIL, THUMBNAIL), lanczos)
    signs = []
    for left, top, right, bottom in cuts:
        box = (left * THUMBNAIL, top * THUMBNAIL, (1 - right) * THUMBNAIL, (1 - bottom) * THUMBNAIL)
        grid = np.asarray(small.resize((GRID, GRID), lanczos, box), dtype=np.int16)
        signs.append(np.concatenate([np.diff(grid, axis=1).ravel(), np.diff(grid, axis=0).ravel()]))
    hashes = np.sign(np.array(signs)).astype(np.float32)
    return hashes / np.maximum(np.linalg.norm(hashes, axis=1, keepdims=True), 1)


def _poses(hashes: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the hashes [n, 312] that the images would have in each of the 8 poses, unchanged first."""
    steps = GRID * (GRID - 1)
    across, down = (
        hashes[:, :steps].reshape(-1, GRID, GRID - 1),
        hashes[:, steps:].reshape(-1, GRID - 1, GRID),
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


def _alike(
    hashes: np.ndarray, others: Sequence[np.ndarray], unmoved: float, moved: float
) -> Iterator[tuple[int, int]]:
    """Yield indices (of `hashes` [n, 312], of an array of `others`, each [m, 312]) alike in some pose."""
    for start in range(0, len(hashes), _ROWS_AT_ONCE):
        for pose, rows in enumerate(_poses(hashes[start : start + _ROWS_AT_ONCE])):
            for known in others:
                cosine = rows @ known.T
                alike = np.abs(cosine) >= moved
                if pose == 0:
                    alike |= cosine >= unmoved
                yield from ((start + i, j) for i, j in np.argwhere(alike).tolist())


def near_duplicates(images: Sequence[np.ndarray]) -> list[tuple[int, int]]:
    """Return all pairs i < j of near-duplicates among uint8 [h, w] or [h, w, 3], in order."""
    if not images:
        return []
    hashes = np.stack([sign_hashes(image) for image in images])
    found = _alike(hashes[:, 0], list(hashes.swapaxes(0, 1)), SIMILAR, MOVED)
    return sorted({(min(i, j), max(i, j)) for i, j in found if i != j})


def copies(images: Sequence[np.ndarray], others: Sequence[np.ndarray]) -> list[tuple[int, int]]:
    """Return all pairs (image, other) of one picture, perhaps resaved: smaller, lossy, brighter, moved."""
    known = copy_hashes(others)
    return copies_by_hash(known if others is images else copy_hashes(images), known)


def copy_hashes(images: Sequence[np.ndarray]) -> np.ndarray:
    """Return the signs by which copies are found: int8 [n, 312]."""
    hashes = [sign_hashes(image, _CUTS[:1])[0] for image in images]
    return np.sign(np.array(hashes).reshape(-1, 2 * GRID * (GRID - 1))).astype(np.int8)


def copies_by_hash(hashes: np.ndarray, others: np.ndarray) -> list[tuple[int, int]]:
    """Return all pairs as `copies` does, from `copy_hashes` of both."""
    if not len(hashes) or not len(others):
        return []
    unit, known = (
        signs / np.maximum(np.linalg.norm(signs, axis=1, keepdims=True), 1).astype(np.float32)
        for signs in (hashes.astype(np.float32), others.astype(np.float32))
    )
    return sorted(set(_alike(unit, [known], COPY, COPY)))


def connected(count: int, pairs: Iterable[tuple[int, int]]) -> np.ndarray:
    """Return the group int64 [count] of each item if paired items belong together, by first appearance."""
    edges = np.array(list(pairs), dtype=np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(edges.shape[1], dtype=bool), (edges[0], edges[1])), shape=(count, count))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def chained(keys: Sequence[Hashable | None]) -> list[tuple[int, int]]:
    """Return pairs that connect all items of equal key; None equals nothing."""
    last: dict[Hashable, int] = {}
    pairs = []
    for index, key in enumerate(keys):
        if key is None:
            continue
        if key in last:
            pairs.append((last[key], index))
        last[key] = index
    return pairs
