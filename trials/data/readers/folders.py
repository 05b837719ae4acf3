"""Read folders with one sub-folder a class, in the parts of a split or not, with masks or not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from trials.data.readers.base import Options, Reader
from trials.data.readers.cutting import cut, named_as_busi
from trials.data.readers.decoding import decode
from trials.data.readers.mask_names import Folder
from trials.data.readers.masks import pair
from trials.data.readers.split_names import WAY_OUT, like_parts, parts_of
from trials.data.readers.strays import holds_images, is_image
from trials.data.readers.walking import walk
from trials.data.records import Listing, Record
from trials.errors import DataError

OUTSIDE = 0.1  # the share of all images that may lie in no class folder; ours


def holds(path: Path) -> bool:
    """Return whether a folder has images, in sub-folders perhaps."""
    return path.is_dir() and any(is_image(child) or holds_images(child) for child in path.iterdir())


def read(path: Path, options: Options) -> Listing:
    """List the images of all class folders, cut by their masks where there are some.

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
        listing = cut(replace(listing, layout=layout), pairing.masks)
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
    classed = {path: folders for path, folders in images.items() if len(folders) > label}
    records = [
        Record(
            path.relative_to(root).as_posix(),
            folders[label],
            partial(decode, path),
            split=None if level is None else parts[folders[level]],
            path=path,
        )
        for path, folders in classed.items()
    ]
    problems = [
        f"{root}: the folders {', '.join(filter(None, each))} are no classes, and no split; {WAY_OUT}"
        for each in names
        if level is None and like_parts(each)
    ]
    notes = []
    if stray := [path.relative_to(root).as_posix() for path in images if path not in classed]:
        line = f"{len(stray)} images skipped, in no class folder ({', '.join(stray[:5])})"
        notes.append(line)
        if len(stray) > OUTSIDE * len(images):
            problems.append(f"{root}: {line}; put them into folders, one a class")
    return Listing(
        root.name, root, "class_folders", tuple(records), problems=tuple(problems), notes=tuple(notes)
    )


def _names(folders: Iterable[Folder], level: int) -> list[str]:
    """Return the names of folders at a level, "" for none; images in no folder are strays."""
    return sorted({each[level] if len(each) > level else "" for each in folders if each})


CLASS_FOLDERS = Reader(
    "class_folders",
    "a folder with one sub-folder a class (in training, validation and test or not; with masks, as BUSI, "
    "or not)",
    holds,
    read,
)
