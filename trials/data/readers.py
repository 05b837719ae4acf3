"""Which layout a path holds, and its reader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from trials.data.busi import is_busi, read_busi
from trials.data.folders import class_folders, read_class_folders, unread_files
from trials.data.manifest import read_manifest
from trials.data.medmnist import read_medmnist
from trials.data.patch_camelyon import hdf5_folder, read_patch_camelyon
from trials.data.records import DataError, Listing

KNOWN = (
    "a folder with manifest.csv or with one sub-folder a class, in train, valid and test or not, BUSI or "
    "PatchCamelyon as published, or a MedMNIST .npz"
)


def read(path: Path, group_column: str | None = None, classes: Sequence[str] | None = None) -> Listing:
    """The records at `path`. Raises `DataError` where the path holds no known layout."""
    if not path.exists():
        raise DataError(f"{path}: there is nothing there; expected {KNOWN}")
    is_npz = path.suffix.lower() == ".npz"
    if classes and not is_npz:
        raise DataError(
            f"{path}: data.classes names the label numbers of an .npz, and this is none; leave it out"
        )
    if path.is_dir() and (path / "manifest.csv").exists():
        return read_manifest(path, group_column)
    if hdf5 := hdf5_folder(path):
        return read_patch_camelyon(hdf5, group_column)
    if group_column is not None:
        raise DataError(
            f"{path}: a group column ({group_column}) needs a manifest.csv that has it, and there is none"
        )
    if is_npz:
        return read_medmnist(path, classes)
    images = class_folders(path) if path.is_dir() else {}
    if not images:
        raise DataError(f"{path}: no layout that is known here; expected {KNOWN}")
    listing = read_busi(path, images) if is_busi(images) else read_class_folders(path, images)
    return replace(listing, notes=tuple(unread_files(path)))
