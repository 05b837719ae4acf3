"""List the images that the rows of a table name without folder and suffix, in whatever folders they lie.

ISIC_0024306 is `HAM10000_images_part_1/ISIC_0024306.jpg`. Used by readers of such tables.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from trials.data.files.decoding import decode
from trials.data.files.paths import some
from trials.data.files.walking import walk
from trials.data.records import Listing, Record
from trials.data.tables.cells import is_blank
from trials.data.tables.columns import FOLDER, NONE, GroupColumns
from trials.data.tables.csv_rows import Row
from trials.data.tables.row_groups import count_ungrouped, group_names, lesion_names
from trials.errors import DataError

NAMES = ("image", "image_id", "isic_id")  # headings of the names of images
PATIENT, LESION = "patient_id", "lesion_id"
NAME, LABEL, SPLIT = " name", " label", " split"  # what readers add to rows; no heading begins with a space
FILE = "file"  # as `row_groups.py` has it

Files = Mapping[str, Sequence[Path]]  # those of an image's name


def name_column(columns: Sequence[str]) -> str | None:
    """Return the heading of the column that names images; None: there is none."""
    return next((name for name in NAMES if name in columns), None)


def list_by_name(root: Path, layout: str, table: Path, rows: Sequence[Row], asked: str | None) -> Listing:
    """List an image a row of `table`: `NAME`, its class `LABEL` and perhaps its part of a split, `SPLIT`.

    Images of a patient stay together, or of a lesion where no patient is known; `asked` names another column.
    Raises `DataError` for a column that is not there.
    """
    tree, names = walk(root), [row[NAME] for row in rows]
    files = _by_name(tree.images)
    found = [row | {FILE: _relative(files[row[NAME]][0], root)} for row in rows if row[NAME] in files]
    chosen = _group_columns(table, rows, asked)
    groups, notes = group_names(found, chosen)
    lesions = lesion_names(found, groups, chosen.lesion)
    records = [_record(root, *each) for each in zip(found, groups, lesions, strict=True)]
    return Listing(
        root.name,
        root,
        layout,
        tuple(records),
        " and ".join(chosen.together) or None,
        problems=(*tree.problems, *_problems(root, table, names, files)),
        notes=(*notes, *_unlisted(root, table, names, files)),
        ungrouped=count_ungrouped(found, chosen),
    )


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def _by_name(paths: Sequence[Path]) -> Files:
    files = defaultdict(list)
    for path in paths:
        files[path.stem].append(path)
    return files


def _record(root: Path, row: Row, group: str | None, lesion: str | None) -> Record:
    path = root / row[FILE]
    return Record(
        row[FILE],
        row[LABEL],
        partial(decode, path),
        group,
        split=row.get(SPLIT),
        path=path,
        lesion=lesion,
        cells={name: cell for name, cell in row.items() if name not in (NAME, LABEL, SPLIT, FILE)},
    )


def _group_columns(table: Path, rows: Sequence[Row], asked: str | None) -> GroupColumns:
    """Return the columns of patients and lesions that are there and not blank throughout."""
    there = [name for name in (PATIENT, LESION) if any(not is_blank(row.get(name, "")) for row in rows)]
    lesion = (LESION,) if LESION in there else ()
    if asked is None:
        return GroupColumns(tuple(there[:1]), tuple(there[1:]), lesion)
    if asked in (NONE, FOLDER):
        return GroupColumns()
    if rows and asked not in rows[0]:
        headings = ", ".join(name for name in rows[0] if name not in (NAME, LABEL, SPLIT))
        raise DataError(f"{table}: no group column {asked}, only {headings}")
    return GroupColumns((asked,), lesion=lesion)


def _problems(root: Path, table: Path, names: Sequence[str], files: Files) -> Iterator[str]:
    if blank := names.count(""):
        yield f"{table}: {blank} rows name no image; take them out"
    if twice := [name for name, count in Counter(filter(None, names)).items() if count > 1]:
        yield f"{table}: {len(twice)} images have more than one row ({some(twice)}); keep one each"
    if missing := [f"{name}.jpg" for name in dict.fromkeys(filter(None, names)) if name not in files]:
        yield (
            f"{root}: {len(missing)} images of {table.name} are not there ({some(missing)}); put the folders "
            "of all their parts there, or take their rows out"
        )
    if copied := [files[name] for name in dict.fromkeys(names) if len(files.get(name, ())) > 1]:
        places = " and ".join(_relative(path, root) for path in copied[0])
        yield f"{root}: {len(copied)} images are there more than once, such as {places}; keep one each"


def _unlisted(root: Path, table: Path, names: Sequence[str], files: Files) -> Iterator[str]:
    """Yield a note on images that have no row."""
    unlisted = [_relative(path, root) for name in sorted(files.keys() - set(names)) for path in files[name]]
    if unlisted:
        yield f"{len(unlisted)} images skipped, not in {table.name} ({some(unlisted)})"
