"""MedMNIST `.npz` files (Yang et al. 2023, 10.1038/s41597-022-01721-8): splits joined, labels by name.

The official split of BreastMNIST puts frames of one lesion on both sides, so it is not kept; see `folds.py`.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

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
        with np.load(path, allow_pickle=False) as stored:
            images = np.concatenate([stored[f"{split}_images"] for split in SPLITS])
            labels = np.concatenate([stored[f"{split}_labels"] for split in SPLITS])
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path}: not a MedMNIST file with {', '.join(SPLITS)} images and labels ({error})"
        ) from error
    grey_or_rgb = images.ndim == 3 or (images.ndim == 4 and images.shape[3] == 3)
    if images.dtype != np.uint8 or not grey_or_rgb:
        raise DataError(
            f"{path}: images of {images.dtype} {images.shape}; expected uint8 [n, h, w] or [n, h, w, 3]"
        )
    if labels.size != len(images) or len(images) == 0:
        raise DataError(
            f"{path}: {labels.shape} labels for {len(images)} images; expected one class number an image"
        )
    return images, labels.reshape(-1).astype(np.int64)
