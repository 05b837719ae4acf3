"""Find masks among what is listed as images: by the names in a manifest, and by the pixels of any format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from trials.data.decode import Decoded
from trials.data.files.paths import some
from trials.data.masks.pairs import pair
from trials.data.masks.pixels import file_looks_like_mask
from trials.data.records import Listing

TOO_MANY = 0.05  # the share of a data set's images that may look like masks; ours


def without_listed_masks(listing: Listing) -> Listing:
    """Return the listing of a manifest, with a problem or a note where its rows name masks."""
    masks = pair(listing.root, [listing.root / record.file for record in listing.records]).masks
    listed = [(mask, image) for image, of_image in masks.items() for mask in of_image]
    certain = [(mask, image) for mask, image in listed if file_looks_like_mask(mask)]
    if certain:
        problem = f"{listing.root}: {_named(certain)}; remove those rows"
        return replace(listing, problems=(*listing.problems, problem))
    if listed:
        note = f"{listing.root}: {_named(listed)}, but pictures by their grey values: images"
        return replace(listing, notes=(*listing.notes, note))
    return listing


def _named(listed: Sequence[tuple[Path, Path]]) -> str:
    mask, image = listed[0]
    return (
        f"{len(listed)} rows of manifest.csv name masks by their names, such as {mask.name} of {image.name}"
    )


def like_masks(listing: Listing, images: Sequence[Decoded]) -> tuple[list[str], list[str]]:
    """Return problems and notes on images that look like masks, and on blank ones."""
    blank = [image.record.file for image in images if image.blank]
    found = [image.record.file for image in images if image.like_mask]
    notes = [f"{len(blank)} images are blank ({some(blank)})"] if blank else []
    if not found:
        return [], notes
    line = f"{len(found)} images have a handful of grey values, as masks have ({some(found)})"
    in_arrays = not any(record.path for record in listing.records)  # where no file is a mask
    if in_arrays or len(found) <= TOO_MANY * len(images):
        return [], [*notes, line]
    return [f"{listing.root}: {line}; remove them, or name them as masks of their images"], notes
