"""A data format in one file: HAM10000, dermatoscopic images of seven diagnoses, as published.

Source: Tschandl et al., "The HAM10000 dataset", Scientific Data 2018 (10.1038/sdata.2018.161). The table
`HAM10000_metadata.csv` has a row for each image: `image_id` names its file, `dx` is the diagnosis, and
`lesion_id` the lesion, which may have several images. The files are in two folders.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from trials.data.files.decoding import decode
from trials.data.readers.base import Options, Reader
from trials.data.records import Listing, Record
from trials.data.tables.columns import NONE
from trials.data.tables.csv_rows import read_rows

TABLE, PARTS = "HAM10000_metadata.csv", "HAM10000_images_part_*"
LESION = "lesion_id"


def holds(path: Path) -> bool:
    """Return whether a folder has the table of HAM10000."""
    return (path / TABLE).is_file()


def read(root: Path, options: Options) -> Listing:
    """List the images of the table, grouped by lesion; a row without an image is a problem."""
    rows = read_rows(root / TABLE, (LESION, "image_id", "dx"))
    paths = {path.stem: path for path in sorted(root.glob(f"{PARTS}/*.jpg"))}
    grouped = options.group_column != NONE
    records = [
        Record(
            path.relative_to(root).as_posix(),
            row["dx"],
            partial(decode, path),
            row[LESION] if grouped else None,
            path=path,
            lesion=row[LESION],
        )
        for row in rows
        if (path := paths.get(row["image_id"]))
    ]
    missing = [
        f"{root / TABLE}: no image {row['image_id']}.jpg in {PARTS}; download both parts again"
        for row in rows
        if row["image_id"] not in paths
    ]
    return Listing(
        root.name,
        root,
        "ham10000",
        tuple(records),
        LESION if grouped else None,
        problems=tuple(missing),
    )


HAM10000 = Reader("ham10000", "HAM10000 as published", holds, read)
