"""Find alike sign hashes among many, in time that grows with their number and not with its square.

An inverted file (Sivic and Zisserman 2003, doi 10.1109/ICCV.2003.1238663): each hash lies in the cell of its
nearest centre, what is asked for is looked up in the cells nearest to it, and only what shares a cell is
compared, exactly, by one product of matrices. Centres are hashes themselves, one of so many. Which of them is
near is judged by the lowest frequencies of the signs alone: detail and noise are in the others. Libraries of
nearest neighbours (faiss, usearch, hnswlib) were not tried: they compare vector by vector, for 312 numbers
slower by our estimate than a product of matrices, and each is one more large package to install.

Up to `ALL` hashes have one cell: all are compared, and nothing is missed. Above, measured once with the
numbers that `duplicates.py` gives among 48,818 hashes (BUSI, BUS-BRA, 2,800 patches of PatchCamelyon, and
parts cut from them): of what comparing all finds, 127 of BUSI's 128 pairs were found, and 99 % of copies that
were moved and saved as JPEG, made smaller, brighter or noisy, or cut (94 % of those cut). Nothing is found
that comparing all does not find. Sums are of whole numbers or leave room for their rounding, so that results
depend neither on threads nor on the machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from trials.data.sign_hashes import GRID, posed

ALL = 2048
FREQUENCIES = 7
ROUNDING = 1e-5  # of a cosine in float32
_ROWS, _COLUMNS = 1024, 4096  # of a product of matrices


def _waves() -> np.ndarray:
    """Return the lowest frequencies of both fields of signs, float32 [312, waves], as whole numbers."""

    def cosines(places: int) -> np.ndarray:
        return np.cos(np.pi * np.outer(np.arange(FREQUENCIES), np.arange(places) + 0.5) / places)

    long, short = cosines(GRID), cosines(GRID - 1)
    pairs = [(u, v) for u in range(FREQUENCIES) for v in range(FREQUENCIES - u)]
    across = np.array([np.outer(long[v], short[u]).ravel() for u, v in pairs])
    down = np.array([np.outer(short[v], long[u]).ravel() for u, v in pairs])
    nothing = np.zeros_like(across)
    return np.rint(64 * np.block([[across, nothing], [nothing, down]])).T.astype(np.float32)


_WAVES = _waves()


def _outlines(hashes: np.ndarray) -> np.ndarray:
    """Return the shares of the waves in hashes, float32 [n, waves], whole numbers, of norm 127."""
    shares = hashes.astype(np.float32) @ _WAVES
    norms = np.linalg.norm(shares, axis=1, keepdims=True)
    return np.rint(127 * shares / np.maximum(norms, 1))


def _nearest(hashes: np.ndarray, centres: np.ndarray, count: int) -> np.ndarray:
    """Return the cells int32 [n, count] whose centres are nearest to hashes [n, 312] or to their inverse."""
    cells = np.empty((len(hashes), count), np.min_scalar_type(len(centres)))  # small ones sort sooner
    for start in range(0, len(hashes), _COLUMNS):
        near = abs(_outlines(hashes[start : start + _COLUMNS]) @ centres.T)
        for turn in range(count):
            best = near.argmax(axis=1)
            cells[start : start + _COLUMNS, turn] = best
            near[np.arange(len(best)), best] = -1
    return cells


def _by_cell(cells: np.ndarray, count: int) -> list[np.ndarray]:
    """Return which of the items, whose cells [n] are given, lie in each of `count` cells."""
    order = np.argsort(cells, kind="stable").astype(np.int32)
    return np.split(order, np.searchsorted(cells[order], np.arange(1, count)))


def _pieces(items: np.ndarray, size: int) -> Iterator[np.ndarray]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _norms(hashes: np.ndarray) -> np.ndarray:
    """Return the norms float32 [n, 1] of hashes; 1 of a flat image's, whose cosine then is 0."""
    return np.sqrt(np.maximum(np.count_nonzero(hashes, axis=1, keepdims=True), 1)).astype(np.float32)


class Neighbours:
    """Hashes int8 [n, 312] of whole images, of which those that are like others in some `poses` are found.

    A cell has `in_cell` hashes on average; what is asked for is looked up in `probes` cells.
    """

    def __init__(self, hashes: np.ndarray, poses: Sequence[int], in_cell: int, probes: int) -> None:
        self._hashes, self._norms, self._poses = hashes, _norms(hashes), np.array(poses)
        centres = hashes[:: in_cell * len(poses)] if len(hashes) > ALL else np.zeros_like(hashes[:1])
        self._centres = np.concatenate([_outlines(posed(centres, pose)) for pose in poses])
        self._probes = min(probes, len(self._centres))
        cells = [_nearest(posed(hashes, pose), self._centres, 1)[:, 0] for pose in poses]
        self._members = _by_cell(np.concatenate(cells), len(self._centres))  # each place of pose * n + hash

    def alike(self, hashes: np.ndarray, least: float, inverted: float) -> np.ndarray:
        """Return pairs int64 [pairs, 2]: which of `hashes`, int8 [m, 312], and which of these is like it.

        Their cosine is at least `least`, or `inverted` with all signs changed. A pair may come in several
        poses.
        """
        asked = _by_cell(_nearest(hashes, self._centres, self._probes).ravel(), len(self._centres))
        high = (least - ROUNDING) * _norms(hashes)
        low = (ROUNDING - inverted) * _norms(hashes)
        found = [np.empty((0, 2), np.int64)]
        for rows, members in zip(asked, self._members, strict=True):
            for piece in _pieces(members, _COLUMNS):
                place, which = np.divmod(piece, len(self._hashes))
                units = posed(self._hashes[which], self._poses[place]) / self._norms[which]
                for some in _pieces(rows // self._probes, _ROWS):
                    along = hashes[some].astype(np.float32) @ units.T
                    alike = np.flatnonzero((along >= high[some]) | (along <= low[some]))
                    left, right = np.divmod(alike, len(units))
                    found.append(np.stack([some[left], which[right]], axis=1))
        return np.concatenate(found)
