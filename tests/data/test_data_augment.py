from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from trials.data.augment import AUGMENTATIONS, RANKS, Paper, Ultrasound, expand, rank_k, reconstruct
from trials.data.images import to_tensor


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


def test_images_smaller_than_the_rank_stay_as_they_are(images: torch.Tensor) -> None:
    small = images[..., :20, :20]
    torch.testing.assert_close(rank_k(small, 25), small)


def test_expanded_set_is_the_papers_eight_versions(images: torch.Tensor) -> None:
    more, labels = expand(images, torch.arange(6))
    assert more.shape == (48, 1, 60, 60) and more.dtype == torch.uint8
    assert labels.tolist() == list(range(6)) * 8
    original, *turned = more[:24].split(6)
    torch.testing.assert_close(original, images)
    for quarter, version in enumerate(turned, start=1):
        np.testing.assert_array_equal(version[0, 0], np.rot90(images[0, 0], quarter))
    np.testing.assert_array_equal(more[24, 0], np.fliplr(images[0, 0]))
    for block, k in zip(more[30:].split(6), RANKS, strict=True):
        torch.testing.assert_close(block, rank_k(images, k))


def test_paper_policy_draws_all_poses_and_ranks_and_nothing_else(images: torch.Tensor) -> None:
    policy = Paper(images[:1])
    versions = [images[:1], *(rank_k(images[:1], k) for k in RANKS)]
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
def test_policies_are_driven_by_the_generator_alone(name: str, channels: int, images: torch.Tensor) -> None:
    policy = AUGMENTATIONS[name](images.expand(-1, channels, -1, -1))
    torch.manual_seed(1)
    first = batch(policy)
    assert first.shape == (6, channels, 60, 60) and first.dtype == torch.float32
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


def test_resize_is_bicubic_and_squashes_as_the_paper(picture: Callable[..., np.ndarray]) -> None:
    image = picture(1, 30, 60)
    tensor = to_tensor([image])
    assert tensor.shape == (1, 1, 100, 100) and tensor.dtype == torch.uint8
    exact = torch.nn.functional.interpolate(
        torch.tensor(image)[None, None].double(), (100, 100), mode="bicubic", antialias=True
    )
    assert (tensor.double() - exact.clamp(0, 255)).abs().max() <= 1.5


@pytest.mark.parametrize(("height", "width"), [(30, 60), (60, 30), (1, 99), (40, 40)])
def test_padding_keeps_proportions(height: int, width: int) -> None:
    tensor = to_tensor([np.full((height, width), 200, np.uint8)], side=50, fit="pad")[0, 0]
    rows, columns = (tensor.any(1).sum().item(), tensor.any(0).sum().item())
    longer = max(height, width)
    assert (rows, columns) == (max(1, round(50 * height / longer)), max(1, round(50 * width / longer)))
    empty_before = int(tensor.any(1).int().argmax()), int(tensor.any(0).int().argmax())
    assert empty_before == ((50 - rows) // 2, (50 - columns) // 2)
    assert (tensor[tensor > 0] == 200).all()


def test_colour_among_grey_makes_three_channels(picture: Callable[..., np.ndarray]) -> None:
    red = np.zeros((40, 50, 3), np.uint8)
    red[..., 0] = 255
    tensor = to_tensor([picture(1), red], side=32)
    assert tensor.shape == (2, 3, 32, 32)
    assert (tensor[0, 0] == tensor[0, 2]).all() and (tensor[1, :, 5, 5] == torch.tensor([255, 0, 0])).all()
    assert to_tensor([picture(1), red], side=32, channels=1)[1, 0, 5, 5] == 76  # 0.299 x 255


def test_unknown_fit_is_refused(picture: Callable[..., np.ndarray]) -> None:
    with pytest.raises(ValueError, match="squash, pad"):
        to_tensor([picture(1)], fit="stretch")
