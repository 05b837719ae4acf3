"""List the image files of a folder, with problems and notes on what else is there.

Skipped and counted: hidden and stray files and folders, and folders that this package wrote (`strays.py`).
A link to a folder inside the data is followed if its target is not read anyway, so nothing is read twice and
a loop ends. A link out of the data is a problem, and so is a name that is not UTF-8, which no result could
print. Rules of ours.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from trials.data.files.image_file import SUFFIXES
from trials.data.files.paths import is_printable, leads_out, outside_problem, printable, some
from trials.data.files.strays import is_image, is_output, is_stray


@dataclass
class Tree:
    """The image files below `root`, sorted, and what else was found: `problems` (fatal) and `notes`."""

    root: Path
    images: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)  # no images, in sub-folders
    strays: Counter[str] = field(default_factory=Counter)  # folder's or kind's name -> images in it
    outputs: list[Path] = field(default_factory=list)
    twice: list[Path] = field(default_factory=list)
    outside: list[Path] = field(default_factory=list)
    unprintable: list[Path] = field(default_factory=list)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was skipped, a line for each kind."""
        return tuple(self._notes())

    def _notes(self) -> Iterator[str]:
        if self.others:
            suffixes = ", ".join(sorted({path.suffix or path.name for path in self.others}))
            yield f"{len(self.others)} files skipped, not images by their suffix ({suffixes})"
        if self.strays:
            names = ", ".join(sorted(self.strays))
            yield f"{self.strays.total()} images in hidden or stray places skipped ({names})"
        if self.outputs:
            yield f"{len(self.outputs)} folders of our own output skipped ({self._some(self.outputs)})"
        if self.twice:
            yield f"{len(self.twice)} links skipped, to folders read anyway ({self._some(self.twice)})"

    @property
    def problems(self) -> tuple[str, ...]:
        """What forbids the use of the folder, a line for each kind."""
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


def walk(root: Path) -> Tree:
    """List the folder `root`, which may itself be a link. Raises OSError for folders that cannot be read."""
    tree, read = Tree(root), set[str]()
    links: list[Path] = []
    _walk(tree, root, links, read)
    while links:  # after all that is no link; the link of a whole class first
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
        _take(tree, link)  # one file under two names has equal pixels, which are looked for later
    else:
        _enter(tree, link, links, read)
