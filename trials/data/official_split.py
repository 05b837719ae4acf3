"""A split that the data come with: images that lie in two of its parts leave the earlier one.

A published test set stays whole, so that results on it can be compared. What it shares with the other parts
leaves those: first training, then validation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from trials.data.duplicates import copies
from trials.data.files.paths import some
from trials.data.records import SPLITS, Record

SHARE = 1 / 3  # of a part's images; where more of them leave, the split is at fault; ours
SHOWN = 3  # examples in a line
COMPARED = 100_000  # images; the comparison of more would take minutes
_LATER = {"training": "validation or test", "validation": "test"}
_COPY = "{part} image with a copy in {later}"
_GROUP = "{part} image of a group with images in {later}"


def overlaps(splits: Sequence[str], copies: Sequence[str], groups: Sequence[str | None]) -> list[str | None]:
    """Return why each image leaves its part of a split; None: it stays.

    `splits` are of `SPLITS`; `copies` are equal for copies, `groups` for what belongs together; a None there
    is of no group.
    """
    reasons = _in_later_parts(splits, copies, _COPY)
    named = [None if reason else group for reason, group in zip(reasons, groups, strict=True)]
    return [
        copy or group for copy, group in zip(reasons, _in_later_parts(splits, named, _GROUP), strict=True)
    ]


def _in_later_parts(splits: Sequence[str], keys: Sequence[str | None], why: str) -> list[str | None]:
    last: dict[str, int] = {}
    for split, key in zip(splits, keys, strict=True):
        if key is not None:
            last[key] = max(last.get(key, 0), SPLITS.index(split))
    return [
        why.format(part=split, later=_LATER[split])
        if key is not None and SPLITS.index(split) < last[key]
        else None
        for split, key in zip(splits, keys, strict=True)
    ]


def _reasons(part: str) -> tuple[str, ...]:
    return tuple(why.format(part=part, later=_LATER[part]) for why in (_COPY, _GROUP))


def is_overlap(reason: str) -> bool:
    """Return whether an image was left out for lying in two parts."""
    return any(reason in _reasons(part) for part in _LATER)


def excessive(splits: Sequence[str], reasons: Sequence[str]) -> Iterator[str]:
    """Yield a line for each part that loses more than `SHARE` of its images.

    `splits` are of the images that stay, `reasons` of all that are left out.
    """
    staying = Counter(splits)
    for part, later in _LATER.items():
        gone = sum(reason in _reasons(part) for reason in reasons)
        if gone > SHARE * (gone + staying[part]):
            yield (
                f"{gone} of the {gone + staying[part]} {part} images are copies of {later} images, or of "
                "their groups; more than a third is a fault of the split: remove these images, or remove the "
                "split, for folds that keep groups together"
            )


def look_alikes(records: Sequence[Record], images: Sequence[np.ndarray]) -> Iterator[str]:
    """Yield a line where images of one part look like images of a later one, perhaps saved again; they stay.

    `images` are uint8 [h, w] or [h, w, 3], one a record.
    """
    order = [SPLITS.index(record.split) for record in records if record.split]
    earlier, later = ([i for i, part in enumerate(order) if part in some] for some in ((0, 1), (1, 2)))
    if len(earlier) + len(later) > COMPARED:
        yield f"look-alikes across the split were not searched for: {len(records):,} images are too many"
        return
    found = copies([images[i] for i in earlier], [images[j] for j in later])
    pairs = [(earlier[i], later[j]) for i, j in found if order[earlier[i]] < order[later[j]]]
    if pairs:
        examples = [
            f"{records[i].file} ({records[i].split}) and {records[j].file} ({records[j].split})"
            for i, j in pairs
        ]
        yield (
            f"{len({i for i, _ in pairs})} images look like one of a later part of the split, perhaps "
            f"saved again, and are not left out: {some(examples, SHOWN)}"
        )
