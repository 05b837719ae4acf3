"""What forbids the use of decoded data: a class or a part without images, or too large a share left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from trials.data.dataset import LesionData
from trials.data.findings import excessive, too_many_apart
from trials.data.official_split import excessive as excessive_overlap
from trials.data.official_split import is_overlap
from trials.data.records import SPLITS, Listing
from trials.data.tables.split_names import WAY_OUT


def faults(data: LesionData, known: Sequence[str] | None = None) -> Iterator[str]:
    """Yield, as lines, what only shows once images are left out; a model may know more classes than these."""
    for index, name in enumerate(data.classes if known is None else ()):
        if not (data.labels == index).any():
            yield (
                f"{data.root}: no image of class {name} is left, as {len(data.left_out)} images in all were "
                "left out; see why below `left out`, and correct their labels or add images"
            )
            return
    yield from _split_problems(data)


def _split_problems(data: LesionData) -> Iterator[str]:
    """Yield each problem of the data's own split as one line."""
    if data.splits is None:
        return
    for name in SPLITS:
        if name not in data.splits:
            yield f"{data.root}: no image is of split {name}; {WAY_OUT}"
            continue
        for lacking in sorted(set(range(len(data.classes))) - set(data.labels[data.of_split(name)].tolist())):
            yield f"{data.root}: no image of class {data.classes[lacking]} is of split {name}; add some"
    for line in excessive_overlap(data.splits, [item.reason for item in data.left_out]):
        yield f"{data.root}: {line}"


def excessive_shares(data: LesionData, listing: Listing, accept: Sequence[str]) -> Iterator[str]:
    """Yield each problem that its share of the images makes one; a split of the data has its own share."""
    left_out = [item for item in data.left_out if not is_overlap(item.reason)]
    images = len(data.files) + len(data.left_out)
    named = {record.file: record.group for record in listing.records if listing.group_column}
    moved = sum(named.get(file, group) != group for file, group in zip(data.files, data.groups, strict=True))
    for line in (
        *excessive(left_out, images, accept),
        *too_many_apart(moved, images, "joined to another group, for copies of one picture", accept),
        *too_many_apart(listing.ungrouped, images, f"without {listing.group_column}", accept),
    ):
        yield f"{data.root}: {line}"
