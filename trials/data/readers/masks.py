"""Masks of lesions: which files are masks, of which image, and where the lesion lies in them.

A name says that a file may be a mask, where one of its words is one of `MASKS` or `DRAWINGS`, in any case:
`x_mask_1`, `x-Mask`, `mask12`, `xGT`, `x_segmentation`; so does a folder named by such a word, or by one and
the name of a folder beside it (`benign_masks`). Words are parted by what is neither letter nor digit, and
where letters meet digits or a capital: `damask01` and `masked` hold none. Which image a mask belongs to is
told by the rest of its name and of its folders, ours.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from trials.data.readers.image_file import open_image
from trials.data.readers.mask_pixels import is_blank, looks_like_mask, values_of
from trials.data.records import DataError, Listing

MASKS = frozenset({
    *("mask", "masks", "gt", "gts", "groundtruth", "groundtruths"),
    *("seg", "segs", "segm", "segmentation", "segmentations"),
})  # fmt: skip
# These may be masks, or pictures that are drawn on, or images that happen to be named so: their pixels tell.
DRAWINGS = frozenset({
    *("label", "labels", "annotation", "annotations", "annotated", "annot", "overlay", "overlays"),
    *("contour", "contours", "outline", "outlines", "boundary", "border", "roi", "rois", "binary"),
    *("tumor", "tumour", "lesion", "other", "segmented"),
})  # fmt: skip
# Nobody names a class by these.
_FOLDERS = MASKS | {
    *("label", "labels", "annotation", "annotations", "overlay", "overlays"),
    *("contour", "contours", "outline", "outlines"),
}
_IMAGES = frozenset({
    *("image", "images", "img", "imgs", "picture", "pictures", "frame", "frames"),
    *("original", "originals", "orig", "raw", "input", "inputs"),
})  # fmt: skip
_IMAGE_WORD = re.compile(
    rf"(?i)[\W_]*(?<![^\W\d_])({'|'.join(sorted(_IMAGES, key=len, reverse=True))})(?![^\W\d_])[\W_]*"
)
_TOKEN = re.compile(r"\d+|[^\W\d_]+")
_CAPITAL = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^A-Z]+")
ORPHAN = "a mask without its image; take it out, or rename it or its folder if it is an image"
DRAWN = "no mask by its grey values, but as if drawn on or cut from"
WAY_OUT = "take such pictures out of the folder, or rename them if they are images"
TOO_MANY = 0.05  # the share of a set's images that may look like masks; ours
LOOKED_INTO = 8  # images of a folder whose name leaves open what it holds
Folder = tuple[str, ...]  # its parts below the root


def words(name: str) -> list[str]:
    """The words and numbers of a name, casefolded: `benign (1)_GroundTruth` -> benign, 1, groundtruth."""
    runs = _TOKEN.findall(name)
    found = [part.casefold() for run in runs for part in ([run] if run.isdigit() else _CAPITAL.findall(run))]
    for index in range(len(found) - 1, 0, -1):
        if found[index - 1] == "ground" and found[index].startswith("truth"):
            found[index - 1 : index + 1] = [f"ground{found[index]}"]
    return found


def _without(name: str, taken: frozenset[str]) -> str | None:
    """A name's words but those of `taken`: `Benign_masks` -> benign, `masks` -> ""; None: it has none."""
    found = words(name)
    rest = [word for word in found if word not in taken]
    return None if len(rest) == len(found) else " ".join(rest)


@dataclass(frozen=True)
class Place:
    """Where an image file lies. `folders` are those that do not tell images from masks."""

    path: Path
    folders: Folder
    in_masks: bool = False  # one of its folders is of masks
    sure: bool = False  # folder or name has one of `MASKS`

    @cached_property
    def name(self) -> tuple[str, ...]:
        """The words of the file's name."""
        return tuple(words(self.path.stem))

    @property
    def may_be_mask(self) -> bool:
        """Whether folder or name have a word for it."""
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
    """Where each image lies, by its folders' names and those beside them."""
    relative = {path: path.relative_to(root).parts[:-1] for path in images}
    inside: dict[Folder, list[Path]] = {(): []}
    for path, parts in relative.items():
        for depth in range(1, len(parts) + 1):
            inside.setdefault(parts[:depth], []).append(path)
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
    return [
        replace(plain[parts], path=path, sure=plain[parts].sure or not MASKS.isdisjoint(words(path.stem)))
        for path, parts in relative.items()
    ]


def _kind(name: str, beside: set[str], images: Sequence[Path]) -> str | None:
    """Of a folder of masks the words of the folder it belongs to, "" for none; None: it is no such folder.

    `with_mask` is none, unless there is a folder `with` beside it or its images look like masks.
    """
    rest = _without(name, _FOLDERS)
    if not rest:
        return rest
    if any(_belongs(other, rest) for other in beside - {name}):
        return rest
    return "" if all(_file_looks_like_mask(path) for path in images[:LOOKED_INTO]) else None


def _belongs(name: str, kind: str) -> bool:
    return kind in (" ".join(words(name)), _without(name, _IMAGES))


def _plain_name(name: str, kinds: Mapping[str, str | None]) -> str:
    """The folder's name without the words that tell images from masks; "" where nothing is left."""
    kind = kinds[name]
    if kind is None:
        return _IMAGE_WORD.sub("", name) if _without(name, _IMAGES) in {*kinds.values()} - {None} else name
    images = sorted(other for other, its in kinds.items() if its is None and kind and _belongs(other, kind))
    return _plain_name(images[0], kinds) if images else ""


