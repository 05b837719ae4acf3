"""How the images of a data set reach the network: resized, standardised, augmented, in batches."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from torch import Tensor

from trials.data.augment import AUGMENTATIONS, Policy, RandomCenterCropping, expand
from trials.data.batches import Batches, standardisation
from trials.data.dataset import LesionData
from trials.data.images import to_tensor
from trials.errors import DataError
from trials.settings.data import GRADED, DataSettings

PLAIN_BATCH = 64  # images a batch where no gradients are needed; ours


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
