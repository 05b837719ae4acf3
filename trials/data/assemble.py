"""Make a data set of the decoded images that take part."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence

import numpy as np

from trials.data.covariate_leaks import tell_tales
from trials.data.covariates import Table, missing_notes, table_of
from trials.data.dataset import LesionData
from trials.data.decode import Decoded
from trials.data.files.grey_range import GreyRange
from trials.data.findings import large_groups
from trials.data.grouping import contradictions, group_images, group_source
from trials.data.labels import positive_class
from trials.data.official_split import look_alikes, overlaps
from trials.data.records import LeftOut, Listing
from trials.data.tables.split_names import SHORT


def assemble(
    listing: Listing,
    images: Sequence[Decoded],
    positive: str | None,
    order: Sequence[str] | None,
    duplicates: str,
    grey_range: GreyRange,
    covariates: Sequence[str] = (),
) -> LesionData:
    """Make a data set of the images of a listing, at least one; arguments as of `load`.

    Classes are sorted by name, unless they have an `order`. What lies in two parts of the data's own split,
    and what is not labelled as its copies or its lesion are, is left out.
    """
    found = {image.record.label for image in images}
    classes = tuple(order) if order and found <= set(order) else tuple(sorted(found))
    images, crossing = _within_parts(images)
    records, pixels = [image.record for image in images], [image.pixels for image in images]
    grouped = group_images(listing, records, pixels, [image.copy_digest for image in images], duplicates)
    reasons = contradictions(records, grouped, [image.digest for image in images])
    judged = list(zip(images, grouped.names, reasons, strict=True))
    members = [image for image, _, reason in judged if reason is None]
    groups = tuple(group for _, group, reason in judged if reason is None)
    source = group_source(listing, records, duplicates)
    labels = np.array([classes.index(image.record.label) for image in members], dtype=np.int64)
    table = table_of([image.record for image in members])
    chosen = {name: table[name] for name in covariates}
    return LesionData(
        name=listing.name,
        root=listing.root,
        layout=listing.layout,
        files=tuple(image.record.file for image in members),
        images=tuple(image.pixels for image in members),
        labels=labels,
        classes=classes,
        groups=groups,
        group_source=source,
        positive=positive_class(classes, positive),
        left_out=(*listing.left_out, *crossing, *_contradictory(judged)),
        image_digests=tuple(image.digest for image in members),
        copy_digests=tuple(image.copy_digest for image in members),
        digest=_digest(members, groups, chosen),
        notes=(
            *listing.notes,
            *grouped.notes,
            *look_alikes(records, pixels),
            *large_groups(groups, source),
            *_without_images(classes, found),
            *missing_notes(chosen),
            *tell_tales(chosen, labels, classes, groups),
        ),
        splits=_splits(members) or None,
        grey_range=grey_range,
        table=table,
        covariates=tuple(chosen),
    )


def _without_images(classes: Sequence[str], found: set[str]) -> list[str]:
    """Say which classes of a model have no image here, so that nothing can be measured of them."""
    missing = [name for name in classes if name not in found]
    return [f"no image is of class {name}: what is measured of it stays open" for name in missing]


def _within_parts(images: Sequence[Decoded]) -> tuple[list[Decoded], list[LeftOut]]:
    """Return what stays of the data's own split, and what is left out for lying in two of its parts."""
    splits = _splits(images)
    if not splits:
        return list(images), []
    reasons = overlaps(
        splits, [image.copy_digest for image in images], [image.record.group for image in images]
    )
    judged = list(zip(images, reasons, strict=True))
    crossing = [image.left_out(image.record.group or "", reason) for image, reason in judged if reason]
    return [image for image, reason in judged if reason is None], crossing


def _contradictory(judged: Iterable[tuple[Decoded, str, str | None]]) -> list[LeftOut]:
    return [image.left_out(group, reason) for image, group, reason in judged if reason is not None]


def _splits(images: Sequence[Decoded]) -> tuple[str, ...]:
    """Return the part of each image; (): the data have no split of their own."""
    return tuple(split for image in images if (split := image.record.split))


def _digest(images: Sequence[Decoded], groups: Sequence[str], covariates: Table) -> str:
    """Return what identifies a data set: files, labels, groups, pixels, parts and covariates."""
    parts: list[object] = [
        [image.record.file for image in images],
        [image.record.label for image in images],
        list(groups),
        [image.digest for image in images],
    ]
    if splits := _splits(images):
        parts.append([SHORT[split] for split in splits])
    if covariates:
        parts.append(covariates)
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
