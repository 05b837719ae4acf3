"""From a data set to the batches of a run: which images it may see, and how they reach the network."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trials.data.augment import AUGMENTATIONS, Policy, RandomCenterCropping, expand
from trials.data.batches import Batches, standardisation
from trials.data.dataset import LesionData, load
from trials.data.draw import draw_balanced
from trials.data.findings import findings, say
from trials.data.folds import OWN_SPLIT, assign_folds, inner_split
from trials.data.images import to_tensor
from trials.data.records import SPLITS
from trials.errors import DataError
from trials.settings.schema import GRADED, DataSettings

PLAIN_BATCH = 64  # images a batch where no gradients are needed; ours


@dataclass(frozen=True, eq=False)
class Split:
    """Indices of the images that a run trains on, chooses by, and is tested on; and where folds came from.

    `fold` of `folds` is tested, None: nothing is. Of data with a split of their own it is fold 0 of 1.
    """

    training: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    source: str
    folds: int | None
    fold: int | None
    notes: tuple[str, ...] = ()


def load_data(path: Path, settings: DataSettings) -> LesionData:
    """Read the images of a run, drawn as the settings say; raises `DataError` for data unfit for use."""
    data = load(
        path,
        positive=settings.positive,
        group_column=settings.group_column,
        classes=settings.classes,
        duplicates=settings.duplicates,
        accept=settings.accept,
    )
    if settings.balanced_draw is None:
        return data
    drawn = draw_balanced(data, settings.balanced_draw, settings.fold_seed)
    say(findings(drawn.left_out[len(data.left_out) :], ()))
    return drawn


def split_data(data: LesionData, settings: DataSettings, *, folds: int, fold: int | None, seed: int) -> Split:
    """Set outer fold `fold` of `folds` aside for the test (None: nothing) and split the rest by `seed`.

    Groups are never split. Data with a split of their own are split so, whatever the seed. Raises `DataError`
    where the images are too few, and for folds of data that have their own split.
    """
    if data.splits is not None:
        if fold is not None and (folds, fold) != (1, 0):
            raise DataError(
                f"{data.root}: fold {fold} of {folds}, but the data have a split of their own, which every "
                "run takes; leave out --folds and --fold, or fold and folds in an experiment"
            )
        training, validation, test = map(data.of_split, SPLITS)
        return Split(training, validation, test, OWN_SPLIT, folds=1, fold=0)
    rest, test, source = np.arange(len(data.files)), np.arange(0), "no folds"
    notes: tuple[str, ...] = ()
    if fold is not None:
        assigned = assign_folds(data, folds, settings.fold_seed, settings.accept)
        source, notes = assigned.source, assigned.notes
        rest, test = assigned.split(fold)
        say(notes)
    training, validation = inner_split(data, rest, settings.validation_fraction, seed)
    return Split(training, validation, test, source, None if fold is None else folds, fold, notes)


def describe_found(data: LesionData) -> dict[str, Any]:
    """Return, as JSON values, what a reading of data has found."""
    return {
        "name": data.name,
        "left_out": [asdict(item) for item in data.left_out],
        "notes": list(data.notes),
    }


def describe_data(data: LesionData, split: Split) -> dict[str, Any]:
    """Return, as JSON values, which data a run has found and how it is split."""
    counts = np.bincount(data.labels, minlength=len(data.classes)).tolist()
    return {
        "name": data.name,
        "layout": data.layout,
        "digest": data.digest,
        "images": dict(zip(data.classes, counts, strict=True)),
        "positive": data.positive,
        "groups": len(set(data.groups)),
        "group_source": data.group_source,
        "left_out": [asdict(item) for item in data.left_out],
        "notes": [*data.notes, *split.notes],
        "grey_range": list(data.grey_range),
        "folds": split.source,
        "training": len(split.training),
        "validation": len(split.validation),
        "test": len(split.test),
    }


class Inputs:
    """A data set's images as bytes [n, 1 or 3, side, side], and the batches that runs take from them.

    Standardised by the images at `training`, the only ones that are ever expanded, augmented or weighed.
    Raises ValueError for images that cannot be augmented or cropped as the settings say.
    """

    def __init__(
        self, data: LesionData, settings: DataSettings, training: np.ndarray, *, side: int | None = None
    ) -> None:
        self._settings = settings
        self._training = training
        side = side or settings.image_size
        self._crop = _crop(data, settings, side)
        self.images = to_tensor(data, side, settings.fit, settings.channels)
        if settings.augmentation == "histology" and self.images.shape[1] == 1:
            raise DataError(
                f"{data.root}: grey images, but data.augmentation=histology changes the colours of a stain; "
                "give images in colour and data.channels=3, or set data.augmentation=poses"
            )
        self.labels = torch.from_numpy(data.labels)
        self.mean, self.std = standardisation(self.images, training)

    @property
    def class_weights(self) -> Tensor | None:
        """Weights [classes] of the loss, inversely as the training images of each class; None: equal."""
        if self._settings.class_balance != "weighted_loss":
            return None
        counts = torch.bincount(self.labels[self._training])
        return len(self._training) / (len(counts) * counts)

    def training(self, batch_size: int, seed: int, parts: int = 1) -> Batches:
        """Return the shuffled training batches, augmented as the settings say; `parts` are `Batches`' own."""
        images, labels, indices = self.images, self.labels, self._training
        if self._settings.expand:
            images, labels = expand(images[indices], labels[indices])
            indices = np.arange(len(labels))
        return Batches(
            images,
            labels,
            indices=indices,
            batch_size=batch_size,
            shuffle=True,
            seed=seed,
            augment=self._augmentation,
            crop=self._crop,
            balanced=self._settings.class_balance == "balanced_sampling",
            parts=parts,
            per_image=self._settings.per_image,
            channels=self._settings.channels,
            mean=self.mean,
            std=self.std,
            device=device(),
        )

    @property
    def _augmentation(self) -> str | Policy:
        settings = self._settings
        if settings.augmentation in GRADED:
            return partial(AUGMENTATIONS[settings.augmentation], strength=settings.augmentation_strength)
        return settings.augmentation

    def plain(
        self, indices: np.ndarray, batch_size: int = PLAIN_BATCH, *, shuffle: bool = False, seed: int = 0
    ) -> Batches:
        """Return batches of the images at `indices` as they are, in their order unless shuffled."""
        return Batches(
            self.images,
            self.labels,
            batch_size=batch_size,
            shuffle=shuffle,
            seed=seed,
            per_image=self._settings.per_image,
            channels=self._settings.channels,
            mean=self.mean,
            std=self.std,
            device=device(),
            indices=indices,
        )


def _crop(data: LesionData, settings: DataSettings, side: int) -> RandomCenterCropping | None:
    """Return the cropping, if any; raises ValueError for images smaller than it, and for resized ones."""
    if settings.smallest_crop is None:
        return None
    crop = RandomCenterCropping(settings.smallest_crop)
    for file, image in zip(data.files, data.images, strict=True):
        if settings.fit != "center_crop" and image.shape[:2] != (side, side):
            raise DataError(
                f"{data.root / file}: {image.shape[1]}x{image.shape[0]} pixels, but random center cropping "
                f"takes images in their native size, {side}x{side} by data.image_size; set that to theirs, "
                "or data.fit=center_crop, or data.smallest_crop=null"
            )
    crop.check(side)
    return crop


def device() -> torch.device:
    """Return the accelerator at hand, else the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
