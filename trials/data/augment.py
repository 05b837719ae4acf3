"""Augment training images by a named policy.

`"paper"` is the policy of Ahmed, Du and AlZoubi (MIDL 2020, arXiv 2005.13695): rotations by 90, 180 and 270
degrees, mirroring, and reconstruction at rank 25, 35 and 45 from the singular value decomposition. The paper
does not say how they combine. Both readings here are ours: `expand` adds one version for each to the training
set (8 images of one), and `Paper` draws for each image and epoch one of the 8 poses of the square and one of
the 4 ranks (full rank included).

`"ultrasound"` is our choice for ultrasound, where up stays up because shadows fall downwards: see
`Ultrasound`. `"histology"` is our choice for stained tissue, which has no up and whose colours differ between
laboratories: see `Histology`. `"poses"` are only its 8 poses of the square.

`RandomCenterCropping` may crop the batch before any policy. In use the model sees the whole image.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn import functional

RANKS = (25, 35, 45)


def reconstruct(images: torch.Tensor, ranks: tuple[int, ...] = RANKS) -> torch.Tensor:
    """Return the best approximations of rank at most k: float [ranks, n, channels, h, w].

    `images` are [n, channels, h, w]. A channel whose shorter side is k or less is its own approximation, up
    to rounding.
    """
    u, s, vh = torch.linalg.svd(images.float(), full_matrices=False)
    return torch.stack([(u[..., :k] * s[..., None, :k]) @ vh[..., :k, :] for k in ranks])


def rank_versions(images: torch.Tensor, ranks: tuple[int, ...] = RANKS) -> torch.Tensor:
    """Return `reconstruct` of uint8 [n, channels, h, w] as uint8 [ranks, n, channels, h, w], on the CPU."""
    parts = [reconstruct(part, ranks).round_().clamp_(0, 255).byte() for part in images.cpu().split(256)]
    return torch.cat(parts, dim=1)


def expand(images: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the paper's expanded training set, [8 n, channels, s, s] and [8 n], of n images and labels.

    In blocks of n: unchanged, rotated by 90, 180 and 270 degrees, mirrored left to right, of rank 25, 35 and
    45.
    """
    rotated = [torch.rot90(images, quarter, (-2, -1)) for quarter in (1, 2, 3)]
    versions = [images, *rotated, images.flip(-1), *rank_versions(images)]
    return torch.cat(versions), labels.repeat(len(versions))


