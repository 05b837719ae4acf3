"""Write PatchCamelyon's HDF5 files with noise."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from trials.data.readers.patch_camelyon import NAME


def write_patches(folder: Path, counts: Mapping[str, int], seed: int = 0, **options: object) -> Path:
    """Write so many patches of 96x96 and their labels, 0 and 1 in turn, for each part; return the folder.

    `options` are those of h5py's `create_dataset`.
    """
    h5py = pytest.importorskip("h5py", reason="h5py comes with the extra methods")
    random = np.random.default_rng(seed)
    folder.mkdir(exist_ok=True)
    for split, count in counts.items():
        for part, values in (
            ("x", random.integers(0, 256, (count, 96, 96, 3), dtype=np.uint8)),
            ("y", (np.arange(count) % 2).astype(np.uint8).reshape(-1, 1, 1, 1)),
        ):
            with h5py.File(folder / NAME.format(split=split, part=part), "w") as file:
                file.create_dataset(part, data=values, **options if part == "x" else {})
    return folder
