"""Find the image files that a command is given: single files, and folders for all that they hold."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from trials.data.files.walking import walk
from trials.data.masks.pairs import pair
from trials.errors import DataError


@dataclass
class Given:
    """Image files, each once, in order; `notes` on what was skipped; `left_out`: what was refused."""

    files: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def image_files(places: Iterable[Path]) -> Given:
    """Return the files given, with the images of each folder, sub-folders included, in its place.

    Masks and strays in a folder are skipped. Raises `DataError` for a folder without an image.
    """
    given, found = Given(), dict[Path, Path]()  # by their real paths: `x.png` and `./x.png` are one
    for place in places:
        for file in _in_folder(place, given) if place.is_dir() else (place,):
            found.setdefault(file.resolve(), file)
    given.files = list(found.values())
    return given


def _in_folder(folder: Path, given: Given) -> list[Path]:
    tree = walk(folder)
    pairing = pair(folder, tree.images)
    given.notes += [f"{folder}: {note}" for note in (*tree.notes, *pairing.notes)]
    given.left_out += [*tree.problems, *pairing.problems]
    if masks := sum(map(len, pairing.masks.values())):
        given.notes.append(
            f"{folder}: {masks} masks skipped; their {len(pairing.masks)} images are whole frames: for a "
            "model of lesion crops, cut the lesions out first with `lesion-nas prepare`"
        )
    if not pairing.images:
        raise DataError(
            "\n".join([f"{folder}: no image in there, except hidden and stray ones", *given.left_out])
        )
    return sorted(pairing.images)
