"""Which image files a folder holds, and what in it is left alone: strays, our own outputs, links.

Rules of ours. Left alone and counted: hidden files and folders, folders of servers and desktops (`STRAYS`),
and folders that this package wrote. A link to a folder inside the data is followed where its target is not
read anyway, so that nothing is read twice and a loop ends; a link out of the data is a problem, and so is a
name that is not UTF-8, which no result could print.
"""

from __future__ import annotations

import csv
import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from trials.data.readers.dicom import is_dicom
from trials.data.readers.image_file import SUFFIXES
from trials.runs.layout import LAUNCH_LOCK, MAPS, METADATA, RUN_FILE

# Folders of copies, thumbnails and deleted files, by the casefolded name; hidden names besides.
STRAYS = frozenset({
    *("@eadir", "#recycle", "#snapshot", "@recycle", "@recently-snapshot", "@tmp"),  # storage servers
    *("__macosx", "temporary items", "network trash folder"),  # macOS
    *("$recycle.bin", "recycler", "recycled", "system volume information", "found.000"),  # Windows
    *("lost+found", "thumbs", "thumbnails", "__pycache__"),
})  # fmt: skip
# What marks a folder of ours: a JSON file with this key.
_OUTPUTS = {RUN_FILE: "identity", MAPS: "explanations", METADATA: "network_data_format"}
_PREPARED = ("manifest.csv", "source_sha256")  # and the column that only `prepare` writes
_INDEX = "DICOMDIR"  # of a DICOM medium: a DICOM file without a picture
SHOWN = 5


@dataclass
class Tree:
    """The image files below `root`, sorted, and what was met on the way: `problems` (fatal) and `notes`."""

    root: Path
    images: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)  # in sub-folders, no images
    strays: Counter[str] = field(default_factory=Counter)  # folder's or kind's name -> images in it
    outputs: list[Path] = field(default_factory=list)
    twice: list[Path] = field(default_factory=list)
    outside: list[Path] = field(default_factory=list)
    unprintable: list[Path] = field(default_factory=list)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left alone, a line a kind."""
        return tuple(self._notes())

    def _notes(self) -> Iterator[str]:
        if self.others:
            suffixes = ", ".join(sorted({path.suffix or path.name for path in self.others}))
            yield f"{len(self.others)} files passed over, not images by their suffix ({suffixes})"
        if self.strays:
            names = ", ".join(sorted(self.strays))
            yield f"{self.strays.total()} images in hidden or stray places passed over ({names})"
        if self.outputs:
            yield f"{len(self.outputs)} folders of our own output passed over ({self._some(self.outputs)})"
        if self.twice:
            yield f"{len(self.twice)} links passed over, to folders read anyway ({self._some(self.twice)})"

    @property
    def problems(self) -> tuple[str, ...]:
        """What forbids the use of the folder, a line a kind."""
        return tuple(self._problems())

    def _problems(self) -> Iterator[str]:
        if self.unprintable:
            yield (
                f"{printable(self.root)}: {len(self.unprintable)} names are not UTF-8 "
                f"({self._some(self.unprintable)}); rename them, with `convmv -f latin1 -t utf8 -r`, say"
            )
        if self.outside:
            yield outside_problem(self.root, [str(path.relative_to(self.root)) for path in self.outside])

    def _some(self, paths: Sequence[Path]) -> str:
        return some([printable(path.relative_to(self.root)) for path in paths])


def some(names: Sequence[str]) -> str:
    """The first few of many names."""
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")


def printable(path: Path | str) -> str:
    r"""The path with bytes that are not UTF-8 written as `\xe9`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def is_printable(path: Path | str) -> bool:
    """Whether the path is UTF-8."""
    return printable(path) == str(path)


def leads_out(path: Path, root: Path) -> bool:
    """Whether links on the way from `root` to `path` lead to a place outside it."""
    return not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root))


