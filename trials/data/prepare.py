"""Write frames with masks as lesion crops with a manifest: quicker to read, open to corrections."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from PIL import Image

from search_space.progress import progress
from trials.data.dataset import LesionData
from trials.data.grouping import HASH
from trials.data.load import load
from trials.data.new_folder import new_folder, write_manifest
from trials.data.readers.base import Options
from trials.data.readers.choose import read
from trials.data.records import Record
from trials.errors import DataError


@dataclass(frozen=True)
class Prepared:
    """What `prepare` wrote: crops by class, groups, and the number of frames without a lesion."""

    out: str
    images: dict[str, int]
    groups: int
    contradictory_images: int
    without_lesion: int

    def to_dict(self) -> dict[str, object]:
        """Return all of it as JSON values."""
        return asdict(self)

    def text(self) -> str:
        """Return all of it as text."""
        crops = ", ".join(f"{count} {label}" for label, count in self.images.items())
        return (
            f"{self.out}: {crops} in {self.groups} groups of near-duplicates; "
            f"{self.contradictory_images} in groups of more than one label, which loading leaves out; "
            f"{self.without_lesion} frames have no lesion"
        )


def prepare(
    source: str | Path, out: str | Path, *, group_column: str | None = None, accept: Sequence[str] = ()
) -> Prepared:
    """Cut every lesion to the box of its masks (BUSI, BUS-BRA, folders of images and masks); write crops and
    `manifest.csv` to `out`.

    The manifest names each source file with its SHA-256, the box (half-open, source pixels), its width and
    height (source pixels too: the stored crop may be smaller) and the group, in `duplicate_group` if the
    images' pixels tell it, else in `patient`. Images of contradictory groups are included. `group_column` and
    `accept` are as for `load`. Raises `DataError` for all problems that `verify` finds, for data without
    masks (which need no preparation), and where `out` already holds something.
    """
    source, out = Path(source).absolute(), Path(out)
    data = load(source, group_column=group_column, accept=accept)
    frames = [record for record in read(source, Options(group_column)).records if record.box]
    if not frames:
        raise DataError(f"{source}: has no masks ({data.layout}) and needs no preparation; use it as it is")
    groups = dict(zip(data.files, data.groups, strict=True))
    groups |= {item.file: item.group for item in data.left_out if item.group}
    with new_folder(out) as folder:
        column = "duplicate_group" if data.group_source in (HASH, "copies") else "patient"
        shown = progress(frames, "lesions cut out")
        rows = [_write_crop(folder, data, record, {column: groups[record.file]}) for record in shown]
        write_manifest(folder, rows)
    return Prepared(
        out=str(out),
        images=dict(Counter(str(row["label"]) for row in rows)),
        groups=len(set(groups.values())),
        contradictory_images=len(groups) - len(data.files),
        without_lesion=len(data.left_out) - (len(groups) - len(data.files)),
    )


def _write_crop(folder: Path, data: LesionData, record: Record, group: dict[str, str]) -> dict[str, object]:
    source = data.root / record.file
    stem = re.sub(r"\W+", "_", source.stem).strip("_")
    name = re.sub(r"\d+", lambda digits: digits[0].zfill(4), stem) + ".png"  # benign (1) -> benign_0001.png
    if (folder / name).exists():
        raise DataError(f"{source}: another image is called {name} too; rename one of them")
    Image.fromarray(record.decode(grey_range=data.grey_range)).save(folder / name)
    x0, y0, x1, y1 = record.box or (0, 0, 0, 0)
    return {
        "file": name,
        "label": record.label,
        "source_file": record.file,
        "source_sha256": hashlib.sha256(source.read_bytes()).hexdigest(),
        **dict(zip(("x0", "y0", "x1", "y1"), (x0, y0, x1, y1), strict=True)),
        "width": x1 - x0,
        "height": y1 - y0,
        **group,
    }
