"""Reader of folders with one sub-folder a class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from trials.data.decoding import decode
from trials.data.masks import Folder
from trials.data.records import SPLITS, Listing, Record

OUTSIDE = 0.1  # the share of all images that may lie in no class folder; ours


def read_class_folders(root: Path, images: Mapping[Path, Folder]) -> Listing:
    """One sub-folder a class, named after it, or such sub-folders in each of train, valid and test.

    `images` has each image's folders, that of the class (or the part) first. No groups are known.
    """
    parts = Counter(folders[0] for folders in images.values() if folders)
    split = parts.keys() == set(SPLITS)
    classed = {path: folders for path, folders in images.items() if len(folders) > split}
    records = [
        Record(
            path.relative_to(root).as_posix(),
            folders[split],
            partial(decode, path),
            split=folders[0] if split else None,
            path=path,
        )
        for path, folders in classed.items()
    ]
    names = ", ".join(parts)
    problem = f"{root}: the folders {names} are no classes, and no split of {', '.join(SPLITS)}; rename them"
    problems = [problem] if "train" in parts and not split else []
    notes = []
    if stray := [path.relative_to(root).as_posix() for path in images if path not in classed]:
        line = f"{len(stray)} images passed over, in no class folder ({', '.join(stray[:5])})"
        notes.append(line)
        if len(stray) > OUTSIDE * len(images):
            problems.append(f"{root}: {line}; put them into folders, one a class")
    return Listing(
        root.name, root, "class_folders", tuple(records), problems=tuple(problems), notes=tuple(notes)
    )
