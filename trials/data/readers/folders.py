"""Reader of folders with one sub-folder a class."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

from trials.data.readers.decoding import decode
from trials.data.readers.masks import Folder
from trials.data.readers.split_names import WAY_OUT, like_parts, parts_of
from trials.data.records import Listing, Record

OUTSIDE = 0.1  # the share of all images that may lie in no class folder; ours


def read_class_folders(root: Path, images: Mapping[Path, Folder]) -> Listing:
    """One sub-folder a class, named after it; in each of train, valid and test, or with these in each.

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
        line = f"{len(stray)} images passed over, in no class folder ({', '.join(stray[:5])})"
        notes.append(line)
        if len(stray) > OUTSIDE * len(images):
            problems.append(f"{root}: {line}; put them into folders, one a class")
    return Listing(
        root.name, root, "class_folders", tuple(records), problems=tuple(problems), notes=tuple(notes)
    )


def _names(folders: Iterable[Folder], level: int) -> list[str]:
    """What the folders are called at a level, "" for none; images in no folder at all are strays."""
    return sorted({each[level] if len(each) > level else "" for each in folders if each})
