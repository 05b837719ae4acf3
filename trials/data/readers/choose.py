"""Which layout a path holds, and its reader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from trials.data.readers.busbra import is_busbra, read_busbra
from trials.data.readers.busi import cut, is_busis
from trials.data.readers.columns import FOLDER, NONE
from trials.data.readers.folders import read_class_folders
from trials.data.readers.manifest import read_manifest
from trials.data.readers.masks import pair, without_listed_masks
from trials.data.readers.medmnist import read_medmnist
from trials.data.readers.patch_camelyon import hdf5_folder, read_patch_camelyon
from trials.data.readers.walking import (
    holds_images,
    is_image,
    is_printable,
    is_stray,
    leads_out,
    outside_problem,
    printable,
    walk,
)
from trials.data.records import DataError, Listing

KNOWN = (
    "a folder with manifest.csv or with one sub-folder a class, in train, valid and test or not, BUSI, "
    "BUS-BRA or PatchCamelyon as published, or a MedMNIST .npz"
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
        return without_listed_masks(_within(read_manifest(path, group_column)))
    if is_busbra(path):
        return _within(read_busbra(path, group_column))
    if hdf5 := hdf5_folder(path):
        return read_patch_camelyon(hdf5, group_column)
    if inner := _only_folder(path):
        listing = read(inner, group_column, classes)
        if _is_published(inner) or len({record.label for record in listing.records}) > 1:
            return _one_deeper(listing, path)
    if group_column not in (None, NONE, FOLDER):
        raise DataError(
            f"{path}: a group column ({group_column}) needs a manifest.csv that has it, and there is none; "
            f"for a folder of each patient: {FOLDER}"
        )
    if is_npz:
        return read_medmnist(path, classes)
    if not path.is_dir():
        raise DataError(f"{path}: no layout that is known here; expected {KNOWN}")
    return _read_folders(path)


def refuse_inside(data: Path, out: Path) -> None:
    """Raise `DataError` where files written to `out` would lie among the images of class folders in `data`.

    A manifest and the published layouts name their files, so that others beside them do no harm.
    """
    while not _is_published(data) and (inner := _only_folder(data)):
        data = inner
    inside = out.resolve().is_relative_to(data.resolve())
    if inside and data.is_dir() and not _is_published(data):
        raise DataError(
            f"{out}: lies among the images of {data}, where each folder is a class; name a folder elsewhere"
        )


def _within(listing: Listing) -> Listing:
    """The listing, with a problem for images whose links lead out of its folder."""
    outside = [
        record.file for record in listing.records if leads_out(listing.root / record.file, listing.root)
    ]
    if not outside:
        return listing
    return replace(listing, problems=(*listing.problems, outside_problem(listing.root, outside)))


def _only_folder(path: Path) -> Path | None:
    """The one folder in `path` that may be a data set, as archives unpack to; None: there is no such.

    Raises `DataError` where there are several data sets and nothing else.
    """
    if not path.is_dir():
        return None
    inside = [child for child in sorted(path.iterdir()) if child.is_dir() and not is_stray(child.name)]
    sets = [child for child in inside if _is_published(child)]
    holding = [child for child in inside if child in sets or holds_images(child)]
    if len(sets) > 1 and sets == holding:
        names = ", ".join(child.name for child in sets)
        raise DataError(f"{path}: the folders {names} hold a data set each; name one of them")
    if len(holding) != 1:
        return None
    only = holding[0]
    return only if sets or any(holds_images(child) for child in only.iterdir()) else None


def _one_deeper(listing: Listing, path: Path) -> Listing:
    """The listing of a folder in `path`, and said so."""
    inner = listing.root.relative_to(path)
    beside = sum(is_image(child) for child in path.iterdir())
    passed = f"; {beside} images beside it passed over" if beside else ""
    folds = path / "folds.csv"
    problems = [f"{folds}: the images lie in {inner}; move the file there"] if folds.exists() else []
    return replace(
        listing,
        notes=(f"read from the only data set in {path.name}, {inner}{passed}", *listing.notes),
        problems=(*problems, *listing.problems),
    )


def _is_published(path: Path) -> bool:
    return (path / "manifest.csv").exists() or is_busbra(path) or hdf5_folder(path) is not None


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
