"""MedMNIST `.npz` files (Yang et al. 2023, 10.1038/s41597-022-01721-8): splits joined, labels by name.

The official split of BreastMNIST puts frames of one lesion on both sides, so it is not kept; see `folds.py`.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import psutil

from trials.data.records import DataError, Listing, Record

SPLITS = ("train", "val", "test")
CLASSES = {"breastmnist": ("malignant", "benign-or-normal")}


def read_medmnist(path: Path, classes: Sequence[str] | None) -> Listing:
    """All images, `file` being `name.npz#index` over train, val, test in this order.

    `classes` names the labels 0, 1, ...; it is known for BreastMNIST (0 = malignant, 1 = normal or benign).
    """
    images, labels = _arrays(path)
    names = classes or CLASSES.get(path.stem.split("_")[0].lower())
    if names is None:
        raise DataError(
            f"{path}: the file holds class numbers 0 to {labels.max()}, not names, and only BreastMNIST's "
            "are known; give the names in the order of the numbers as `classes`"
        )
    if labels.min() < 0 or labels.max() >= len(names):
        raise DataError(
            f"{path}: labels {labels.min()} to {labels.max()}, but {len(names)} classes are named: {names}"
        )
    records = tuple(
        Record(f"{path.name}#{index}", names[label], partial(np.array, images[index]))
        for index, label in enumerate(labels)
    )
    return Listing(path.stem, path.parent, "medmnist", records)


def _arrays(path: Path) -> tuple[np.ndarray, np.ndarray]:
    try:
        _refuse_bomb(path)
        with np.load(path, allow_pickle=False) as stored:
            images = np.concatenate([stored[f"{split}_images"] for split in SPLITS])
            labels = np.concatenate([stored[f"{split}_labels"] for split in SPLITS])
    except DataError:
        raise
    except Exception as error:  # damaged archives raise nearly anything
        raise DataError(
            f"{path}: not a MedMNIST file with {', '.join(SPLITS)} images and labels ({error})"
        ) from error
    grey_or_rgb = images.ndim == 3 or (images.ndim == 4 and images.shape[3] == 3)
    if images.dtype != np.uint8 or not grey_or_rgb or 0 in images.shape[1:]:
        raise DataError(
            f"{path}: images of {images.dtype} {images.shape}; expected uint8 [n, h, w] or [n, h, w, 3]"
        )
    if labels.size != len(images) or len(images) == 0 or labels.dtype.kind not in "iu":
        raise DataError(
            f"{path}: {labels.shape} labels of {labels.dtype} for {len(images)} images; expected one class "
            "number an image"
        )
    return images, labels.reshape(-1).astype(np.int64)


def _refuse_bomb(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        size = sum(part.file_size for part in archive.infolist())
    free = _free_memory()
    if size > free:
        raise DataError(
            f"{path}: unpacks to {size / 1e9:.1f} GB, and {free / 1e9:.1f} GB of memory are free; use a "
            "smaller version, or a machine with more memory"
        )


def _free_memory() -> int:
    return int(psutil.virtual_memory().available)
