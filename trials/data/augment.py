"""Augmentation of training images, by policy name.

`"paper"` is that of Ahmed, Du and AlZoubi (MIDL 2020, arXiv 2005.13695): rotations by 90, 180 and 270
degrees, mirroring, and reconstruction at rank 25, 35 and 45 from the singular value decomposition. The
paper does not say how they combine; both readings here are ours: `expand` adds one version for each to the
training set (8 images of one), and `Paper` draws on the fly, for each image and epoch, one of the 8 poses
of the square and one of the 4 ranks (all included).

`"ultrasound"` is our choice of what ultrasound allows (up stays up, as shadows fall downwards): see
`Ultrasound`. `"histology"` is our choice for stained tissue, which has no up and whose colours differ from
one laboratory to the next: see `Histology`; `"poses"` are its 8 poses of the square alone.

Before any of them `RandomCenterCropping` may crop the batch. All of it is for training; in use the whole
image is seen.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn import functional

RANKS = (25, 35, 45)


def reconstruct(images: torch.Tensor, ranks: tuple[int, ...] = RANKS) -> torch.Tensor:
    """The best approximations of rank at most k: [ranks, n, channels, h, w] of [n, channels, h, w], as float.

    A channel whose shorter side is k or less is its own approximation, up to rounding.
    """
    u, s, vh = torch.linalg.svd(images.float(), full_matrices=False)
    return torch.stack([(u[..., :k] * s[..., None, :k]) @ vh[..., :k, :] for k in ranks])


def rank_versions(images: torch.Tensor, ranks: tuple[int, ...] = RANKS) -> torch.Tensor:
    """`reconstruct` as bytes: uint8 [ranks, n, channels, h, w] of uint8 [n, channels, h, w], on the CPU."""
    parts = [reconstruct(part, ranks).round_().clamp_(0, 255).byte() for part in images.cpu().split(256)]
    return torch.cat(parts, dim=1)


def rank_k(images: torch.Tensor, k: int) -> torch.Tensor:
    """uint8 [n, channels, h, w] reconstructed from its k largest singular values, rounded to bytes."""
    return rank_versions(images, (k,))[0]


def expand(images: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The paper's expanded training set: [8 n, channels, s, s] and [8 n].

    In blocks of n: as they are, turned by 90, 180 and 270 degrees, mirrored left to right, of rank 25, 35
    and 45.
    """
    turned = [torch.rot90(images, quarter, (-2, -1)) for quarter in (1, 2, 3)]
    versions = [images, *turned, images.flip(-1), *rank_versions(images)]
    return torch.cat(versions), labels.repeat(len(versions))


@dataclass(frozen=True)
class RandomCenterCropping:
    """Cuts squares of random size and position that keep the centre, at native resolution (Wang et al. 2021).

    Cancers 13(4), 661. PCam labels a patch by its central 32x32 pixels alone, hence `centre`; where it cannot
    lie exactly in the middle, it lies half a pixel up and left. The paper does not give limits: `smallest` =
    48 is ours, the largest crop is the whole image, and all sizes between are equally likely. The size is
    drawn once a batch, which is one tensor, and the position for every image: it costs nothing, and a batch
    then shows as many surroundings as images.
    """

    smallest: int = 48
    centre: int = 32

    def check(self, side: int) -> None:
        """Raise ValueError where images of `side` pixels cannot be cropped so."""
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
        """Crop [batch, channels, s, s] to one size from `smallest` to s, which `check` has seen."""
        side, device = batch.shape[-1], batch.device
        size = int(torch.randint(self.smallest, side + 1, (), generator=generator, device=device))
        start = (side - self.centre) // 2  # of the centre
        first, last = max(0, start + self.centre - size), min(start, side - size)
        corners = torch.randint(first, last + 1, (2, len(batch), 1), generator=generator, device=device)
        rows, columns = corners + torch.arange(size, device=device)  # each [batch, size]
        images, channels = (torch.arange(count, device=device).view(-1, 1, 1) for count in batch.shape[:2])
        return batch[images[:, None], channels, rows[:, None, :, None], columns[:, None, None, :]]


class Plain:
    """Images as they are. A policy holds uint8 [n, channels, s, s]; called with indices it gives a batch.

    `crop` comes first: once turned, an odd margin would have moved the centre by a pixel.
    """

    def __init__(self, images: torch.Tensor, crop: RandomCenterCropping | None = None) -> None:
        self.images, self._crop = images, crop

    def __call__(self, indices: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """float32 [batch, channels, s, s] in 0 to 255, or [.., size, size] of crops.

        On the device of `indices`, wherever the images are; whatever is random comes from `generator`.
        """
        batch = self._taken(indices, generator).to(indices.device).float()
        return self._crop(batch, generator) if self._crop else batch

    def _taken(self, indices: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return self.images[indices.to(self.images.device)]


class Paper(Plain):
    """Draws one of 8 poses (quarter turns, mirrored or not) and one of 4 ranks (25, 35, 45, all) an image.

    All versions of all images are made beforehand: four times their memory.
    """

    def __init__(self, images: torch.Tensor, crop: RandomCenterCropping | None = None) -> None:
        super().__init__(torch.cat([images[None], rank_versions(images).to(images.device)]), crop)

    def __call__(self, indices: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """As `Plain`."""
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
    """Mirrors half the images left to right, moves them a little, and changes their contrast and speckle.

    Turned up to 10 degrees, zoomed by up to 10 %, shifted by up to 5 %; contrast changed by up to 15 %,
    gain by up to 12 grey levels of 255; multiplied by speckle of deviation up to 0.15. All drawn uniformly.
    `strength` multiplies all these ranges.
    """

    def __init__(
        self, images: torch.Tensor, crop: RandomCenterCropping | None = None, *, strength: float = 1.0
    ) -> None:
        super().__init__(images, crop)
        self._strength = strength

    def __call__(self, indices: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """As `Plain`."""
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
    """Noise [batch, 1, s, s] of mean 0 and deviation about 1, in grains of two pixels, as speckle is
    coarser.
    """
    size = batch.shape[-2:]
    shape = (len(batch), 1, math.ceil(size[0] / 2), math.ceil(size[1] / 2))
    coarse = torch.randn(shape, generator=generator, device=batch.device)
    return 1.6 * functional.interpolate(coarse, size=size, mode="bilinear", align_corners=False)


class Poses(Plain):
    """Draws one of 8 poses (quarter turns, mirrored or not) an image; ours."""

    def __call__(self, indices: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """As `Plain`."""
        return _posed(super().__call__(indices, generator), generator)


class Histology(Poses):
    """Draws one of the 8 poses, and changes each channel a little, as another stain or scanner would; ours.

    By a factor of 0.9 to 1.1 and a level of up to 10 of 255, drawn uniformly for each image and channel.
    `strength` multiplies both ranges.
    """

    def __init__(
        self, images: torch.Tensor, crop: RandomCenterCropping | None = None, *, strength: float = 1.0
    ) -> None:
        super().__init__(images, crop)
        self._strength = strength

    def __call__(self, indices: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """As `Plain`."""
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
