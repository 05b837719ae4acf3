"""Read PatchCamelyon (Veeling et al. 2018, arXiv 1806.03962) as published, in HDF5.

torchvision's `PCAM(FOLDER, split=..., download=True)` writes these files. They are read without `PCAM`, which
opens two files for every image and takes six times as long; a test compares both. h5py comes with the extra
`methods`. The publication also has a `*_meta.csv` for each part, a row a patch (coord_y, coord_x,
tumor_patch, center_tumor_patch and wsi, the slide), which `PCAM` leaves out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from search_space.regular_files import not_a_file
from trials.data.readers.base import Options, Reader
from trials.data.records import AT_ONCE, SPLITS, Listing, Record, Stored
from trials.data.tables.cells import is_blank
from trials.data.tables.columns import NONE
from trials.data.tables.csv_rows import read_rows
from trials.data.tables.split_names import SHORT
from trials.errors import DataError, install

FOLDER = "pcam"
NAME = "camelyonpatch_level_2_split_{split}_{part}.h5"  # part: x, the patches, or y, their labels
META = "camelyonpatch_level_2_split_{split}_meta.csv"
SLIDE = "wsi"  # its column
BLOCK = 64  # patches read at a time, or more where a chunk has more


def hdf5_folder(path: Path) -> Path | None:
    """Return the folder of the HDF5 files: `path` itself, or `pcam` in it; None: there are none."""
    return next((folder for folder in (path, path / FOLDER) if any(folder.glob("camelyonpatch_*.h5"))), None)


def holds(path: Path) -> bool:
    """Return whether a folder, or `pcam` in it, has files named as published."""
    return hdf5_folder(path) is not None


def read(path: Path, options: Options) -> Listing:
    """List all three parts: labels `0` and `1` (tumour in the centre), `file` is `NAME.h5#index`.

    Groups are the slides, if `*_meta.csv` name them, or the values of their column `group_column`; "none":
    there are none. Raises `DataError` for a file that is missing, damaged or of other contents, and without
    h5py.
    """
    folder = hdf5_folder(path) or path
    column = options.group_column or SLIDE
    slides = {} if column == NONE else _slides(folder, column, asked=options.group_column is not None)
    parts = {split: _Patches(folder / NAME.format(split=SHORT[split], part="x")) for split in SPLITS}
    records = [record for split in SPLITS for record in _part(folder, split, parts[split], slides.get(split))]
    blank = sum(slide == "" for part in slides.values() for slide in part)
    notes = (f"{blank} patches without {column}: each is a group of its own",) if blank else ()
    named = column if slides else None
    stored = Stored(
        tuple(part.path for part in parts.values()), sum(part.unpacked for part in parts.values())
    )
    return Listing(folder.name, folder, "patch_camelyon", tuple(records), named, notes=notes, stored=stored)


def _part(folder: Path, split: str, patches: _Patches, slides: Sequence[str] | None) -> Iterator[Record]:
    """Yield the records of a part of the split; `slides` names one a patch, None: there are no groups."""
    path = folder / NAME.format(split=SHORT[split], part="y")
    labels = _dataset(path, "y")
    if labels.size != len(patches):
        raise DataError(f"{path}: {labels.size} labels for the {len(patches)} patches of {patches.path}")
    if slides is not None and len(slides) != len(patches):
        raise DataError(
            f"{folder / META.format(split=SHORT[split])}: {len(slides)} rows for the {len(patches)} "
            f"patches of {patches.path}; download both again"
        )
    for index, label in enumerate(np.asarray(labels).ravel().tolist()):
        file = f"{patches.path.name}#{index}"
        group = None if slides is None else slides[index] or file
        yield Record(file, str(label), partial(patches.patch, index), group, split=split)


def _slides(folder: Path, column: str, *, asked: bool) -> dict[str, list[str]]:
    """Return each part's slides, one a patch, "" where it is not named; {}: no file names any.

    Raises `DataError` where some parts' files are missing, or the rows are not the patches in their order.
    """
    paths = {split: folder / META.format(split=SHORT[split]) for split in SPLITS}
    missing = [path for path in paths.values() if not path.is_file()]
    if len(missing) == len(paths) and not (asked or any(folder.glob("*_meta.csv*"))):
        return {}
    if missing:
        raise DataError(
            f"{missing[0]}: there is no such file, which names the slides; put all three *_meta.csv there, "
            "unpacked, or none"
        )
    slides = {}
    for split, path in paths.items():
        rows = read_rows(path, (column,), unnamed=True)  # the index that pandas writes
        if any(row.get("", str(index)) != str(index) for index, row in enumerate(rows)):
            raise DataError(f"{path}: its first column does not count from 0; download it again")
        slides[split] = ["" if is_blank(row[column]) else row[column] for row in rows]
    return slides


def _dataset(path: Path, name: str) -> Any:
    try:
        import h5py
    except ImportError:
        raise DataError(f"{path}: reading HDF5 needs h5py: {install('methods')}") from None
    if said := not_a_file(path):
        raise DataError(f"{path}: {said}; expected x and y of {', '.join(SHORT.values())}, unpacked")
    try:
        return h5py.File(path, "r")[name]
    except (OSError, KeyError) as error:
        raise DataError(f"{path}: cannot be read as HDF5 with {name} ({error}); download it again") from error


class _Patches:
    """The patches of a file, uint8 [n, h, w, 3].

    Contiguous ones are mapped as they lie in the file. Of those in chunks, which HDF5 unpacks whole, a block
    of whole chunks is read at a time, and all blocks are held of which patches may be decoded side by side:
    threads ask for these in any order, and each chunk is unpacked once.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        stored = _dataset(path, "x")
        if stored.dtype != np.uint8 or stored.ndim != 4 or stored.shape[3] != 3:
            raise DataError(f"{path}: x is {stored.dtype} {stored.shape}; expected uint8 [n, h, w, 3]")
        chunk = stored.chunks[0] if stored.chunks else 1
        self._count, self._rows = len(stored), chunk * math.ceil(BLOCK / chunk)
        self._mapped = _mapped(stored, path)
        self.unpacked = int(stored.size) if self._mapped is None else 0  # bytes
        held = math.ceil(AT_ONCE / self._rows) + 1
        self._block = lru_cache(maxsize=held)(partial(_block, stored, self._rows))
        self._lock = Lock()

    def __len__(self) -> int:
        return self._count

    def patch(self, index: int) -> np.ndarray:
        """Return a patch, uint8 [h, w, 3]. Raises `DataError` where it cannot be read."""
        if self._mapped is not None:
            return self._mapped[index]
        try:
            with self._lock:
                return self._block(index // self._rows)[index % self._rows]
        except OSError as error:
            raise DataError(
                f"{self.path}: patch {index} cannot be read ({error}); download it again"
            ) from error


def _block(stored: Any, rows: int, number: int) -> Any:
    return stored[number * rows : (number + 1) * rows]


def _mapped(stored: Any, path: Path) -> np.ndarray | None:
    """Return a dataset as it lies in its file; None: in chunks, elsewhere, or nowhere yet."""
    offset = stored.id.get_offset()
    if offset is None or stored.external or stored.is_virtual or stored.file.userblock_size:
        return None
    return np.memmap(path, np.uint8, "r", offset, stored.shape).view(np.ndarray)


PATCH_CAMELYON = Reader("patch_camelyon", "PatchCamelyon as published", holds, read, group_columns=True)
