"""BUSI as published, to a folder of lesion crops with a manifest: quicker to read, open to corrections."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

from PIL import Image

from trials.data.busi import Case, find_cases
from trials.data.decoding import decode
from trials.data.folders import class_folders
from trials.data.grey_range import GreyRange
from trials.data.new_folder import new_folder, write_manifest
from trials.data.sources import DataError, examine


@dataclass(frozen=True)
class Prepared:
    """What `prepare` wrote: crops by class, their groups, and how many frames have no lesion."""

    out: str
    images: dict[str, int]
    groups: int
    contradictory_images: int
    without_lesion: int

    def to_dict(self) -> dict[str, object]:
        """All of it as JSON values."""
        return asdict(self)

    def text(self) -> str:
        """All of it to read."""
        crops = ", ".join(f"{count} {label}" for label, count in self.images.items())
        return (
            f"{self.out}: {crops} in {self.groups} groups of near-duplicates; "
            f"{self.contradictory_images} in groups of more than one label, which loading leaves out; "
            f"{self.without_lesion} frames have no lesion"
        )


def prepare(source: str | Path, out: str | Path) -> Prepared:
    """Cut every lesion of BUSI's published folders to its box; write crops and `manifest.csv` to `out`.

    The manifest names each source file with its SHA-256, the box (half-open, source pixels) and the group
    of near-duplicates in `duplicate_group`; images of contradictory groups are among them. Raises
    `DataError` for whatever `verify` finds, for another layout (which needs no preparation), and where
    `out` already holds something.
    """
    source, out = Path(source).absolute(), Path(out)
    examined = examine(source)
    if examined.problems or examined.data is None:
        raise DataError("\n".join(examined.problems))
    data = examined.data
    if data.layout != "busi":
        raise DataError(
            f"{source}: its layout ({data.layout}) can be used as it is; only published BUSI is prepared"
        )
    groups = dict(zip(data.files, data.groups, strict=True))
    groups |= {item.file: item.group for item in data.left_out if item.group}
    cases = {case.image.relative_to(source).as_posix(): case for case in find_cases(class_folders(source))[0]}
    with new_folder(out) as folder:
        rows = [
            _write_crop(folder, file, cases[file], groups[file], data.grey_range)
            for file in cases
            if file in groups
        ]
        write_manifest(folder, rows)
    return Prepared(
        out=str(out),
        images=dict(Counter(str(row["label"]) for row in rows)),
        groups=len(set(groups.values())),
        contradictory_images=len(groups) - len(data.files),
        without_lesion=len(cases) - len(groups),
    )


def _write_crop(folder: Path, file: str, case: Case, group: str, grey_range: GreyRange) -> dict[str, object]:
    stem = re.sub(r"\W+", "_", case.image.stem).strip("_")
    name = re.sub(r"\d+", lambda digits: digits[0].zfill(4), stem) + ".png"  # benign (1) -> benign_0001.png
    if (folder / name).exists():
        raise DataError(f"{case.image}: another image is called {name} too; rename one of them")
    box = case.box()
    crop = Image.fromarray(decode(case.image, box, grey_range))
    crop.save(folder / name)
    return {
        "file": name,
        "label": case.label,
        "source_file": file,
        "source_sha256": hashlib.sha256(case.image.read_bytes()).hexdigest(),
        **dict(zip(("x0", "y0", "x1", "y1"), box, strict=True)),
        "width": crop.width,
        "height": crop.height,
        "duplicate_group": group,
    }
