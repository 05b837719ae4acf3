"""Read MedMNIST `.npz` files (Yang et al. 2023, 10.1038/s41597-022-01721-8): the 2-D sets, labels by name.

The official split is kept, except BreastMNIST's, which puts frames of one lesion on both sides: its images
are joined, and `folds.py` makes folds of them.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import psutil

from trials.data.readers.base import Options, Reader
from trials.data.records import SPLITS, Listing, Record
from trials.errors import DataError

PARTS = dict(zip(SPLITS, ("train", "val", "test"), strict=True))  # the names in the file
JOINED = "breastmnist"
_ORGANS = (
    *("bladder", "femur-left", "femur-right", "heart", "kidney-left", "kidney-right", "liver"),
    *("lung-left", "lung-right", "pancreas", "spleen"),
)
CLASSES: Mapping[str, tuple[str, ...]] = {  # by label number, as in `medmnist.INFO`, but for BreastMNIST's 1
    "bloodmnist": (
        *("basophil", "eosinophil", "erythroblast"),
        "immature granulocytes(myelocytes, metamyelocytes and promyelocytes)",
        *("lymphocyte", "monocyte", "neutrophil", "platelet"),
    ),
    JOINED: ("malignant", "benign-or-normal"),
    "dermamnist": (
        "actinic keratoses and intraepithelial carcinoma",
        *("basal cell carcinoma", "benign keratosis-like lesions", "dermatofibroma", "melanoma"),
        *("melanocytic nevi", "vascular lesions"),
    ),
    "octmnist": ("choroidal neovascularization", "diabetic macular edema", "drusen", "normal"),
    **dict.fromkeys(("organamnist", "organcmnist", "organsmnist"), _ORGANS),
    **dict.fromkeys(("organmnist_axial", "organmnist_coronal", "organmnist_sagittal"), _ORGANS),  # version 1
    "pathmnist": (
        *("adipose", "background", "debris", "lymphocytes", "mucus", "smooth muscle"),
        *("normal colon mucosa", "cancer-associated stroma", "colorectal adenocarcinoma epithelium"),
    ),
    "pneumoniamnist": ("normal", "pneumonia"),
    "retinamnist": ("0", "1", "2", "3", "4"),  # grades of diabetic retinopathy
    "tissuemnist": (
        *("Collecting Duct, Connecting Tubule", "Distal Convoluted Tubule", "Glomerular endothelial cells"),
        *("Interstitial endothelial cells", "Leukocytes", "Podocytes", "Proximal Tubule Segments"),
        "Thick Ascending Limb",
    ),
}


def set_name(path: Path) -> str | None:
    """Return which of MedMNIST's sets a file holds, by its name: `pathmnist_224.npz` is pathmnist."""
    stem = path.stem.lower()
    return next((name for name in CLASSES if re.match(rf"{name}(?![a-z0-9])", stem)), None)


def classes_elsewhere(path: Path, classes: Sequence[str] | None) -> Sequence[str] | None:
    """Return a run's `classes` for other data that need names: an `.npz` that is not MedMNIST's."""
    return classes if path.suffix.lower() == ".npz" and set_name(path) is None else None


def holds(path: Path) -> bool:
    """Return whether a file is an `.npz`."""
    return path.suffix.lower() == ".npz" and not path.is_dir()


def read(path: Path, options: Options) -> Listing:
    """List all images, `file` being `name.npz#index` over train, val, test in this order.

    Without `options.classes` the names are those of the set that the file's name begins with.
    """
    parts = _arrays(path)
    numbers = np.concatenate([labels for _, labels in parts.values()])
    known = set_name(path)
    names = options.classes or (CLASSES[known] if known else None)
    if names is None:
        raise DataError(
            f"{path}: the file holds class numbers {numbers.min()} to {numbers.max()}, not names, and its "
            "own name begins with none of MedMNIST's 2-D sets; give the names in the order of the numbers: "
            "--set data.classes=NAME0,NAME1,..."
        )
    if numbers.min() < 0 or numbers.max() >= len(names):
        raise DataError(
            f"{path}: labels {numbers.min()} to {numbers.max()}, but {len(names)} classes are named: "
            f"{', '.join(names)}; name all, in the order of the numbers: --set data.classes=NAME0,NAME1,..."
        )
    joined = known == JOINED
    notes = (
        ("the file's own split puts frames of one lesion on both sides and is not kept",) if joined else ()
    )
    records = tuple(_records(path, parts, names, split=not joined))
    return Listing(path.stem, path.parent, "medmnist", records, notes=notes)


Parts = Mapping[str, tuple[np.ndarray, np.ndarray]]


def _records(path: Path, parts: Parts, names: Sequence[str], *, split: bool) -> Iterator[Record]:
    count = 0
    for part, (images, labels) in parts.items():
        for image, label in zip(images, labels.tolist(), strict=True):
            decode = partial(np.array, image)
            yield Record(f"{path.name}#{count}", names[label], decode, split=part if split else None)
            count += 1


def _arrays(path: Path) -> Parts:
    """Return uint8 images [n, h, w] or [n, h, w, 3] and int64 labels [n] for each of `SPLITS`."""
    try:
        _refuse_bomb(path)
        with np.load(path, allow_pickle=False) as stored:
            parts = {
                split: (stored[f"{part}_images"], stored[f"{part}_labels"]) for split, part in PARTS.items()
            }
    except DataError:
        raise
    except Exception as error:  # damaged archives raise nearly anything
        raise DataError(
            f"{path}: not a MedMNIST file with {', '.join(PARTS.values())} images and labels ({error})"
        ) from error
    checked = {split: _checked(path, PARTS[split], *arrays) for split, arrays in parts.items()}
    if not sum(len(labels) for _, labels in checked.values()):
        raise DataError(f"{path}: holds no image; download it again")
    return checked


def _checked(path: Path, part: str, images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if images.ndim == 4 and images.shape[3] == 1:
        images = images[..., 0]
    grey_or_rgb = images.ndim == 3 or (images.ndim == 4 and images.shape[3] == 3)
    if images.dtype != np.uint8 or not grey_or_rgb or 0 in images.shape[1:]:
        raise DataError(
            f"{path}: {part} images of {images.dtype} {images.shape}; expected uint8 [n, h, w] or "
            "[n, h, w, 3]; volumes (MedMNIST's 3-D sets) and other values cannot be read"
        )
    if labels.ndim == 2 and labels.shape[1] > 1:
        raise DataError(
            f"{path}: {part} labels of {labels.shape}, several for each image (multi-label, as ChestMNIST's "
            "14 findings); expected one class an image. Save one finding alone, labels[:, 0] say, to an .npz "
            "of your own: --set data.classes=absent,NAME"
        )
    if labels.size != len(images) or labels.dtype.kind not in "iu":
        raise DataError(
            f"{path}: {labels.shape} {part} labels of {labels.dtype} for {len(images)} images; expected one "
            "class number an image"
        )
    return images, labels.reshape(-1).astype(np.int64)


def _refuse_bomb(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        size = sum(part.file_size for part in archive.infolist())
    free = psutil.virtual_memory().available
    if size > free:
        raise DataError(
            f"{path}: unpacks to {size / 1e9:.1f} GB, and {free / 1e9:.1f} GB of memory are free; use a "
            "smaller version, or a machine with more memory"
        )


MEDMNIST = Reader("medmnist", "a MedMNIST .npz", holds, read, class_names=True)
