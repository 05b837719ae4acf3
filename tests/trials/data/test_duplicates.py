"""Copies and near-duplicates."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trials.data.duplicates import connected, copies, copy_digest, near_duplicates
from trials.data.load import load
from trials.errors import DataError


def altered(image: np.ndarray, change: str) -> np.ndarray:
    picture = Image.fromarray(image)
    height, width = image.shape
    changes: dict[str, Callable[[], Image.Image]] = {
        "brighter": lambda: picture.point(lambda grey: grey * 0.7 + 40),
        "smaller": lambda: picture.resize((width // 2, height // 2)),
        "noisy": lambda: Image.fromarray(
            np.clip(image + np.random.default_rng(0).normal(0, 6, image.shape), 0, 255).astype(np.uint8)
        ),
        "cut": lambda: picture.crop((width // 10, 0, width, height - height // 10)),
    }
    return np.asarray(changes[change]())


@pytest.mark.parametrize("change", ["brighter", "smaller", "noisy", "cut"])
def test_altered_copies_are_near_duplicates(change: str, picture: Callable[..., np.ndarray]) -> None:
    images = [picture(seed, 120, 150) for seed in range(6)]
    assert near_duplicates(images) == []
    assert near_duplicates([*images, altered(images[2], change)]) == [(2, 6)]


MOVES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "mirrored": np.fliplr,
    "upside down": np.flipud,
    "a quarter turn": np.rot90,
    "half a turn": lambda image: np.rot90(image, 2),
    "three quarters": lambda image: np.rot90(image, 3),
    "along the diagonal": np.transpose,
    "inverted": lambda image: 255 - image,
    "inverted and turned": lambda image: 255 - np.rot90(image),
}


def as_jpeg(image: np.ndarray) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=60)
    return np.asarray(Image.open(file))


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("change", ["brighter", "smaller", "noisy", "cut"])
def test_moved_and_altered_copies_are_near_duplicates(
    move: str, change: str, picture: Callable[..., np.ndarray]
) -> None:
    images = [picture(seed, 120, 150) for seed in range(6)]
    copy = altered(np.ascontiguousarray(MOVES[move](images[2])), change)
    assert near_duplicates([*images, copy]) == [(2, 6)]
    assert copies(images, [copy]) == ([] if change == "cut" else [(2, 0)])


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("shape", [(7, 9), (8, 8), (1, 5)])
def test_moved_copies_have_one_digest(move: str, shape: tuple[int, int]) -> None:
    image = np.random.default_rng(3).integers(0, 256, shape, dtype=np.uint8)
    assert copy_digest(MOVES[move](image)) == copy_digest(image)
    other = image.copy()
    other[0, 0] ^= 1
    assert copy_digest(other) != copy_digest(image)


def test_colour_shape_and_flat_images_have_different_digests() -> None:
    colour = np.random.default_rng(3).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    assert copy_digest(255 - colour[:, ::-1]) == copy_digest(colour) != copy_digest(colour[..., ::-1])
    flat = [np.full(shape, value, np.uint8) for shape in ((4, 6), (3, 8)) for value in (0, 100, 155, 255)]
    assert len(set(map(copy_digest, flat))) == len(flat)


def test_inverted_frames_with_borders_are_near_duplicates(picture: Callable[..., np.ndarray]) -> None:
    framed = [np.pad(picture(seed, 90, 110), ((40, 0), (10, 60))) for seed in range(4)]
    assert near_duplicates([*framed, 255 - framed[1]]) == [(1, 4)]


def test_black_borders_do_not_make_duplicates(picture: Callable[..., np.ndarray]) -> None:
    framed = [np.pad(picture(seed), 40) for seed in range(8)]
    assert near_duplicates([*framed, *(np.zeros((9, 9), np.uint8) for _ in range(2))]) == []


def test_duplicates_of_duplicates_are_one_group() -> None:
    assert connected(6, [(1, 3), (3, 5), (0, 2)]).tolist() == [0, 1, 0, 1, 2, 1]


def test_without_a_group_column_near_duplicates_are_grouped(
    tmp_path: Path, picture: Callable[..., np.ndarray]
) -> None:
    for label, offset in (("benign", 0), ("malignant", 10)):
        (tmp_path / label).mkdir()
        for number in range(4):
            image = picture(offset + number) if number < 3 else altered(picture(offset), "brighter")
            Image.fromarray(image).save(tmp_path / label / f"{number}.png")
    data = load(tmp_path)
    assert data.group_source == "perceptual hash"
    assert data.groups == ("1", "2", "3", "1", "4", "5", "6", "4")


@pytest.mark.parametrize("layout", ["manifest", "class_folders"])
def test_moved_copies_in_other_files_join_their_originals(
    layout: str, tmp_path: Path, picture: Callable[..., np.ndarray]
) -> None:
    rows = []
    for label, offset in (("benign", 0), ("malignant", 10)):
        (tmp_path / label).mkdir()
        for number in range(4):
            for name, move in (("", np.array), ("_aug", list(MOVES.values())[number + offset // 3])):
                file = f"{label}/{number}{name}.png"
                Image.fromarray(np.ascontiguousarray(move(picture(offset + number)))).save(tmp_path / file)
                rows.append(f"{file},{label},{file}\n")
    if layout == "manifest":
        (tmp_path / "manifest.csv").write_text("file,label,patient\n" + "".join(rows))
    if layout == "manifest":  # so many would be taken for a fault of the column
        with pytest.raises(DataError, match="8 of 16 images are joined to another group"):
            load(tmp_path)
    data = load(tmp_path, accept=["groups"])
    group = dict(zip(data.files, data.groups, strict=True))
    assert data.layout == layout and len(group) == 16 and len(set(group.values())) == 8
    assert all(group[file.replace("_aug", "")] == group[file] for file in group)


def test_moved_and_resaved_real_crops_are_found(real_data: Path) -> None:
    crops = load(real_data / "busi").images[::13]
    saved: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "as it is": np.ascontiguousarray,
        "as JPEG": as_jpeg,
        "smaller": lambda image: altered(image, "smaller"),
        "smaller, as JPEG": lambda image: as_jpeg(altered(image, "smaller")),
    }
    pairs = [
        (crop, save(np.ascontiguousarray(move(crop))))
        for crop in crops
        for move in MOVES.values()
        for save in saved.values()
    ]
    assert len(pairs) == 1568 and all(near_duplicates(pair) == [(0, 1)] for pair in pairs)
    assert all(copy_digest(crop) == copy_digest(move(crop)) for crop in crops for move in MOVES.values())


def test_real_patches_and_patients_are_not_alike_in_another_pose(real_data: Path) -> None:
    patients = load(real_data / "busbra", group_column="patient")
    assert all(patients.groups[i] == patients.groups[j] for i, j in copies(patients.images, patients.images))
    patches = load(real_data / "pcam", positive="1").images[::4]
    assert copies(patches, patches) == [(i, i) for i in range(len(patches))]


def test_half_of_busis_duplicate_pairs_are_found(real_data: Path) -> None:
    data = load(real_data / "busi")
    left_out = [np.asarray(Image.open(real_data / "busi" / item.file)) for item in data.left_out]
    groups = [*data.groups, *(item.group for item in data.left_out)]
    pairs = near_duplicates([*data.images, *left_out])
    right = sum(groups[i] == groups[j] for i, j in pairs)
    true = sum(n * (n - 1) // 2 for n in map(groups.count, set(groups)))
    assert true == 253
    assert right / true == pytest.approx(0.49, abs=0.02)
    assert right / len(pairs) == pytest.approx(0.98, abs=0.015)
