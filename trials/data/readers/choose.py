"""Choose the reader of a path; the rules here concern several formats.

The first reader that holds the path reads it, so a manifest goes before published formats. A folder of no
such format that holds one data set, as archives unpack to, stands for it. Any other folder has one sub-folder
a class.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path

from trials.data.files.paths import is_printable, leads_out, outside_problem, printable
from trials.data.files.strays import holds_images, is_image, is_stray
from trials.data.readers.base import Options, Reader
from trials.data.readers.busbra import BUSBRA
from trials.data.readers.folders import CLASS_FOLDERS
from trials.data.readers.ham10000 import HAM10000
from trials.data.readers.isic_challenge import ISIC_CHALLENGE
from trials.data.readers.manifest import MANIFEST
from trials.data.readers.medmnist import MEDMNIST
from trials.data.readers.patch_camelyon import PATCH_CAMELYON
from trials.data.records import Listing
from trials.data.tables.columns import FOLDER, NONE
from trials.errors import DataError

ENTRY_POINTS = "lesion_nas.readers"  # where an installed package names its `Reader`s
READERS = [  # in the order in which they are asked
    *(MANIFEST, BUSBRA, PATCH_CAMELYON, MEDMNIST, HAM10000, ISIC_CHALLENGE),
]


def register(reader: Reader) -> None:
    """Add a reader, asked after those that are there. Raises `ValueError` for a name in use."""
    if reader.name in {known.name for known in (*READERS, CLASS_FOLDERS)}:
        raise ValueError(f"reader {reader.name}: the name is in use; choose another")
    READERS.append(reader)


def readers() -> tuple[Reader, ...]:
    """Return the readers of formats that are more than folders, those of installed packages included."""
    _register_installed()
    return tuple(READERS)


@cache
def _register_installed() -> None:
    for entry in entry_points(group=ENTRY_POINTS):
        register(entry.load())


def read(path: Path, options: Options) -> Listing:
    """List the images at `path`. Raises `DataError` where no reader holds the path."""
    if not is_printable(path):
        raise DataError(f"{printable(path)}: the path is not UTF-8, so no result could name it; rename it")
    if not path.exists():
        raise DataError(f"{path}: there is nothing there; expected {_expected()}")
    reader = _own_format(path)
    if reader is None and (inner := _only_folder(path)):
        listing = read(inner, options)
        if _own_format(inner) or len({record.label for record in listing.records}) > 1:
            return _one_deeper(listing, path)
    if reader is None and not CLASS_FOLDERS.holds(path):
        raise DataError(
            f"{path}: holds no data set that is known here{_endings(path)}; expected {_expected()}"
        )
    reader = reader or CLASS_FOLDERS
    _refuse_unused(reader, path, options)
    return _within(reader.read(path, options))


def refuse_inside(data: Path, out: Path) -> None:
    """Raise `DataError` where files written to `out` would lie among the images of class folders in `data`.

    Other formats name their files, so more files beside them do no harm.
    """
    while not _own_format(data) and (inner := _only_folder(data)):
        data = inner
    inside = out.resolve().is_relative_to(data.resolve())
    if inside and data.is_dir() and not _own_format(data):
        raise DataError(
            f"{out}: lies among the images of {data}, where each folder is a class; name a folder elsewhere"
        )


def _own_format(path: Path) -> Reader | None:
    """Return the reader of a path that is more than a folder of folders."""
    return next((reader for reader in readers() if reader.holds(path)), None)


def _expected() -> str:
    return f"{', '.join(reader.expects for reader in readers())}, or {CLASS_FOLDERS.expects}"


def _endings(path: Path) -> str:
    """Say how the names of a folder's files end, the commonest endings first."""
    counted = Counter(file.suffix.lower() for file in path.rglob("*") if file.is_file())
    ends = [f"{ending} ({count})" for ending, count in counted.most_common(3) if ending]
    return f", its files end in {', '.join(ends)}" if ends else ""


def _refuse_unused(reader: Reader, path: Path, options: Options) -> None:
    """Raise `DataError` for an option that the reader has no use for."""
    if options.classes and not reader.class_names:
        raise DataError(
            f"{path}: data.classes names the label numbers of an .npz, and this is none; leave it out"
        )
    if options.frames and not reader.masks:
        raise DataError(
            f"{path}: data.frames reads whole frames in place of the lesions that masks mark, and there are "
            "no masks beside these images; leave it out"
        )
    if options.group_column not in (None, NONE, FOLDER) and not reader.group_columns:
        raise DataError(
            f"{path}: a group column ({options.group_column}) needs a manifest.csv that has it, and there is "
            f"none; for a folder of each patient: {FOLDER}"
        )


def _within(listing: Listing) -> Listing:
    """Return the listing, with a problem for images whose links lead out of its folder."""
    files = {record.file: record.path for record in listing.records if record.path}
    outside = [file for file, path in files.items() if leads_out(path, listing.root)]
    if not outside:
        return listing
    return replace(listing, problems=(*listing.problems, outside_problem(listing.root, outside)))


def _only_folder(path: Path) -> Path | None:
    """Return the one folder in `path` that may be a data set; None: there is no such.

    Raises `DataError` where there are several data sets and nothing else.
    """
    if not path.is_dir():
        return None
    inside = [child for child in sorted(path.iterdir()) if child.is_dir() and not is_stray(child.name)]
    sets = [child for child in inside if _own_format(child)]
    holding = [child for child in inside if child in sets or holds_images(child)]
    if len(sets) > 1 and sets == holding:
        names = ", ".join(child.name for child in sets)
        raise DataError(f"{path}: the folders {names} hold a data set each; name one of them")
    if len(holding) != 1:
        return None
    only = holding[0]
    return only if sets or any(holds_images(child) for child in only.iterdir()) else None


def _one_deeper(listing: Listing, path: Path) -> Listing:
    """Return the listing of a folder in `path` with a note that says so."""
    inner = listing.root.relative_to(path)
    beside = sum(is_image(child) for child in path.iterdir())
    skipped = f"; {beside} images beside it skipped" if beside else ""
    folds = path / "folds.csv"
    problems = [f"{folds}: the images lie in {inner}; move the file there"] if folds.exists() else []
    return replace(
        listing,
        notes=(f"read from the only data set in {path.name}, {inner}{skipped}", *listing.notes),
        problems=(*problems, *listing.problems),
    )
