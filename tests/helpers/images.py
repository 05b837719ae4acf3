"""Write pictures, masks and DICOM files, and the rows of a table."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

CASES = 6  # of each class
BOX = (slice(20, 60), slice(30, 70))  # what masks mark of 80 x 100 pixels
Picture = Callable[..., np.ndarray]


def save(pixels: np.ndarray | Image.Image, path: Path) -> None:
    """Write an image file, and its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(path)


def mask_pixels(marked: tuple[slice, slice] = BOX) -> np.ndarray:
    """Return a mask, uint8 [80, 100]."""
    pixels = np.zeros((80, 100), dtype=np.uint8)
    pixels[marked] = 255
    return pixels


def write_frames(
    root: Path,
    spell: Callable[[str, int], tuple[str, str]],
    picture: Picture,
    mask: Image.Image | np.ndarray | None = None,
) -> Path:
    """Write frames and masks of two classes at the places that `spell(label, number)` names."""
    for seed, (label, number) in enumerate(
        (label, number) for label in ("benign", "malignant") for number in range(1, CASES + 1)
    ):
        image, masked = spell(label, number)
        save(picture(seed, 80, 100), root / image)
        save(mask_pixels() if mask is None else mask, root / masked)
    return root


def write_dicom(
    path: Path, pixels: np.ndarray, photometric: str = "MONOCHROME2", bits: int | None = None, **tags: Any
) -> Path:
    """Write a DICOM file of a named patient; `bits` are those stored, by default all of the type."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

    path.parent.mkdir(parents=True, exist_ok=True)
    stored = Dataset()
    stored.SOPClassUID, stored.SOPInstanceUID = SecondaryCaptureImageStorage, "1.2.3"
    stored.PatientName, stored.PatientID, stored.PatientBirthDate = "Doe^Jane", "JANE-1", "19700101"
    stored.file_meta = FileMetaDataset()
    stored.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    stored.set_pixel_data(pixels, photometric, bits or 8 * pixels.itemsize)
    for name, value in tags.items():
        setattr(stored, name, value)
    stored.save_as(path, enforce_file_format=True)
    return path


def write_table(path: Path, *rows: Sequence[object]) -> None:
    """Write a CSV file, the headings first."""
    with path.open("w", newline="") as lines:
        csv.writer(lines).writerows(rows)


def rows_of(patients: int, images: int = 2, *more: Callable[[int], str]) -> list[list[str]]:
    """Return rows (file, label, patient, ...) of so many images of each patient; even patients are benign."""
    return [
        [
            f"{p:02}_{i}.png",
            ("benign", "malignant")[p % 2],
            f"P{p}",
            *(value(p * images + i) for value in more),
        ]
        for p in range(patients)
        for i in range(images)
    ]


def rings(folder: Path, classes: list[str], each: int) -> Path:
    """Images of as many bright rings as the number of their class, on noise, in one folder a class."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:40, :40] - 19.5
    distance = np.hypot(y, x)
    for number, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for index in range(each):
            image = random.normal(90, 25, (40, 40))
            for ring in range(number):
                image[np.abs(distance - 4 * (ring + 1) - random.normal(0, 0.3)) < 1] += 120
            Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(folder / name / f"{index}.png")
    return folder
