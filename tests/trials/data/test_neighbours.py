"""Sign hashes, and alike ones found among many."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
from PIL import Image

from trials.data import neighbours
from trials.data.duplicates import copies, near_duplicates
from trials.data.neighbours import Neighbours
from trials.data.sign_hashes import CUT, GRID, POSES, SIGNS, THUMBNAIL, posed, sign_hashes


def test_a_hash_has_the_signs_of_pillows_own_grid_of_each_cut() -> None:
    image = np.random.default_rng(0).integers(20, 230, (THUMBNAIL, THUMBNAIL), dtype=np.uint8)
    expected = []
    for (left, right), (top, bottom) in itertools.product(itertools.product((0, CUT), repeat=2), repeat=2):
        box = tuple(THUMBNAIL * edge for edge in (left, top, 1 - right, 1 - bottom))
        reduced = Image.fromarray(image).resize((GRID, GRID), Image.Resampling.LANCZOS, box)
        grid = np.asarray(reduced, dtype=np.int16)
        expected.append(np.sign(np.concatenate([np.diff(grid, axis=axis).ravel() for axis in (1, 0)])))
    assert (sign_hashes([image], cut=True) == np.array([expected])).all()
    assert (sign_hashes([image]) == expected[0]).all()


def test_a_moved_image_has_the_hash_of_its_pose(picture: Callable[..., np.ndarray]) -> None:
    image = picture(3, 96, 96)
    whole = sign_hashes([image])[:, 0]
    moved = [view for one in (image, image.T) for view in (one, one[::-1], one[:, ::-1], one[::-1, ::-1])]
    for pose, view in enumerate(moved):
        there = sign_hashes([np.ascontiguousarray(view)])[0, 0]
        agreement = [(posed(whole, other)[0] == there).mean() for other in range(POSES)]
        assert agreement[pose] == max(agreement) > 0.97
    each = posed(np.repeat(whole, POSES, axis=0), np.arange(POSES))
    assert (each == np.concatenate([posed(whole, pose) for pose in range(POSES)])).all()


def test_near_duplicates_among_many_are_found() -> None:
    random = np.random.default_rng(0)
    coarse = random.integers(30, 226, (2000, 7, 7), dtype=np.uint8)
    images = [np.asarray(Image.fromarray(one).resize((32, 32), Image.Resampling.BICUBIC)) for one in coarse]
    assert len(images) + 100 > neighbours.ALL  # so that not all are compared
    moves = (np.asarray, np.fliplr, np.rot90, lambda image: 255 - image, lambda image: image[3:, :-3])
    moved = [np.ascontiguousarray(moves[index % 5](images[index])) for index in range(100)]
    pairs = [(index, 2000 + index) for index in range(100)]
    assert near_duplicates([*images, *moved]) == pairs
    assert copies(moved, images) == [(j - 2000, i) for i, j in pairs if i % 5 != 4]


def test_of_many_only_hashes_that_share_a_cell_are_compared() -> None:
    hashes = np.sign(np.random.default_rng(0).normal(size=(neighbours.ALL + 1, SIGNS))).astype(np.int8)
    pairs = Neighbours(hashes, [0], 64, 3).alike(hashes[:200], -1, 2)
    assert 200 <= len(pairs) < 0.3 * 200 * len(hashes)
    assert {(index, index) for index in range(200)} <= set(map(tuple, pairs.tolist()))


def test_few_hashes_are_all_compared() -> None:
    hashes = np.sign(np.random.default_rng(0).normal(size=(50, SIGNS))).astype(np.int8)
    for poses in ([0], range(1, POSES)):
        pairs = Neighbours(hashes, poses, 64, 3).alike(hashes, -1, 2)
        assert len(pairs) == len(poses) * 50 * 50 and len(np.unique(pairs, axis=0)) == 50 * 50


def test_flat_images_are_like_nothing() -> None:
    nothing = np.zeros((3, SIGNS), np.int8)
    assert len(Neighbours(nothing, range(POSES), 64, 3).alike(nothing, 0.1, 0.1)) == 0


def test_no_images_have_no_pairs(picture: Callable[..., np.ndarray]) -> None:
    assert near_duplicates([]) == copies([], [picture(0)]) == copies([picture(0)], []) == []
