"""Find patients that only folders name: `benign/patient_07/3.png`, or such paths in a manifest.

Folders are taken for patients where that is clear: their names are numbered or say so, none is of files,
batches, years or magnifications, and none has more than a fifth of the images. Otherwise a note names the way
out: `--group-column folder` or `none`. Rules of ours.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from trials.data.files.paths import some
from trials.data.records import Listing, Record
from trials.data.tables.cells import plain
from trials.data.tables.columns import FOLDER, NONE
from trials.data.tables.headings import kind_of
from trials.data.tables.split_names import part_of

LARGEST = 0.2  # the share of the images in one folder
_OF_FILES = re.compile(
    r"(images?|imgs?|pics?|pictures?|photos?|frames?|crops?|rois?|masks?|labels?|png|jpe?g|tiff?|bmp|dicom|dcm|raw|"
    r"data|dataset|database|original|processed|enhanced|augmented|batch|part|set|subset|fold|split|train|training|"
    r"val|valid|validation|test|testing|chunk|page|disk|disc|cd|vol|volume|new|old|misc|others?|unsorted|export|"
    r"upload|download|device|scanner|camera|clinic|hospital|site|center|centre|year|month|week|day|version|v|"
    r"level|grade|class|type|group|low|high|left|right)[ _.-]*\d*"
)
# Years and dates, magnifications:
_OF_SCANS = re.compile(r"(19|20)\d\d([ _.-]?\d\d){0,2}|\d+([.,]\d+)?x|x\d+|mag[ _-]?\d+")


def with_folder_groups(listing: Listing, asked: str | None) -> Listing:
    """Return the listing, grouped by the folders of patients where these are clear or `asked` for."""
    if listing.group_column or asked == NONE or not listing.records:
        return listing
    parts = [_folders(record) for record in listing.records]
    if not any(parts):
        return listing
    depth = max(map(len, parts)) if asked == FOLDER else _depth(parts)
    if depth is None:
        return replace(listing, notes=(*listing.notes, _no_patients({one[0] for one in parts if one})))
    grouped = [
        replace(record, group="/".join(one[:depth]) or None)
        for record, one in zip(listing.records, parts, strict=True)
    ]
    count = len({record.group for record in grouped if record.group})
    note = (
        f"images of one sub-folder are of one patient ({count} of them); if they are not: --group-column none"
    )
    return replace(listing, records=tuple(grouped), notes=(*listing.notes, note))


def _no_patients(names: Iterable[str]) -> str:
    found = sorted(names)
    return (
        f"images lie in {len(found)} sub-folders ({some(found)}), which are not taken for patients; if "
        "they are: --group-column folder, else name patients in a manifest.csv"
    )


def _folders(record: Record) -> tuple[str, ...]:
    """Return the folders of a file, without those of its split and class."""
    names = PurePosixPath(record.file).parts[:-1]
    if record.label in names:
        return names[names.index(record.label) + 1 :]
    return names[1:] if names and part_of(names[0]) else names


def _depth(parts: Sequence[tuple[str, ...]]) -> int | None:
    """Return the depth of the outermost folders that are clearly patients; None: none are."""
    for depth in range(1, max(map(len, parts)) + 1):
        counts = Counter("/".join(one[:depth]) for one in parts if len(one) >= depth)
        names = {one[depth - 1] for one in parts if len(one) >= depth}
        if counts.total() >= 0.5 * len(parts) and _clear(names, max(counts.values()) / len(parts)):
            return depth
    return None


def _clear(names: set[str], largest: float) -> bool:
    if all(kind_of(re.sub(r"\d+", "", name)) for name in names):  # patient_1, Case 2
        return True
    numbered = all(any(map(str.isdigit, name)) for name in names)
    others = any(_OF_SCANS.fullmatch(plain(name)) or _OF_FILES.fullmatch(plain(name)) for name in names)
    return numbered and not others and largest <= LARGEST
