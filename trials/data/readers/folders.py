"""Read folders with one sub-folder a class, in the parts of a split or not, with masks or not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from trials.data.files.decoding import decode
from trials.data.files.paths import some
from trials.data.files.strays import holds_images, is_image
from trials.data.files.walking import walk
from trials.data.masks.cutting import cut, named_as_busi, whole
from trials.data.masks.names import Folder
from trials.data.masks.pairs import pair
from trials.data.readers.base import Options, Reader
from trials.data.records import Listing, Record
from trials.data.tables.split_names import WAY_OUT, like_parts, parts_of
from trials.errors import DataError

_TABLES = (".csv", ".tsv", ".xlsx", ".xls", ".ods")
OUTSIDE = 0.1  # the share of all images that may lie in no class folder; ours


def holds(path: Path) -> bool:
    """Return whether a folder has images, in sub-folders perhaps."""
    return path.is_dir() and any(is_image(child) or holds_images(child) for child in path.iterdir())


def read(path: Path, options: Options) -> Listing:
    """List the images of all class folders, cut by their masks where there are some and no frames are asked
    for.

    Raises `DataError` where every image is hidden, or a link that leads out.
    """
    tree = walk(path)
    if not tree.images:
        problems = "\n".join(tree.problems)
        raise DataError(problems or f"{path}: no image in there, except hidden and stray ones; add some")
    pairing = pair(path, tree.images)
    listing = class_folders(path, pairing.images)
    if pairing.masks:
        layout = "busi" if named_as_busi(pairing.masks) else "masked_folders"
        made = whole if options.frames else cut
        listing = made(replace(listing, layout=layout), pairing.masks)
    return replace(
        listing,
        problems=(*tree.problems, *pairing.problems, *listing.problems),
        notes=(*tree.notes, *pairing.notes, *listing.notes),
    )


def class_folders(root: Path, images: Mapping[Path, Folder]) -> Listing:
    """List images by class: one sub-folder each, in each part of a split or with its parts in each.

    `images` has each image's folders, the outermost first. No groups are known.
    """
    names = [_names(images.values(), level) for level in (0, 1)]
    level, parts = next(((i, found) for i, each in enumerate(names) if (found := parts_of(each))), (None, {}))
    label = 1 if level == 0 else 0
    records = [
        Record(
            path.relative_to(root).as_posix(),
            folders[label],
            partial(decode, path),
            split=None if level is None else parts[folders[level]],
            path=path,
        )
        for path, folders in images.items()
        if len(folders) > label
    ]
    stray = [path.relative_to(root).as_posix() for path, folders in images.items() if len(folders) <= label]
    problems = [] if parts else _split_problems(root, names)
    listing = Listing(root.name, root, "class_folders", tuple(records), problems=tuple(problems))
    return _with_stray(listing, stray) if stray else listing


def _split_problems(root: Path, names: Sequence[Sequence[str]]) -> list[str]:
    """Return a problem for each level of folders whose names are like those of a split."""
    return [
        f"{root}: the folders {', '.join(filter(None, each))} are no classes, and no split; {WAY_OUT}"
        for each in names
        if like_parts(each)
    ]


def _with_stray(listing: Listing, stray: Sequence[str]) -> Listing:
    """Return the listing with a note on images in no class folder, and a problem where they are many."""
    note = f"{len(stray)} images skipped, in no class folder ({some(stray)})"
    problems = listing.problems
    if len(stray) > OUTSIDE * (len(listing.records) + len(stray)):
        tables = [one.name for one in sorted(listing.root.iterdir()) if one.suffix.lower() in _TABLES]
        told = f", perhaps from {some(tables)}" if tables else ""
        problems = (
            *problems,
            f"{listing.root}: {note}; put them into folders, one a class, or name them in a manifest.csv of "
            f"the columns file and label{told}",
        )
    return replace(listing, notes=(note,), problems=problems)


def _names(folders: Iterable[Folder], level: int) -> list[str]:
    """Return the names of folders at a level, "" for none; images in no folder are strays."""
    return sorted({each[level] if len(each) > level else "" for each in folders if each})


CLASS_FOLDERS = Reader(
    "class_folders",
    "a folder with one sub-folder a class (in training, validation and test or not; with masks, as BUSI, "
    "or not)",
    holds,
    read,
    masks=True,
)
