"""Reader of folders with one sub-folder a class."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from trials.data.decoding import SUFFIXES, decode
from trials.data.records import SPLITS, Listing, Record


def class_folders(root: Path) -> dict[str, list[Path]]:
    """Class name -> its images, sub-folders included, sorted by path."""
    folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    found = {
        folder.name: [path for path in sorted(folder.rglob("*")) if _is_image(path)] for folder in folders
    }
    return {name: paths for name, paths in found.items() if paths}


def unread_files(root: Path) -> list[str]:
    """A note on files in class folders that are no images by their suffix, if there are any."""
    unread = [path for path in root.glob("*/**/*") if path.is_file() and not _is_image(path)]
    suffixes = ", ".join(sorted({path.suffix or path.name for path in unread}))
    return [f"{len(unread)} files passed over, not images by their suffix ({suffixes})"] if unread else []


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def read_class_folders(root: Path, images: dict[str, list[Path]]) -> Listing:
    """One sub-folder a class, named after it, or such sub-folders in each of train, valid and test.

    No groups are known.
    """
    splits: dict[str | None, dict[str, list[Path]]] = {None: images}
    if images.keys() == set(SPLITS):
        splits = {name: class_folders(root / name) for name in SPLITS}
    records = [
        Record(path.relative_to(root).as_posix(), label, partial(decode, path), split=split, path=path)
        for split, classes in splits.items()
        for label, paths in classes.items()
        for path in paths
    ]
    parts = ", ".join(images)
    problem = f"{root}: the folders {parts} are no classes, and no split of {', '.join(SPLITS)}; rename them"
    problems = (problem,) if "train" in images and None in splits else ()
    return Listing(root.name, root, "class_folders", tuple(records), problems=problems)
