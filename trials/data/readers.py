"""Which layout a path holds, and its reader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from trials.data.busi import cut, is_busis
from trials.data.folders import read_class_folders
from trials.data.manifest import read_manifest
from trials.data.masks import pair, without_listed_masks
from trials.data.medmnist import read_medmnist
from trials.data.patch_camelyon import hdf5_folder, read_patch_camelyon
from trials.data.records import DataError, Listing
from trials.data.walking import is_printable, printable, walk

KNOWN = (
    "a folder with manifest.csv or with one sub-folder a class, in train, valid and test or not, BUSI "
    "or PatchCamelyon as published, or a MedMNIST .npz"
)


def read(path: Path, group_column: str | None = None, classes: Sequence[str] | None = None) -> Listing:
    """The records at `path`. Raises `DataError` where the path holds no known layout."""
    if not is_printable(path):
        raise DataError(f"{printable(path)}: the path is not UTF-8, so no result could name it; rename it")
    if not path.exists():
        raise DataError(f"{path}: there is nothing there; expected {KNOWN}")
    is_npz = path.suffix.lower() == ".npz"
    if classes and not is_npz:
        raise DataError(
            f"{path}: data.classes names the label numbers of an .npz, and this is none; leave it out"
        )
    if path.is_dir() and (path / "manifest.csv").exists():
        return without_listed_masks(read_manifest(path, group_column))
    if hdf5 := hdf5_folder(path):
        return read_patch_camelyon(hdf5, group_column)
    if group_column is not None:
        raise DataError(
            f"{path}: a group column ({group_column}) needs a manifest.csv that has it, and there is none"
        )
    if is_npz:
        return read_medmnist(path, classes)
    if not path.is_dir():
        raise DataError(f"{path}: no layout that is known here; expected {KNOWN}")
    return _read_folders(path)


def _read_folders(path: Path) -> Listing:
    """One sub-folder a class, with masks or without."""
    tree = walk(path)
    if not tree.images:
        raise DataError("\n".join(tree.problems) or f"{path}: no layout that is known here; expected {KNOWN}")
    pairing = pair(path, tree.images)
    listing = read_class_folders(path, pairing.images)
    if pairing.masks:
        listing = replace(listing, layout="busi" if is_busis(pairing.masks) else "masked_folders")
        listing = cut(listing, pairing.masks)
    return replace(
        listing,
        problems=(*tree.problems, *pairing.problems, *listing.problems),
        notes=(*tree.notes, *pairing.notes, *listing.notes),
    )