def outside_problem(root: Path, files: Sequence[str]) -> str:
    """What to say of files whose links lead out of `root`."""
    return (
        f"{root}: {len(files)} links lead out of the folder ({some(files)}); put the files themselves there "
        "(cp -rL copies them), or take the links out"
    )


def holds_images(folder: Path) -> bool:
    """Whether an image lies somewhere below a folder, or a link may lead to one; strays and output aside."""
    if not folder.is_dir() or is_stray(folder.name) or is_output(folder):
        return False
    if folder.is_symlink():
        return True
    children = sorted(folder.iterdir())
    return any(is_image(child) for child in children) or any(map(holds_images, children))


def walk(root: Path) -> Tree:
    """List the folder `root`, which may itself be a link. Folders that cannot be read raise OSError."""
    tree, read = Tree(root), set[str]()
    links: list[Path] = []
    _walk(tree, root, links, read)
    while links:  # after all that is no link, and that of a whole class first
        links.sort(key=lambda link: (len(link.parts), link))
        _follow(tree, links.pop(0), links, read)
    tree.images.sort()
    tree.others.sort()
    return tree


def _walk(tree: Tree, folder: Path, links: list[Path], read: set[str]) -> None:
    real = os.path.realpath(folder)
    if real in read:
        tree.twice.append(folder)
        return
    read.add(real)
    for path in sorted(folder.iterdir()):
        if not is_printable(path.name):
            tree.unprintable.append(path)
        elif path.is_symlink():
            links.append(path)
        elif path.is_dir():
            _enter(tree, path, links, read)
        else:
            _take(tree, path)


def _enter(tree: Tree, folder: Path, links: list[Path], read: set[str]) -> None:
    if is_stray(folder.name):
        names = (name for *_, names in os.walk(folder) for name in names)
        tree.strays[folder.name] += sum(Path(name).suffix.lower() in SUFFIXES for name in names)
    elif is_output(folder):
        tree.outputs.append(folder)
    else:
        _walk(tree, folder, links, read)


def _take(tree: Tree, path: Path) -> None:
    if path.name.startswith("."):
        if path.suffix.lower() in SUFFIXES:
            tree.strays["hidden files"] += 1
    elif is_image(path):
        tree.images.append(path)
    elif path.parent != tree.root:
        tree.others.append(path)


def _follow(tree: Tree, link: Path, links: list[Path], read: set[str]) -> None:
    target = os.path.realpath(link)
    if is_stray(link.name):
        return
    if leads_out(link, tree.root):
        tree.outside.append(link)
    elif not os.path.isdir(target):
        _take(tree, link)  # of one file under two names the pixels are equal, which is looked for later
    else:
        _enter(tree, link, links, read)


def is_stray(name: str) -> bool:
    """Whether a folder of this name is none of the user's."""
    return name.startswith(".") or name.casefold() in STRAYS


def is_image(path: Path) -> bool:
    """Whether the file is an image by its suffix, or DICOM without one (its numbers look like suffixes)."""
    if path.suffix.lower() in SUFFIXES:
        return True
    bare = (not path.suffix or path.suffix[1:].isdigit()) and path.name.upper() != _INDEX
    try:
        return bare and path.is_file() and is_dicom(path)
    except OSError:
        return False


def is_output(folder: Path) -> bool:
    """Whether this package wrote the folder."""
    if (folder / LAUNCH_LOCK).exists() or any(_holds(folder / name, key) for name, key in _OUTPUTS.items()):
        return True
    manifest = folder / _PREPARED[0]
    try:
        with manifest.open(newline="", encoding="utf-8-sig") as lines:
            return _PREPARED[1] in next(csv.reader(lines), ())
    except (OSError, UnicodeDecodeError, csv.Error):
        return False


def _holds(path: Path, key: str) -> bool:
    try:
        value = json.loads(path.read_bytes()) if path.is_file() else None
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(value, dict) and key in value
