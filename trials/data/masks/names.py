"""Recognise masks by their names and folders.

A file may be a mask if one of the words of its name is one of `MASKS` or `DRAWINGS`, in any case: `x_mask_1`,
`x-Mask`, `mask12`, `xGT`, `x_segmentation`; so may every file in a folder named by such a word, or by one and
the name of a folder beside it (`benign_masks`). Words end at anything but a letter or digit, and where
letters meet digits or a capital: `damask01` and `masked` hold none. Rules of ours.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from trials.data.masks.pixels import file_looks_like_mask

MASKS = frozenset({
    *("mask", "masks", "gt", "gts", "groundtruth", "groundtruths"),
    *("seg", "segs", "segm", "segmentation", "segmentations"),
})  # fmt: skip
# Files of these names may be masks, pictures that are drawn on, or other images: their pixels tell.
DRAWINGS = frozenset({
    *("label", "labels", "annotation", "annotations", "annotated", "annot", "overlay", "overlays"),
    *("contour", "contours", "outline", "outlines", "boundary", "border", "roi", "rois", "binary"),
    *("tumor", "tumour", "lesion", "other", "segmented"),
})  # fmt: skip
IMAGES = frozenset({
    *("image", "images", "img", "imgs", "picture", "pictures", "frame", "frames"),
    *("original", "originals", "orig", "raw", "input", "inputs"),
})  # fmt: skip
# Nobody names a class by these.
_FOLDERS = MASKS | {
    *("label", "labels", "annotation", "annotations", "overlay", "overlays"),
    *("contour", "contours", "outline", "outlines"),
}
_IMAGE_WORD = re.compile(
    rf"(?i)[\W_]*(?<![^\W\d_])({'|'.join(sorted(IMAGES, key=len, reverse=True))})(?![^\W\d_])[\W_]*"
)
_TOKEN = re.compile(r"\d+|[^\W\d_]+")
_CAPITAL = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^A-Z]+")
LOOKED_INTO = 8  # images of a folder whose name leaves open what it holds
Folder = tuple[str, ...]  # its parts below the root


def words(name: str) -> list[str]:
    """Return the casefolded words and numbers of a name: `benign (1)_GT` -> benign, 1, gt."""
    runs = _TOKEN.findall(name)
    found = [part.casefold() for run in runs for part in ([run] if run.isdigit() else _CAPITAL.findall(run))]
    for index in range(len(found) - 1, 0, -1):
        if found[index - 1] == "ground" and found[index].startswith("truth"):
            found[index - 1 : index + 1] = [f"ground{found[index]}"]
    return found


def _without(name: str, taken: frozenset[str]) -> str | None:
    """Return a name's words except `taken`: `Benign_masks` -> benign, `masks` -> ""; None: all stay."""
    found = words(name)
    rest = [word for word in found if word not in taken]
    return None if len(rest) == len(found) else " ".join(rest)


@dataclass(frozen=True)
class Place:
    """Where an image file lies. `folders` leaves out those that only tell images from masks."""

    path: Path
    folders: Folder
    in_masks: bool = False  # one of its folders holds masks
    sure: bool = False  # folder or name has one of `MASKS`

    @cached_property
    def name(self) -> tuple[str, ...]:
        """The words of the file's name."""
        return tuple(words(self.path.stem))

    @property
    def may_be_mask(self) -> bool:
        """Whether folder or name have a word for masks."""
        return self.in_masks or not (MASKS | DRAWINGS).isdisjoint(self.name)

    @property
    def keys(self) -> list[tuple[str, ...]]:
        """The words by which the image of this mask may be named, the likeliest first."""
        found = [self.name] if self.in_masks else []
        for index in (i for kind in (MASKS, DRAWINGS) for i, word in enumerate(self.name) if word in kind):
            before, after = self.name[:index], self.name[index + 1 :]
            if len(after) == 1 and after[0].isdigit():
                found.append(before)  # benign (1)_mask_1 is the second mask of benign (1)
            found.append(before + after)
        found.append(tuple(word for word in self.name if word not in MASKS | DRAWINGS))
        return list(dict.fromkeys(found))


def places(root: Path, images: Sequence[Path]) -> list[Place]:
    """Return the place of each image, judged by its folders' names and those beside them."""
    relative = {path: path.relative_to(root).parts[:-1] for path in images}
    plain = _folder_places(root, relative)
    return [
        replace(plain[parts], path=path, sure=plain[parts].sure or not MASKS.isdisjoint(words(path.stem)))
        for path, parts in relative.items()
    ]


def _folder_places(root: Path, relative: Mapping[Path, Folder]) -> dict[Folder, Place]:
    """Return the place that each folder gives its images."""
    inside = _inside(relative)
    beside: dict[Folder, set[str]] = {}
    for folder in filter(None, inside):
        beside.setdefault(folder[:-1], set()).add(folder[-1])
    plain: dict[Folder, Place] = {(): Place(root, ())}
    for parent in sorted(beside, key=len):
        kinds = {name: _kind(name, beside[parent], inside[*parent, name]) for name in beside[parent]}
        for name, kind in kinds.items():
            above, own = plain[parent], _plain_name(name, kinds)
            sure = above.sure or (kind is not None and not MASKS.isdisjoint(words(name)))
            folders = (*above.folders, own) if own else above.folders
            plain[*parent, name] = Place(root, folders, above.in_masks or kind is not None, sure)
    return plain


def _inside(relative: Mapping[Path, Folder]) -> dict[Folder, list[Path]]:
    """Return the images in each folder, sub-folders included."""
    inside: dict[Folder, list[Path]] = {(): []}
    for path, parts in relative.items():
        for depth in range(1, len(parts) + 1):
            inside.setdefault(parts[:depth], []).append(path)
    return inside


def _kind(name: str, beside: set[str], images: Sequence[Path]) -> str | None:
    """Return the words of the folder that a folder of masks belongs to, "" for none; None: it holds no masks.

    `with_mask` holds none, unless there is a folder `with` beside it or its images look like masks.
    """
    rest = _without(name, _FOLDERS)
    if not rest:
        return rest
    if any(_belongs(other, rest) for other in beside - {name}):
        return rest
    return "" if all(file_looks_like_mask(path) for path in images[:LOOKED_INTO]) else None


def _belongs(name: str, kind: str) -> bool:
    return kind in (" ".join(words(name)), _without(name, IMAGES))


def _plain_name(name: str, kinds: Mapping[str, str | None]) -> str:
    """Return the folder's name without the words that tell images from masks; "" where nothing is left."""
    kind = kinds[name]
    if kind is None:
        return _IMAGE_WORD.sub("", name) if _without(name, IMAGES) in {*kinds.values()} - {None} else name
    images = sorted(other for other, its in kinds.items() if its is None and kind and _belongs(other, kind))
    return _plain_name(images[0], kinds) if images else ""
