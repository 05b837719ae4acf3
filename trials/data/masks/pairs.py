"""Pair masks with their images.

`names.py` says which files may be masks. The rest of a mask's name and folders names its image; ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from trials.data.files.paths import some
from trials.data.masks.names import IMAGES, Folder, Place, places
from trials.data.masks.pixels import file_looks_like_mask

ORPHAN = "a mask without its image; remove it, or rename it or its folder if it is an image"
DRAWN = "its name says mask, its grey values a picture drawn on or cut from"
WAY_OUT = "remove such pictures, or rename them if they are images"


@dataclass
class Pairing:
    """Images with their folders (the class first), and the masks of those images that have some."""

    images: dict[Path, Folder] = field(default_factory=dict)
    masks: dict[Path, list[Path]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def pair(root: Path, images: Sequence[Path]) -> Pairing:
    """Separate the masks among image files from the images, and find the image of each mask."""
    found = places(root, images)
    known = _Known([place for place in found if not (place.in_masks or place.sure)])
    pairing, pictures = Pairing(), []
    for place in found:
        partners = known.partners(place) if place.may_be_mask else []
        if not place.may_be_mask or (not partners and _is_picture(place)):
            pairing.images[place.path] = place.folders
            pictures += [place.path.name] if place.sure else []
        else:
            _add_mask(pairing, place, partners)
    if pictures:
        pairing.notes.append(
            f"{len(pictures)} files are named like masks but are pictures without an image of that name, and "
            f"taken for images ({some(pictures)})"
        )
    return pairing


def _add_mask(pairing: Pairing, mask: Place, partners: Sequence[Path]) -> None:
    """Add a mask to its only partner, or the problem with it."""
    if len(partners) > 1:
        rivals = " or ".join(map(str, partners))
        pairing.problems.append(f"{mask.path}: a mask of {rivals}? name it after one image")
    elif not partners:
        pairing.problems.append(f"{mask.path}: {ORPHAN}")
    elif mask.sure or file_looks_like_mask(mask.path):
        pairing.masks.setdefault(partners[0], []).append(mask.path)
    else:
        pairing.problems.append(f"{mask.path}: {DRAWN} {partners[0]}; {WAY_OUT}")


def _is_picture(place: Place) -> bool:
    """Return whether a file that may be a mask, but of no image, is an image itself."""
    return not place.in_masks and (not place.sure or not file_looks_like_mask(place.path))


class _Known:
    """Images by the words of their names."""

    def __init__(self, images: Sequence[Place]) -> None:
        self._by_name: dict[tuple[str, ...], list[Place]] = {}
        self._by_rest: dict[tuple[str, ...], list[Place]] = {}  # without words such as `image`
        self._by_parent: dict[Path, list[Place]] = {}
        for place in images:
            rest = tuple(word for word in place.name if word not in IMAGES)
            self._by_name.setdefault(place.name, []).append(place)
            self._by_rest.setdefault(rest, []).append(place)
            self._by_parent.setdefault(place.path.parent, []).append(place)

    def partners(self, mask: Place) -> list[Path]:
        """Return the images that a mask may belong to: one where that is clear."""
        for table in (self._by_name, self._by_rest):
            for key in filter(None, mask.keys):
                if found := _nearest(mask, table.get(key, [])):
                    return found
        beside = self._by_parent.get(mask.path.parent, [])  # of case7/scan.png and case7/mask.png
        return [beside[0].path] if () in mask.keys and len(beside) == 1 and beside[0] != mask else []


def _nearest(mask: Place, images: Sequence[Place]) -> list[Path]:
    """Return the images in equal folders, else in those below the mask's; of several the one whose whole name
    the mask has.
    """
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
