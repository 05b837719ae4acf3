"""The readers here pass the suite that others can use."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.images import write_table
from trials.data.readers.busbra import BUSBRA
from trials.data.readers.folders import CLASS_FOLDERS
from trials.data.readers.manifest import MANIFEST
from trials.data.readers.medmnist import MEDMNIST
from trials.data.readers.patch_camelyon import PATCH_CAMELYON
from trials.data.readers.testing import ReaderTests, picture, save_picture

LABELS = ("benign", "malignant")
COUNT = 12


class TestManifest(ReaderTests):
    reader = MANIFEST

    def write_data(self, folder: Path) -> Path:
        rows = [(f"images/{seed}.png", LABELS[seed % 2], f"p{seed % 6}") for seed in range(COUNT)]
        for seed, (file, *_) in enumerate(rows):
            save_picture(folder / file, seed)
        write_table(folder / "manifest.csv", ("file", "label", "patient"), *rows)
        return folder


class TestClassFolders(ReaderTests):
    reader = CLASS_FOLDERS

    def write_data(self, folder: Path) -> Path:
        for seed in range(COUNT):
            save_picture(folder / LABELS[seed % 2] / f"{seed}.png", seed)
        return folder


class TestSplitFolders(ReaderTests):
    reader = CLASS_FOLDERS

    def write_data(self, folder: Path) -> Path:
        for seed in range(3 * COUNT):
            part = ("training", "validation", "test")[seed % 3]
            save_picture(folder / part / LABELS[seed % 2] / f"{seed}.png", seed)
        return folder


class TestBusBra(ReaderTests):
    reader = BUSBRA

    def write_data(self, folder: Path) -> Path:
        masks = folder / "Masks"
        masks.mkdir()
        rows = [(f"bus_{seed:04d}-l", seed // 2, LABELS[seed // 2 % 2]) for seed in range(COUNT)]
        for seed, (name, *_) in enumerate(rows):
            save_picture(folder / "Images" / f"{name}.png", seed)
            mask = np.zeros((40, 50), dtype=np.uint8)
            mask[5:35, 5:45] = 255
            Image.fromarray(mask).save(masks / f"mask_{name.removeprefix('bus_')}.png")
        write_table(folder / "bus_data.csv", ("ID", "Case", "Pathology"), *rows)
        return folder


class TestMedMnist(ReaderTests):
    reader = MEDMNIST

    def write_data(self, folder: Path) -> Path:
        arrays = {}
        for start, part in enumerate(("train", "val", "test")):
            seeds = range(start * COUNT, (start + 1) * COUNT)
            arrays[f"{part}_images"] = np.stack([picture(seed, 28, 28) for seed in seeds])
            arrays[f"{part}_labels"] = np.array([[seed % 2] for seed in seeds])
        np.savez(folder / "breastmnist.npz", **arrays)
        return folder / "breastmnist.npz"


class TestPatchCamelyon(ReaderTests):
    reader = PATCH_CAMELYON
    positive = "1"

    def write_data(self, folder: Path) -> Path:
        h5py = pytest.importorskip("h5py")
        for start, part in enumerate(("train", "valid", "test")):
            seeds = range(start * COUNT, (start + 1) * COUNT)
            grey = np.stack([picture(seed, 32, 32) for seed in seeds])
            values = {
                "x": np.repeat(grey[..., None], 3, axis=3),
                "y": np.array([seed % 2 for seed in seeds]),
            }
            for name, array in values.items():
                with h5py.File(folder / f"camelyonpatch_level_2_split_{part}_{name}.h5", "w") as file:
                    file[name] = array
        return folder
