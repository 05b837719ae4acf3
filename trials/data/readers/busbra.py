"""Read BUS-BRA as published (Gomez-Flores et al. 2024, 10.1002/mp.16812): frames, masks, a table of cases.

`bus_data.csv` has a row an image: the `ID` bus_0001-l names `Images/bus_0001-l.png` and
`Masks/mask_0001-l.png`, `Pathology` is the class, and `Case` the patient, who often has two images.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from trials.data.files.decoding import decode
from trials.data.files.paths import some
from trials.data.masks.cutting import cut, whole
from trials.data.readers.base import Options, Reader
from trials.data.records import Listing, Record
from trials.data.tables.columns import NONE, GroupColumns
from trials.data.tables.csv_rows import Row, read_rows
from trials.data.tables.row_groups import group_names
from trials.errors import DataError

TABLE, PATIENT = "bus_data.csv", "Case"
COLUMNS = ("ID", PATIENT, "Pathology")
_NO_CELLS = ("file", "ID", "Pathology")  # columns that a record has in fields of its own


def holds(path: Path) -> bool:
    """Return whether a folder holds BUS-BRA's table and images."""
    return (path / TABLE).is_file() and (path / "Images").is_dir()


def read(root: Path, options: Options) -> Listing:
    """List the images of the table, cut by their masks and grouped by `Case`, or by another of its columns.

    Raises `DataError` for a table without the columns needed.
    """
    rows = [{**row, "file": f"Images/{row['ID']}.png"} for row in read_rows(root / TABLE, COLUMNS)]
    column = options.group_column or PATIENT
    if rows and column not in (NONE, *rows[0]):
        raise DataError(f"{root / TABLE}: no group column {column}, only {', '.join(rows[0])}")
    groups, notes = group_names(rows, GroupColumns(() if column == NONE else (column,)))
    records = [
        Record(
            row["file"],
            row["Pathology"],
            partial(decode, path),
            group,
            path=path,
            cells={name: cell for name, cell in row.items() if name not in _NO_CELLS},
        )
        for row, group in zip(rows, groups, strict=True)
        for path in [root / row["file"]]
    ]
    listing = Listing(
        root.name,
        root,
        "busbra",
        tuple(records),
        None if column == NONE else column,
        problems=tuple(_row_problems(root / TABLE, rows)),
        notes=(*notes, *_unlisted(root, rows)),
    )
    if listing.problems:
        return listing
    masks = _masks(root, rows)
    return whole(listing, masks) if options.frames else cut(listing, masks)


def _row_problems(table: Path, rows: Sequence[Row]) -> Iterator[str]:
    known: set[str] = set()
    for number, row in enumerate(rows, start=1):
        if not row["ID"] or Path(row["ID"]).name != row["ID"]:
            yield f"{table}, image {number}: ID {row['ID']!r}, expected a name such as bus_0001-l"
        elif row["ID"] in known:
            yield f"{table}, image {number}: {row['ID']} has a row already; keep one of the two"
        if not row["Pathology"]:
            yield f"{table}, image {number}: {row['ID']} has no Pathology"
        known.add(row["ID"])


def _masks(root: Path, rows: Sequence[Row]) -> dict[Path, list[Path]]:
    """Return the masks that exist, by their images."""
    places = {
        root / row["file"]: root / "Masks" / f"mask_{row['ID'].removeprefix('bus_')}.png" for row in rows
    }
    return {image: [mask] for image, mask in places.items() if mask.is_file()}


def _unlisted(root: Path, rows: Sequence[Row]) -> list[str]:
    """Return a note on images that have no row."""
    there = {f"Images/{path.name}" for path in (root / "Images").glob("*.png")}
    unlisted = sorted(there - {row["file"] for row in rows})
    return [f"{len(unlisted)} images skipped, not in {TABLE} ({some(unlisted)})"] if unlisted else []


BUSBRA = Reader("busbra", "BUS-BRA as published", holds, read, group_columns=True, masks=True)
