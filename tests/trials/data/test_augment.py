"""Poses, crops and other changes of training images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from trials.data.augment import (
    AUGMENTATIONS,
    Histology,
    Paper,
    Plain,
    Poses,
    RandomCenterCropping,
    Ultrasound,
    expand,
    rank_versions,
    reconstruct,
)

SIZES = [
    (96, 64, 32),
    (96, 32, 32),
    (97, 40, 32),
    (96, 41, 31),
    (64, 64, 32),
    (33, 32, 32),
    (32, 32, 32),
    (5, 1, 1),
]


@pytest.fixture
def images() -> torch.Tensor:
    """Six noisy images [6, 1, 60, 60]."""
    return torch.randint(
        0, 256, (6, 1, 60, 60), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )


def batch(policy: object, seed: int = 0, count: int = 6) -> torch.Tensor:
    return policy(torch.arange(count), torch.Generator().manual_seed(seed))  # type: ignore[operator]


def test_rank_one_of_a_matrix_solved_by_hand() -> None:
    # Singular values 3 sqrt(5) and sqrt(5), the first with u = (1, 3) / sqrt(10) and v = (1, 1) / sqrt(2).
    matrix = torch.tensor([[[[3, 0], [4, 5]]]])
    expected = torch.tensor([[1.5, 1.5], [4.5, 4.5]])
    torch.testing.assert_close(reconstruct(matrix, (1,))[0, 0, 0], expected)
    torch.testing.assert_close(reconstruct(matrix, (2,))[0], matrix.float())


def test_error_is_that_of_the_dropped_singular_values(images: torch.Tensor) -> None:
    # Eckart and Young (1936, 10.1007/BF02288367): no matrix of rank k comes closer.
    exact = images.double()
    values = torch.linalg.svdvals(exact)
    ranks = (1, 10, 25, 35, 45, 60)
    for k, version in zip(ranks, reconstruct(images, ranks), strict=True):
        assert (torch.linalg.matrix_rank(version, rtol=1e-4) <= k).all()
        error = (version - exact).square().sum((2, 3)).sqrt()
        torch.testing.assert_close(error, values[..., k:].square().sum(-1).sqrt(), rtol=1e-3, atol=0.05)


def test_images_smaller_than_the_rank_are_unchanged(images: torch.Tensor) -> None:
    small = images[..., :20, :20]
    torch.testing.assert_close(rank_versions(small, (25,))[0], small)


def test_expanded_set_is_the_papers_eight_versions(images: torch.Tensor) -> None:
    more, labels = expand(images, torch.arange(6))
    assert more.shape == (48, 1, 60, 60) and more.dtype == torch.uint8
    assert labels.tolist() == list(range(6)) * 8
    original, *turned = more[:24].split(6)
    torch.testing.assert_close(original, images)
    for quarter, version in enumerate(turned, start=1):
        np.testing.assert_array_equal(version[0, 0], np.rot90(images[0, 0], quarter))
    np.testing.assert_array_equal(more[24, 0], np.fliplr(images[0, 0]))
    for block, version in zip(more[30:].split(6), rank_versions(images), strict=True):
        torch.testing.assert_close(block, version)


def test_paper_policy_draws_all_poses_and_ranks_and_nothing_else(images: torch.Tensor) -> None:
    policy = Paper(images[:1])
    versions = [images[:1], *rank_versions(images[:1])]
    possible = {
        torch.rot90(version.flip(-1) if mirrored else version, quarter, (-2, -1)).numpy().tobytes()
        for version in versions
        for mirrored in (False, True)
        for quarter in range(4)
    }
    indices = torch.zeros(600, dtype=torch.long)
    drawn = policy(indices, torch.Generator().manual_seed(0)).byte()
    assert len(possible) == 32 and {image[None].numpy().tobytes() for image in drawn} == possible


def test_plain_policy_changes_nothing(images: torch.Tensor) -> None:
    torch.testing.assert_close(batch(AUGMENTATIONS["none"](images)), images.float())


@pytest.mark.parametrize("name", list(AUGMENTATIONS))
@pytest.mark.parametrize("channels", [1, 3])
def test_policies_draw_only_from_the_generator(name: str, channels: int, images: torch.Tensor) -> None:
    policy = AUGMENTATIONS[name](images.repeat(1, channels, 2, 2))
    torch.manual_seed(1)
    first = batch(policy)
    assert first.shape == (6, channels, 120, 120) and first.dtype == torch.float32
    assert first.min() >= 0 and first.max() <= 255
    torch.manual_seed(9)
    torch.testing.assert_close(first, batch(policy), rtol=0, atol=0)
    assert name == "none" or not torch.equal(first, batch(policy, seed=1))


def test_ultrasound_keeps_up_and_mirrors_half() -> None:
    ramps = torch.arange(0, 240, 4).repeat(2, 1, 60, 1).byte()  # brighter to the right, and downwards
    ramps[1] = ramps[0].transpose(-1, -2)
    indices = torch.arange(2).repeat(200)
    drawn = Ultrasound(ramps)(indices, torch.Generator().manual_seed(0))
    right_minus_left = (drawn[::2, 0, :, 40:].mean((1, 2)) - drawn[::2, 0, :, :20].mean((1, 2))).sign()
    assert 70 < (right_minus_left > 0).sum() < 130
    assert (drawn[1::2, 0, 40:].mean((1, 2)) > drawn[1::2, 0, :20].mean((1, 2))).all()


def test_ultrasound_speckle_multiplies() -> None:
    flat = torch.tensor([20, 100]).byte().view(2, 1, 1, 1).expand(-1, -1, 60, 60)
    drawn = Ultrasound(flat)(torch.arange(2).repeat_interleave(300), torch.Generator().manual_seed(0))
    spread = drawn.std((1, 2, 3)) / drawn.mean((1, 2, 3))
    dark, bright = spread[:300].mean(), spread[300:].mean()
    torch.testing.assert_close(
        bright, torch.tensor(0.075), rtol=0.1, atol=0
    )  # strength is uniform in 0 to 0.15
    torch.testing.assert_close(dark, bright, rtol=0.1, atol=0)


def test_ultrasound_of_no_strength_only_mirrors(images: torch.Tensor) -> None:
    drawn = Ultrasound(images, strength=0)(torch.zeros(40, dtype=torch.long), torch.Generator())
    versions = [images[0].float(), images[0].flip(-1).float()]
    same = [[torch.allclose(image, version, atol=0.01) for version in versions] for image in drawn]
    assert all(map(any, same)) and not all(one for one, _ in same)


def test_the_strength_of_ultrasound_multiplies_its_ranges(images: torch.Tensor) -> None:
    torch.testing.assert_close(
        batch(Ultrasound(images)), batch(Ultrasound(images, strength=1.0)), rtol=0, atol=0
    )
    flat = torch.full((1, 1, 60, 60), 100).byte()

    def spreads(strength: float) -> torch.Tensor:
        """Of grey levels over images (gain), and over the pixels of each (speckle)."""
        drawn = Ultrasound(flat, strength=strength)(torch.zeros(400, dtype=torch.long), torch.Generator())
        return torch.stack([drawn.mean((1, 2, 3)).std(), drawn.std((1, 2, 3)).mean()])

    torch.testing.assert_close(spreads(2.0), 2 * spreads(1.0), rtol=0.1, atol=0)
    torch.testing.assert_close(spreads(0.5), 0.5 * spreads(1.0), rtol=0.1, atol=0)


def test_poses_are_the_eight_of_the_square_and_nothing_else(images: torch.Tensor) -> None:
    possible = {
        torch.rot90(version, quarter, (-2, -1)).numpy().tobytes()
        for version in (images[0], images[0].flip(-1))
        for quarter in range(4)
    }
    drawn = batch(Poses(images[:1].expand(200, -1, -1, -1)), count=200).byte()
    assert {image.numpy().tobytes() for image in drawn} == possible


def numbered(side: int, count: int = 3) -> torch.Tensor:
    """Images [count, 3, side, side] whose channels are the row, the column and the image of a pixel."""
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    numbers = [torch.stack([rows, columns, torch.full_like(rows, image)]) for image in range(count)]
    return torch.stack(numbers).byte()


def cropping(images: torch.Tensor, **options: int) -> Plain:
    crop = RandomCenterCropping(**options)
    crop.check(images.shape[-1])
    return Plain(images, crop)


@pytest.mark.parametrize("name", list(AUGMENTATIONS))
def test_every_policy_can_crop_first(name: str) -> None:
    policy = AUGMENTATIONS[name](numbered(96), RandomCenterCropping(smallest=40))
    sizes = {batch(policy, seed, count=3).shape[-2:] for seed in range(30)}
    assert len(sizes) > 10 and all(40 <= height == width <= 96 for height, width in sizes)


@pytest.mark.parametrize("strength", [0, 1, 2])
def test_histology_rotates_and_changes_each_channel_within_its_strength(strength: float) -> None:
    flat = torch.tensor([60, 120, 180]).byte().view(1, 3, 1, 1).expand(400, -1, 8, 8)
    drawn = batch(Histology(flat, strength=strength), count=400)
    assert (drawn == drawn[:, :, :1, :1]).all()  # no pixel differs from its neighbours
    for channel, level in enumerate((60, 120, 180)):
        change = drawn[:, channel, 0, 0] - level
        furthest = strength * (0.1 * level + 10)
        assert 0.8 * furthest <= change.abs().max() <= furthest and abs(change.mean()) <= 1.5 * strength
    if strength:
        assert torch.corrcoef(drawn[:, :, 0, 0].T).triu(1).abs().max() < 0.2
    ramp = numbered(8, 1).expand(200, -1, -1, -1)
    corners = batch(Histology(ramp, strength=strength), count=200)
    assert {bool(image[0, 0, 0] > image[0, -1, 0]) for image in corners} == {True, False}


@pytest.mark.parametrize(("side", "smallest", "centre"), SIZES)
def test_crops_are_squares_of_the_source_that_keep_its_centre(side: int, smallest: int, centre: int) -> None:
    images = numbered(side)
    policy = cropping(images, smallest=smallest, centre=centre)
    begin, end = (side - centre) // 2, (side - centre) // 2 + centre - 1  # PCam: pixels 32 to 63 of 96
    for seed in range(60):
        for number, crop in enumerate(batch(policy, seed, count=3).byte()):
            size = crop.shape[-1]
            top, left = int(crop[0, 0, 0]), int(crop[1, 0, 0])
            assert smallest <= size <= side
            assert torch.equal(crop, images[number, :, top : top + size, left : left + size])
            assert top <= begin and left <= begin
            assert top + size > end and left + size > end


def test_all_sizes_and_all_allowed_positions_are_drawn() -> None:
    policy = cropping(numbered(12), smallest=6, centre=4)  # the centre is pixels 4 to 7
    drawn: dict[int, set[tuple[int, int]]] = {}
    for seed in range(800):
        crops = batch(policy, seed, count=3)
        drawn.setdefault(crops.shape[-1], set()).update((int(c[0, 0, 0]), int(c[1, 0, 0])) for c in crops)
    firsts = {6: (2, 4), 7: (1, 4), 8: (0, 4), 9: (0, 3), 10: (0, 2), 11: (0, 1), 12: (0, 0)}  # by hand
    assert drawn == {
        size: {(y, x) for y in range(low, high + 1) for x in range(low, high + 1)}
        for size, (low, high) in firsts.items()
    }


def test_a_batch_has_one_size_and_a_position_for_every_image() -> None:
    crops = batch(cropping(numbered(96, 20), smallest=64), seed=1, count=20)
    assert len({(int(crop[0, 0, 0]), int(crop[1, 0, 0])) for crop in crops}) > 10


def test_smallest_crop_is_48_by_default() -> None:
    policy = cropping(numbered(96))
    sizes = {batch(policy, seed, count=3).shape[-1] for seed in range(400)}
    assert sizes == set(range(48, 97))


def test_cropped_and_rotated_images_keep_their_centre() -> None:
    policy = Poses(numbered(33), RandomCenterCropping(smallest=8, centre=8))  # an odd margin
    turned = 0
    for seed in range(100):
        for crop in batch(policy, seed, count=3):
            kept = set(zip(crop[0].flatten().tolist(), crop[1].flatten().tolist(), strict=True))
            assert kept >= {(row, column) for row in range(12, 20) for column in range(12, 20)}
            turned += bool(crop[0, 0, 0] > crop[0, -1, 0] or crop[0, 0, 0] == crop[0, -1, 0])
    assert 180 < turned < 270  # three in four have rows upside down or as columns


@pytest.mark.parametrize(
    ("side", "options", "message"),
    [
        (28, {}, "a centre of 32x32 pixels, and the images have 28x28: use larger images"),
        (96, {"centre": 0}, "a centre of 0x0"),
        (96, {"smallest": 31}, r"smallest crop is 31x31 .* centre of 32x32 .*\.smallest_crop from 32 to 96"),
        (40, {}, r"smallest crop is 48x48 .* images of 40x40: set data\.smallest_crop from 32 to 40"),
    ],
)
def test_impossible_crops_are_refused(side: int, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RandomCenterCropping(**options).check(side)
