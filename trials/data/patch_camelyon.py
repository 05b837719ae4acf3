"""PatchCamelyon (Veeling et al. 2018, arXiv 1806.03962) as published: HDF5, as torchvision's `PCAM` lays it.

`PCAM(FOLDER, split=..., download=True)` does so. It is read without `PCAM`, which opens two files for
every image and takes six times as long; a test holds both to be the same. h5py comes with the extra
`contestants`.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from search_space.files import not_a_file
from trials.data.records import SPLITS, DataError, Listing, Record

FOLDER = "pcam"
NAME = "camelyonpatch_level_2_split_{split}_{part}.h5"  # part: x, the patches, or y, their labels


def hdf5_folder(path: Path) -> Path | None:
    """The folder of the HDF5 files: `path` itself, or `pcam` in it; None: there are none."""
    return next((folder for folder in (path, path / FOLDER) if any(folder.glob("camelyonpatch_*.h5"))), None)


def read_patch_camelyon(folder: Path) -> Listing:
    """All three parts; labels are the names `0` and `1` (tumour in the centre), `file` is `NAME.h5#index`.

    Raises `DataError` for a file that is missing, cut short or of other contents, and without h5py.
    """
    records: list[Record] = []
    for split in SPLITS:
        paths = [folder / NAME.format(split=split, part=part) for part in "xy"]
        patches, labels = (_dataset(path, part) for path, part in zip(paths, "xy", strict=True))
        if patches.dtype != np.uint8 or patches.ndim != 4 or patches.shape[3] != 3:
            raise DataError(f"{paths[0]}: x is {patches.dtype} {patches.shape}; expected uint8 [n, h, w, 3]")
        if labels.size != len(patches):
            raise DataError(f"{paths[1]}: {labels.size} labels for the {len(patches)} patches of {paths[0]}")
        for index, label in enumerate(np.asarray(labels).ravel().tolist()):
            decode = partial(_patch, patches, index, paths[0])
            records.append(Record(f"{paths[0].name}#{index}", str(label), decode, split=split))
    return Listing(folder.name, folder, "patch_camelyon", tuple(records))


def _dataset(path: Path, name: str) -> Any:
    try:
        import h5py
    except ImportError:
        raise DataError(f"{path}: reading HDF5 needs h5py; pip install -e '.[contestants]'") from None
    if said := not_a_file(path):
        raise DataError(f"{path}: {said}; expected x and y of {', '.join(SPLITS)}, unpacked")
    try:
        return h5py.File(path, "r")[name]
    except (OSError, KeyError) as error:
        raise DataError(f"{path}: cannot be read as HDF5 with {name} ({error}); download it again") from error


def _patch(patches: Any, index: int, path: Path) -> np.ndarray:
    try:
        return np.asarray(patches[index])
    except OSError as error:
        raise DataError(f"{path}: patch {index} cannot be read ({error}); download it again") from error
