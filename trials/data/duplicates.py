"""Find copies and near-duplicates among images, and the groups that they form.

A copy has the same pixels, perhaps mirrored, rotated by quarters or inverted: all have one `copy_digest`.

Near-duplicates are found by a perceptual hash (`sign_hashes.py`). One image of a pair is hashed with and
without a tenth cut from each of its sides (16 ways), and the other in its 8 poses. Two images are near-
duplicates if the cosine of two such hashes is at least 0.6 in the same pose (without ties: at most a fifth
of the signs differ), or 0.7 in another pose or inverted.

The thresholds were chosen on the 647 crops of BUSI, whose `duplicate_group` is the truth (253 pairs): recall
0.49, precision 0.98 over pairs (`test_half_of_busis_duplicate_pairs_are_found` repeats this). The other pairs
mostly show a lesion in another plane or frame. No hash of a crop finds these, or other images of a patient
(BUS-BRA: 3 of 819 pairs): patient or lesion numbers are better. In another pose or inverted, no two images of
BUSI, of BUS-BRA's 1875 crops or of 5600 patches of PatchCamelyon come above 0.69.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterable, Iterator, Sequence

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from search_space.progress import progress
from trials.data.neighbours import Neighbours
from trials.data.sign_hashes import POSES, sign_hashes

SIMILAR = 0.6
MOVED = 0.7  # in another pose or inverted: more comparisons agree more often by chance
COPY = 0.9  # of the uncut images: one file saved twice; no two groups of BUSI or BUS-BRA come above 0.7
_AT_ONCE = 2048  # images whose cuts are looked up: their hashes take 10 MB


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


def near_duplicates(images: Sequence[np.ndarray]) -> list[tuple[int, int]]:
    """Return all pairs i < j of near-duplicates among uint8 [h, w] or [h, w, 3], in order."""
    if not images:
        return []
    known = copy_hashes(images)
    unmoved, moved = Neighbours(known, [0], 64, 16), Neighbours(known, range(1, POSES), 32, 4)
    found = []
    for start in progress(range(0, len(images), _AT_ONCE), f"batches of {_AT_ONCE} images compared"):
        cuts = sign_hashes(images[start : start + _AT_ONCE], cut=True)
        hashes = cuts.reshape(-1, cuts.shape[2])
        pairs = np.concatenate([unmoved.alike(hashes, SIMILAR, MOVED), moved.alike(hashes, MOVED, MOVED)])
        pairs[:, 0] = start + pairs[:, 0] // cuts.shape[1]
        found.append(pairs[pairs[:, 0] != pairs[:, 1]])
    return _in_order([np.sort(pairs, axis=1) for pairs in found], len(images))


def copies(images: Sequence[np.ndarray], others: Sequence[np.ndarray]) -> list[tuple[int, int]]:
    """Return all pairs (image, other) of one picture, perhaps resaved: smaller, lossy, brighter, moved."""
    known = copy_hashes(others)
    return copies_by_hash(known if others is images else copy_hashes(images), known)


def copy_hashes(images: Sequence[np.ndarray]) -> np.ndarray:
    """Return the signs by which copies are found: int8 [n, 312]."""
    return sign_hashes(images)[:, 0]


def copies_by_hash(hashes: np.ndarray, others: np.ndarray) -> list[tuple[int, int]]:
    """Return all pairs as `copies` does, from `copy_hashes` of both."""
    if not len(hashes) or not len(others):
        return []
    return _in_order([Neighbours(others, range(POSES), 32, 4).alike(hashes, COPY, COPY)], len(others))


def _in_order(pairs: Sequence[np.ndarray], count: int) -> list[tuple[int, int]]:
    """Return each of the pairs, int64 [n, 2], once; the second of each is below `count`."""
    numbers = np.unique(np.concatenate([some[:, 0] * count + some[:, 1] for some in pairs]))
    return [divmod(number, count) for number in numbers.tolist()]


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
