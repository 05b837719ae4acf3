"""Which images belong together, so that no split parts them, and which of these contradict each other.

Groups come from a column, from the folders of patients, or from the looks of the images; copies of one
picture are one group in any case. Images of one lesion, and copies, must be labelled alike; those that are
not take no part.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from trials.data.duplicates import chained, connected, copies, near_duplicates
from trials.data.findings import SHOWN
from trials.data.records import Listing, Record

CONTRADICTORY = "its group holds more than one label"
CONTRADICTORY_COPY = "a copy of it has another label"
REPEATED = "it has the pixels of another training image"
HASH = "perceptual hash"
COPIES_ALONE = "--set data.duplicates=copies keeps only copies together"
Pairs = list[tuple[int, int]]  # of indices of images
FEW, JOINED = 10, 0.1  # a group of so many images, and of more than this share of all, is doubtful; ours
UNKNOWN_PATIENTS = (
    "nothing says which images are of one slide or patient: they may lie on both sides of the data's own "
    "split, of which copies alone were taken out"
)


@dataclass(frozen=True, eq=False)
class Groups:
    """One group name an image, and notes on what the groups are worth.

    `alike` are numbers [n] by reason: images of one number must have one label.
    """

    names: list[str]
    alike: Mapping[str, np.ndarray]
    notes: list[str]


def group_images(
    listing: Listing,
    records: Sequence[Record],
    images: Sequence[np.ndarray],
    digests: Sequence[str],
    duplicates: str,
) -> Groups:
    """Group the images of records by what the listing knows; `digests` are equal where images are copies."""
    same = chained(digests)
    if listing.group_column is not None:
        return _by_column(records, images, same)
    if records[0].split:
        return _by_copies(records, same)
    return _by_looks(records, images, same, duplicates)


def _by_column(records: Sequence[Record], images: Sequence[np.ndarray], same: Pairs) -> Groups:
    count, named = len(records), [str(record.group) for record in records]
    number = connected(count, chained(named) + same)
    members: dict[int, dict[str, None]] = defaultdict(dict)
    for index, group in zip(number.tolist(), named, strict=True):
        members[index][group] = None
    copied = same if records[0].split else same + copies(images, images)
    lesions = chained([record.lesion for record in records])
    alike = {
        CONTRADICTORY: connected(count, lesions + (same if lesions else [])),
        CONTRADICTORY_COPY: connected(count, copied),
    }
    names = [next(iter(members[index])) for index in number.tolist()]
    return Groups(names, alike, _joined([" and ".join(one) for one in members.values() if len(one) > 1]))


def _joined(groups: Sequence[str]) -> list[str]:
    if not groups:
        return []
    shown = f"{'; '.join(groups[:SHOWN])}{'; ...' if len(groups) > SHOWN else ''}"
    return [f"groups that hold copies of one picture are one group, by the first's name: {shown}"]


def _by_copies(records: Sequence[Record], same: Pairs) -> Groups:
    """Group data with a split of their own by folders and copies.

    The perceptual hash is made for crops of lesions; a chance likeness would refuse a whole split.
    """
    names, folders = _names(records, same)
    alike = {CONTRADICTORY_COPY: connected(len(records), same)}
    return Groups(names, alike, [] if folders else [UNKNOWN_PATIENTS])


def _by_looks(
    records: Sequence[Record], images: Sequence[np.ndarray], same: Pairs, duplicates: str
) -> Groups:
    """Group images that look alike, or whose frames do; a doubtful group need not be labelled alike."""
    count = len(records)
    pairs = _lookalikes(images, [record.frame() for record in records if record.frame], duplicates)
    names, _ = _names(records, same + pairs)
    numbers = connected(count, same + pairs)
    sizes = np.bincount(numbers)[numbers]
    doubtful = (sizes >= FEW) & (sizes > JOINED * count) & (duplicates == "near")
    sure = [(i, j) for i, j in pairs if not doubtful[i]]
    notes = [_doubt(int(sizes.max()), count)] if doubtful.any() else []
    return Groups(names, {CONTRADICTORY: connected(count, same + sure)}, notes)


def _lookalikes(images: Sequence[np.ndarray], frames: Sequence[np.ndarray], duplicates: str) -> Pairs:
    """Return pairs that belong together by their looks, or by those of the frames that they are cut from."""
    alike = near_duplicates if duplicates == "near" else lambda some: copies(some, some)
    return alike(images) + alike(frames)


def _doubt(joined: int, count: int) -> str:
    return (
        f"the {HASH} joins {joined} of the {count} images into one group; where they show many lesions in "
        f"one frame, {COPIES_ALONE}"
    )


def _names(records: Sequence[Record], pairs: Pairs) -> tuple[list[str], bool]:
    """Return one group name an image, by pairs and patients' folders, and whether there are such folders."""
    folders = [record.group for record in records]
    numbers = connected(len(records), pairs + chained(folders)).tolist()
    if not any(folders):
        return [str(number + 1) for number in numbers], False
    names: dict[int, str] = {}
    for number, record in zip(numbers, records, strict=True):
        names.setdefault(number, record.group or record.file)
    return [names[number] for number in numbers], True


def group_source(listing: Listing, records: Sequence[Record], duplicates: str) -> str:
    """Say what the groups come from."""
    if listing.group_column:
        return f"column {listing.group_column}"
    found = "copies" if records[0].split or duplicates == "copies" else HASH
    return f"folders and {found}" if any(record.group for record in records) else found


def contradictions(records: Sequence[Record], groups: Groups, digests: Sequence[str]) -> list[str | None]:
    """Return why each image takes no part; None: it does. `digests` are equal where pixels are."""
    reasons: list[str | None] = [None] * len(records)
    for why, numbers in groups.alike.items():
        labels = defaultdict(set)
        for record, number in zip(records, numbers.tolist(), strict=True):
            labels[number].add(record.label)
        reasons = [
            reason or (why if len(labels[number]) > 1 else None)
            for reason, number in zip(reasons, numbers.tolist(), strict=True)
        ]
    trained_on: set[str] = set()
    for index, (record, digest) in enumerate(zip(records, digests, strict=True)):
        if record.split == "training":
            reasons[index] = reasons[index] or (REPEATED if digest in trained_on else None)
            trained_on.add(digest)
    return reasons
