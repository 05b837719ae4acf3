"""Make batches of images.

Images stay bytes: large data sets where they are, others on the device. Each batch is augmented and
standardised on the device.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from trials.data import storage
from trials.data.augment import AUGMENTATIONS, Policy, RandomCenterCropping


def standardisation(
    images: torch.Tensor, indices: torch.Tensor | np.ndarray | None = None
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of each channel of uint8 [n, channels, h, w], on the scale 0 to 1.

    They are of all images or of those at `indices`, which must be training images only. A channel without
    variation has the deviation of one grey level.
    """
    chosen = torch.arange(len(images)) if indices is None else torch.as_tensor(indices)
    counts = torch.zeros(images.shape[1], 256, dtype=torch.int64, device=images.device)
    for part in chosen.split(1024):  # memory may not hold all images
        channels = images[part].transpose(0, 1).flatten(1)
        counts += torch.stack([torch.bincount(pixels, minlength=256) for pixels in channels])
    share = counts.double() / counts.sum(1, keepdim=True)
    levels = torch.arange(256, dtype=torch.float64, device=images.device) / 255
    mean = share @ levels
    deviation = (share @ levels.square() - mean.square()).clamp(min=0).sqrt().clamp(min=1 / 255)
    return tuple(mean.tolist()), tuple(deviation.tolist())


def standardise_each(images: torch.Tensor) -> torch.Tensor:
    """Give each of [n, channels, h, w] the mean 0 and, nearly, the deviation 1 over its channels and pixels.

    The images are standardised together before; 0.05 of their common deviation is added to that of each, so
    an image without variation stays one. The mean is exact, because the network would enlarge what rounding
    leaves, differently in each runtime.
    """
    centred = images - images.double().mean((1, 2, 3), keepdim=True).to(images.dtype)
    return centred / (centred.square().mean((1, 2, 3), keepdim=True).sqrt() + 0.05)


class Batches:
    """An iterable of (float32 [b, channels, s, s], int64 [b]) that Lightning takes as a dataloader.

    `images` uint8 [n, 1 or 3, s, s] and `labels` [n] are of the whole data set; `indices` take part (default:
    all). With `shuffle`, order and augmentation depend only on (`seed`, epoch), so a run that resumes at an
    epoch repeats it; a last batch of one image is dropped, as batch normalisation cannot train on it. Without
    `shuffle` nothing is dropped. A shuffled epoch may be one of `parts` parts of the images, drawn from all
    of them every time. `balanced` draws every class equally often, rare classes repeatedly. `augment` names a
    policy of `augment.AUGMENTATIONS` or is one; `crop` goes before it and makes s change from batch to batch.
    `mean` and `std` are those of `standardisation`; with `per_image`, `standardise_each` follows. Grey images
    are repeated to `channels`. Raises ValueError for arguments that contradict each other.
    """

    def __init__(
        self,
        images: torch.Tensor,
        labels: torch.Tensor | np.ndarray,
        *,
        batch_size: int,
        shuffle: bool,
        seed: int,
        mean: Sequence[float],
        std: Sequence[float],
        augment: str | Policy = "none",
        crop: RandomCenterCropping | None = None,
        balanced: bool = False,
        parts: int = 1,
        per_image: bool = False,
        channels: int = 3,
        device: str | torch.device = "cpu",
        indices: Sequence[int] | np.ndarray | torch.Tensor | None = None,
    ) -> None:
        if (balanced or parts > 1) and not shuffle:
            raise ValueError("balanced=True and parts > 1 need shuffle=True")
        chosen = torch.arange(len(images)) if indices is None else torch.as_tensor(indices)
        _refuse_images(images, len(chosen), channels)
        self.device = torch.device(device)
        self.labels = torch.as_tensor(labels)[chosen].long()
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.balanced = balanced
        self.parts = parts
        self.per_image = per_image
        self.channels = channels
        self.seed = seed
        self.epoch = 0
        self._chosen, self._labels_there = chosen.to(self.device), self.labels.to(self.device)
        held = images if len(images) > storage.IN_MEMORY else images.to(self.device)
        self._policy = _policy(augment)(held, crop)
        self._mean, self._std = (
            255 * torch.tensor(x, device=self.device).view(-1, 1, 1) for x in (mean, std)
        )

    batch_sampler = None  # Lightning asks for this where there is a sampler

    @property
    def sampler(self) -> Batches:
        """The object itself: Lightning calls `set_epoch` on a dataloader's sampler before every epoch."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next iteration."""
        self.epoch = epoch

    def __len__(self) -> int:
        batches = math.ceil(len(self.labels) / self.batch_size)
        return math.ceil((batches - 1 if self._drops_last() else batches) / self.parts)

    def _drops_last(self) -> bool:
        return self.shuffle and len(self.labels) % self.batch_size == 1 < len(self.labels)

    @property
    def order(self) -> torch.Tensor:
        """Which images the next iteration yields, by their places among `indices`: int64 [m]."""
        order = self._order(torch.Generator().manual_seed(self._seeds[0]))
        return order[: len(self) * self.batch_size]

    @property
    def _seeds(self) -> list[int]:
        """Those of the next iteration's order and augmentation."""
        return np.random.SeedSequence([self.seed, self.epoch]).generate_state(2, np.uint32).tolist()

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        generator = torch.Generator(self.device).manual_seed(self._seeds[1])
        for batch in self.order.to(self.device).split(self.batch_size):
            images = (self._policy(self._chosen[batch], generator) - self._mean) / self._std
            if self.per_image:
                images = standardise_each(images)
            yield images.expand(-1, self.channels, -1, -1), self._labels_there[batch]

    def _order(self, generator: torch.Generator) -> torch.Tensor:
        count = len(self.labels)
        if not self.shuffle:
            return torch.arange(count)
        if not self.balanced:
            return torch.randperm(count, generator=generator)
        classes = [torch.nonzero(self.labels == label).flatten() for label in self.labels.unique()]
        share = math.ceil(count / len(classes))
        drawn = [_repeated(members, share, generator) for members in classes]
        return torch.stack(drawn, 1).flatten()[:count][torch.randperm(count, generator=generator)]


def _policy(augment: str | Policy) -> Policy:
    if isinstance(augment, str) and augment not in AUGMENTATIONS:
        raise ValueError(f"augmentation {augment!r}: expected one of {', '.join(AUGMENTATIONS)}")
    return AUGMENTATIONS[augment] if isinstance(augment, str) else augment


def _refuse_images(images: torch.Tensor, chosen: int, channels: int) -> None:
    if chosen == 0:
        raise ValueError("no images to make batches of")
    if images.shape[1] not in (1, channels):
        raise ValueError(
            f"images of {images.shape[1]} channels, expected 1 or {channels}: use to_tensor(channels=1)"
        )


def _repeated(members: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
    """Return `count` draws from `members`, each drawn n or n + 1 times."""
    rounds = range(math.ceil(count / len(members)))
    return torch.cat([members[torch.randperm(len(members), generator=generator)] for _ in rounds])[:count]