@dataclass(frozen=True)
class RandomCenterCropping:
    """Cut squares of random size and position that keep the centre, at native resolution.

    Wang et al., Cancers 13(4), 661, 2021. PCam labels a patch by its central 32x32 pixels, hence `centre`;
    where it cannot lie exactly in the middle, it lies half a pixel up and left. The paper gives no limits:
    `smallest` = 48 is ours, the largest crop is the whole image, and all sizes between are equally likely.
    The size is drawn once for a batch, which is one tensor, and the position for every image.
    """

    smallest: int = 48
    centre: int = 32

    def check(self, side: int) -> None:
        """Raise ValueError where images of `side` pixels cannot be cropped like this."""
        if not 1 <= self.centre <= side:
            raise ValueError(
                f"every crop keeps a centre of {self.centre}x{self.centre} pixels, and the images have "
                f"{side}x{side}: use larger images, or no random center cropping (data.smallest_crop=null)"
            )
        if not self.centre <= self.smallest <= side:
            raise ValueError(
                f"the smallest crop is {self.smallest}x{self.smallest} pixels, with a centre of "
                f"{self.centre}x{self.centre} to keep, in images of {side}x{side}: set data.smallest_crop "
                f"from {self.centre} to {side}"
            )

    def __call__(self, batch: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Crop [batch, channels, s, s] to one size from `smallest` to s; `check` must have accepted s."""
        side, device = batch.shape[-1], batch.device
        size = int(torch.randint(self.smallest, side + 1, (), generator=generator, device=device))
        start = (side - self.centre) // 2  # of the centre
        first, last = max(0, start + self.centre - size), min(start, side - size)
        corners = torch.randint(first, last + 1, (2, len(batch), 1), generator=generator, device=device)
        rows, columns = corners + torch.arange(size, device=device)  # each [batch, size]
        images, channels = (torch.arange(count, device=device).view(-1, 1, 1) for count in batch.shape[:2])
        return batch[images[:, None], channels, rows[:, None, :, None], columns[:, None, None, :]]


class Plain:
    """Leave images unchanged. A policy holds uint8 [n, channels, s, s]; indices give a batch.

    `crop` comes first: after a rotation, an odd margin would have moved the centre by a pixel.
    """

    def __init__(self, images: torch.Tensor, crop: RandomCenterCropping | None = None) -> None:
        self.images, self._crop = images, crop

    def __call__(self, indices: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return float32 [batch, channels, s, s] in 0 to 255, or [.., size, size] of crops.

        It lies on the device of `indices`, wherever the images are; all randomness comes from `generator`.
        """
        batch = self._taken(indices, generator).to(indices.device).float()
        return self._crop(batch, generator) if self._crop else batch

    def _taken(self, indices: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return self.images[indices.to(self.images.device)]


class Paper(Plain):
    """Draw one of 8 poses (quarter turns, mirrored or not) and one of 4 ranks (25, 35, 45, full) an image.

    All versions of all images are made beforehand: four times their memory.
    """

    def __init__(self, images: torch.Tensor, crop: RandomCenterCropping | None = None) -> None:
        super().__init__(torch.cat([images[None], rank_versions(images).to(images.device)]), crop)

    def __call__(self, indices: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return a batch as `Plain` does."""
        return _posed(super().__call__(indices, generator), generator)

    def _taken(self, indices: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        version = torch.randint(len(self.images), indices.shape, generator=generator, device=indices.device)
        return self.images[version.to(self.images.device), indices.to(self.images.device)]


def _posed(batch: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Draw one of the 8 poses of the square for each of [batch, channels, s, s]."""
    for pose in (lambda x: x.transpose(-1, -2), lambda x: x.flip(-1), lambda x: x.flip(-2)):
        drawn = torch.rand(len(batch), 1, 1, 1, generator=generator, device=batch.device) < 0.5
        batch = torch.where(drawn, pose(batch), batch)
    return batch


class Ultrasound(Plain):
    """Mirror half the images left to right, move them a little, and change their contrast and speckle.

    Rotation up to 10 degrees, zoom up to 10 %, shift up to 5 %, contrast up to 15 %, gain up to 12 grey
    levels of 255, factors of speckle with a standard deviation up to 0.15. All are drawn uniformly;
    `strength` multiplies all these ranges.
    """

    def __init__(
        self, images: torch.Tensor, crop: RandomCenterCropping | None = None, *, strength: float = 1.0
    ) -> None:
        super().__init__(images, crop)
        self._strength = strength

    def __call__(self, indices: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return a batch as `Plain` does."""
        batch, s = super().__call__(indices, generator), self._strength

        def uniform(low: float, high: float) -> torch.Tensor:
            return torch.empty(len(batch), device=batch.device).uniform_(low, high, generator=generator)

        turn, zoom = uniform(-10 * s, 10 * s) * (math.pi / 180), uniform(1 - 0.1 * s, 1 + 0.1 * s)
        mirror = uniform(-1, 1).sign()
        cos, sin = zoom * turn.cos(), zoom * turn.sin()
        rows = [
            torch.stack([mirror * cos, -sin, uniform(-0.1 * s, 0.1 * s)], 1),
            torch.stack([mirror * sin, cos, uniform(-0.1 * s, 0.1 * s)], 1),
        ]
        grid = functional.affine_grid(torch.stack(rows, 1), list(batch.shape), align_corners=False)
        batch = functional.grid_sample(batch, grid, padding_mode="border", align_corners=False)
        mean = batch.mean((1, 2, 3), keepdim=True)
        contrast, gain, strength = (
            x.view(-1, 1, 1, 1)
            for x in (uniform(1 - 0.15 * s, 1 + 0.15 * s), uniform(-12 * s, 12 * s), uniform(0, 0.15 * s))
        )
        speckle = 1 + strength * _grains(batch, generator)
        return (((batch - mean) * contrast + mean + gain) * speckle).clamp_(0, 255)


def _grains(batch: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return noise [batch, 1, s, s] of mean 0 and deviation about 1, in coarse grains of two pixels."""
    size = batch.shape[-2:]
    shape = (len(batch), 1, math.ceil(size[0] / 2), math.ceil(size[1] / 2))
    coarse = torch.randn(shape, generator=generator, device=batch.device)
    return 1.6 * functional.interpolate(coarse, size=size, mode="bilinear", align_corners=False)


class Poses(Plain):
    """Draw one of 8 poses (quarter turns, mirrored or not) for each image; ours."""

    def __call__(self, indices: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return a batch as `Plain` does."""
        return _posed(super().__call__(indices, generator), generator)


class Histology(Poses):
    """Draw one of the 8 poses, and change each channel a little, as another stain or scanner would; ours.

    A factor of 0.9 to 1.1 and a level of up to 10 of 255 are drawn uniformly for each image and channel;
    `strength` multiplies both ranges.
    """

    def __init__(
        self, images: torch.Tensor, crop: RandomCenterCropping | None = None, *, strength: float = 1.0
    ) -> None:
        super().__init__(images, crop)
        self._strength = strength

    def __call__(self, indices: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return a batch as `Plain` does."""
        batch = super().__call__(indices, generator)
        drawn = torch.rand(2, *batch.shape[:2], 1, 1, generator=generator, device=batch.device) * 2 - 1
        factor, level = drawn * self._strength
        return (batch * (1 + 0.1 * factor) + 10 * level).clamp_(0, 255)


Policy = Callable[..., Plain]  # of images and RandomCenterCropping | None; some have a strength
AUGMENTATIONS: dict[str, Policy] = {
    "none": Plain,
    "paper": Paper,
    "ultrasound": Ultrasound,
    "poses": Poses,
    "histology": Histology,
}