@dataclass
class Pairing:
    """Images with their folders (that of the class first), and the masks of those that have some."""

    images: dict[Path, Folder] = field(default_factory=dict)
    masks: dict[Path, list[Path]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def pair(root: Path, images: Sequence[Path]) -> Pairing:
    """Part the masks among image files from the images, and find the image of each."""
    found = places(root, images)
    known = _Known([place for place in found if not (place.in_masks or place.sure)])
    pairing, pictures = Pairing(), []
    for place in found:
        partners = known.partners(place) if place.may_be_mask else []
        if not place.may_be_mask or (not partners and _is_picture(place)):
            pairing.images[place.path] = place.folders
            pictures += [place.path] if place.sure else []
        elif len(partners) > 1:
            rivals = " or ".join(str(path) for path in partners)
            pairing.problems.append(f"{place.path}: a mask of {rivals}? name it after one image")
        elif not partners:
            pairing.problems.append(f"{place.path}: {ORPHAN}")
        elif place.sure or _file_looks_like_mask(place.path):
            pairing.masks.setdefault(partners[0], []).append(place.path)
        else:
            pairing.problems.append(f"{place.path}: {DRAWN} {partners[0]}; {WAY_OUT}")
    if pictures:
        pairing.notes.append(
            f"{len(pictures)} files are named like masks but are pictures without an image of that name, and "
            f"taken for images ({_some([path.name for path in pictures])})"
        )
    return pairing


def without_listed_masks(listing: Listing) -> Listing:
    """The listing of a manifest, with a problem where its rows name masks, whose place is elsewhere."""
    masks = pair(listing.root, [listing.root / record.file for record in listing.records]).masks
    listed = [(mask, image) for image, some in masks.items() for mask in some]
    if not listed:
        return listing
    certain = [pair for pair in listed if _file_looks_like_mask(pair[0])]
    mask, image = (certain or listed)[0]
    line = (
        f"{listing.root}: {len(certain or listed)} rows of manifest.csv name masks by their names, as "
        f"{mask.name} of {image.name}"
    )
    if certain:
        return replace(listing, problems=(*listing.problems, f"{line}; take those rows out"))
    return replace(listing, notes=(*listing.notes, f"{line}, but pictures by their grey values: images"))


def like_masks(
    listing: Listing, files: Sequence[str], images: Sequence[np.ndarray]
) -> tuple[list[str], list[str]]:
    """Problems and notes on images that look like masks, and on blank ones."""
    looks = [
        (file, is_blank(image), looks_like_mask(image)) for file, image in zip(files, images, strict=True)
    ]
    blank, found = (
        [file for file, it_is, _ in looks if it_is],
        [file for file, _, it_does in looks if it_does],
    )
    notes = [f"{len(blank)} images are blank ({_some(blank)})"] if blank else []
    if not found:
        return [], notes
    line = f"{len(found)} images have a handful of grey values, as masks have ({_some(found)})"
    if len(found) <= TOO_MANY * len(files) or not any(record.path for record in listing.records):
        return [], [*notes, line]
    return [f"{listing.root}: {line}; take them out, or name them as masks of their images"], notes


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:LOOKED_INTO]) + (", ..." if len(names) > LOOKED_INTO else "")


def _is_picture(place: Place) -> bool:
    """Whether what has no image to be a mask of is an image itself."""
    return not place.in_masks and (not place.sure or not _file_looks_like_mask(place.path))


class _Known:
    """Images by the words of their names."""

    def __init__(self, images: Sequence[Place]) -> None:
        self._by_name: dict[tuple[str, ...], list[Place]] = {}
        self._by_rest: dict[tuple[str, ...], list[Place]] = {}  # without words such as `image`
        self._by_parent: dict[Path, list[Place]] = {}
        for place in images:
            rest = tuple(word for word in place.name if word not in _IMAGES)
            self._by_name.setdefault(place.name, []).append(place)
            self._by_rest.setdefault(rest, []).append(place)
            self._by_parent.setdefault(place.path.parent, []).append(place)

    def partners(self, mask: Place) -> list[Path]:
        """The images that a mask may belong to: one where that is clear."""
        for table in (self._by_name, self._by_rest):
            for key in filter(None, mask.keys):
                if found := _nearest(mask, table.get(key, [])):
                    return found
        beside = self._by_parent.get(mask.path.parent, [])  # of case7/scan.png and case7/mask.png
        return [beside[0].path] if () in mask.keys and len(beside) == 1 and beside[0] != mask else []


def _nearest(mask: Place, images: Sequence[Place]) -> list[Path]:
    """Those of equal folders, else those below the mask's; of several the one whose whole name it has."""
    depth = len(mask.folders)
    below = [
        image for image in images if image != mask and _folded(image.folders[:depth]) == _folded(mask.folders)
    ]
    equal = [image for image in below if len(image.folders) == depth]
    found = [image.path for image in equal or below]
    exact = [path for path in found if path.stem in mask.path.stem] if len(found) > 1 else []
    return exact if len(exact) == 1 else found


def _folded(folders: Folder) -> Folder:
    return tuple(name.casefold() for name in folders)


def _file_looks_like_mask(path: Path) -> bool:
    """As `looks_like_mask`; what cannot be read is no picture either."""
    try:
        return looks_like_mask(values_of(open_image(path)))
    except DataError:
        return True
