"""A data format in one file: PAD-UFES-20, photographs of skin lesions of six diagnoses, as published.

Source: Pacheco et al., "PAD-UFES-20", Data in Brief 2020 (10.1016/j.dib.2020.106221). `metadata.csv` has a
row for each image: `img_id` is its file, `diagnostic` the diagnosis, and `patient_id` the patient, who may
have several lesions (`lesion_id`) and images. The files are in three folders.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from trials.data.files.decoding import decode
from trials.data.readers.base import Options, Reader
from trials.data.records import Listing, Record
from trials.data.tables.columns import NONE
from trials.data.tables.csv_rows import headings, read_rows

TABLE, PARTS = "metadata.csv", "imgs_part_*"
PATIENT, COLUMNS = "patient_id", ("img_id", "diagnostic", "patient_id", "lesion_id")


def holds(path: Path) -> bool:
    """Return whether a folder has the table of PAD-UFES-20."""
    return set(COLUMNS) <= set(headings(path / TABLE))


def read(root: Path, options: Options) -> Listing:
    """List the images of the table, grouped by patient; a row without an image is a problem."""
    rows = read_rows(root / TABLE, COLUMNS)
    paths = {path.name: path for path in sorted(root.glob(f"{PARTS}/**/*.png"))}
    grouped = options.group_column != NONE
    records = [
        Record(
            path.relative_to(root).as_posix(),
            row["diagnostic"],
            partial(decode, path),
            row[PATIENT] if grouped else None,
            path=path,
            lesion=f"{row[PATIENT]} {row['lesion_id']}",
        )
        for row in rows
        if (path := paths.get(row["img_id"]))
    ]
    missing = [
        f"{root / TABLE}: no image {row['img_id']} in {PARTS}; download all parts again"
        for row in rows
        if row["img_id"] not in paths
    ]
    return Listing(
        root.name,
        root,
        "pad_ufes_20",
        tuple(records),
        PATIENT if grouped else None,
        problems=tuple(missing),
    )


PAD_UFES_20 = Reader("pad_ufes_20", "PAD-UFES-20 as published", holds, read)
