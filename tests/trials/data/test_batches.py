from __future__ import annotations

import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from trials.data.augment import RandomCenterCropping
from trials.data.batches import Batches, standardisation, standardise_each


def make(count: int = 20, malignant: int = 5, side: int = 32, **options: object) -> Batches:
    """Batches of flat images, of which image i is i grey levels bright, so that pixels tell the image."""
    images = torch.arange(count).byte().view(-1, 1, 1, 1).repeat(1, 1, side, side)
    labels = (torch.arange(count) < malignant).long()
    settings = dict(batch_size=4, shuffle=True, seed=0, mean=(0.0,), std=(1 / 255,), channels=1)
    return Batches(images, labels, **(settings | options))  # type: ignore[arg-type]


def drawn(batches: Batches) -> list[int]:
    """The images of one epoch in their order."""
    return [round(value) for images, _ in batches for value in images[:, 0, 0, 0].tolist()]


def test_every_image_comes_once_an_epoch_with_its_label() -> None:
    batches = make()
    assert sorted(drawn(batches)) == list(range(20)) and drawn(batches) != list(range(20))
    for images, labels in batches:
        assert images.dtype == torch.float32 and labels.dtype == torch.int64
        assert ((images[:, 0, 0, 0] < 4.5) == (labels == 1)).all()


@pytest.mark.parametrize("augment", ["none", "paper", "ultrasound"])
def test_an_epoch_depends_only_on_seed_and_epoch(augment: str) -> None:
    resumed, whole, other = make(augment=augment), make(augment=augment), make(augment=augment, seed=1)
    epochs = []
    for epoch in range(3):
        whole.set_epoch(epoch)
        epochs.append(list(whole))
    torch.manual_seed(5)
    resumed.set_epoch(2)
    other.set_epoch(2)
    for (first, labels), (again, same_labels) in zip(epochs[2], resumed, strict=True):
        assert torch.equal(first, again) and torch.equal(labels, same_labels)
    assert drawn(resumed) != drawn(other)
    assert not torch.equal(epochs[1][0][0], epochs[2][0][0])


def test_crops_change_size_from_batch_to_batch_and_repeat_with_the_epoch() -> None:
    def epoch() -> list[torch.Tensor]:
        return [images for images, _ in make(40, side=96, crop=RandomCenterCropping())]

    first, again = epoch(), epoch()
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
    assert len({images.shape for images in first}) > 3
    assert sorted(round(value) for images in first for value in images[:, 0, 0, 0].tolist()) == [*range(40)]


def test_evaluation_draws_no_crop() -> None:
    assert all(images.shape[2:] == (96, 96) for images, _ in make(side=96, shuffle=False))


@pytest.mark.parametrize(
    ("count", "shuffle", "lengths"),
    [
        (9, True, [4, 4]),
        (9, False, [4, 4, 1]),
        (10, True, [4, 4, 2]),
        (8, True, [4, 4]),
        (1, True, [1]),
    ],
)
def test_only_a_training_batch_of_one_is_dropped(count: int, shuffle: bool, lengths: list[int]) -> None:
    batches = make(count, shuffle=shuffle)
    assert [len(labels) for _, labels in batches] == lengths
    assert len(batches) == len(lengths)


def test_evaluation_keeps_the_order_given() -> None:
    assert drawn(make(shuffle=False, indices=[7, 3, 11])) == [7, 3, 11]


def test_training_sees_only_its_indices() -> None:
    assert set(drawn(make(indices=torch.tensor([1, 2, 3, 8, 9])))) <= {1, 2, 3, 8, 9}


def test_balanced_epochs_draw_classes_equally_and_use_every_image() -> None:
    batches = make(20, malignant=5, balanced=True)
    seen = drawn(batches)
    assert len(seen) == 20 and sum(image < 5 for image in seen) == 10
    assert {image for image in seen if image < 5} == set(range(5))
    later = []
    for epoch in range(8):
        batches.set_epoch(epoch)
        later += drawn(batches)
    assert set(later) == set(range(20))


def test_an_epoch_that_is_a_part_of_the_images_draws_from_all_of_them() -> None:
    batches = make(20, parts=3)
    epochs = []
    for epoch in range(12):
        batches.set_epoch(epoch)
        epochs.append(drawn(batches))
    assert len(batches) == 2 and all(len(set(one)) == 8 for one in epochs)
    assert epochs[0] != epochs[1] and {image for one in epochs for image in one} == set(range(20))


def test_pixels_are_standardised_by_the_training_images() -> None:
    images = torch.randint(
        0, 256, (50, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    mean, std = standardisation(images)
    exact = images.double() / 255
    torch.testing.assert_close(torch.tensor(mean), exact.mean((0, 2, 3)).float())
    torch.testing.assert_close(torch.tensor(std), exact.std((0, 2, 3), correction=0).float())
    batches = Batches(images, torch.zeros(50), batch_size=50, shuffle=False, seed=0, mean=mean, std=std)
    pixels = next(iter(batches))[0]
    torch.testing.assert_close(pixels.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(pixels.std((0, 2, 3), correction=0), torch.ones(3))


def test_standardising_each_image_removes_its_gain() -> None:
    images, labels = torch.randint(60, 120, (6, 1, 16, 16), dtype=torch.uint8), torch.zeros(6)
    settings = {"batch_size": 6, "shuffle": False, "seed": 0, "mean": (0.4,), "std": (0.2,)}
    one, brighter = (
        next(iter(Batches(recorded, labels, per_image=True, **settings)))[0]  # type: ignore[arg-type]
        for recorded in (images, images + 100)
    )
    torch.testing.assert_close(one, brighter)
    torch.testing.assert_close(one.mean((1, 2, 3)), torch.zeros(6), atol=1e-5, rtol=0)
    assert (one.std((1, 2, 3)) > 0.7).all()
    louder = next(iter(Batches(2 * images, labels, per_image=True, **settings)))[0]  # type: ignore[arg-type]
    torch.testing.assert_close(one / one.std(), louder / louder.std(), atol=0.02, rtol=0.02)


def test_flat_images_do_not_divide_by_zero() -> None:
    assert standardisation(torch.full((2, 1, 4, 4), 51, dtype=torch.uint8)) == ((0.2,), (1 / 255,))


def test_grey_becomes_three_equal_channels() -> None:
    for (grey, _), (tripled, _) in zip(make(), make(channels=3), strict=True):
        assert tripled.shape == (4, 3, 32, 32)
        assert all(torch.equal(tripled[:, [channel]], grey) for channel in range(3))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"augment": "papre"}, "papre"),
        ({"balanced": True, "shuffle": False}, "shuffle"),
        ({"indices": []}, "no images"),
    ],
)
def test_impossible_batches_are_refused(options: dict[str, object], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        make(**options)


def test_colour_images_are_not_passed_off_as_grey() -> None:
    images, labels = torch.zeros(4, 3, 8, 8, dtype=torch.uint8), torch.zeros(4)
    with pytest.raises(ValueError, match="to_tensor"):
        Batches(images, labels, batch_size=2, shuffle=True, seed=0, mean=(0.0,), std=(1.0,), channels=1)


class Recorder(pl.LightningModule):
    """Learns nothing; keeps the images of each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)
        self.epochs: dict[int, list[int]] = {}
        self.validated = 0

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], _: int) -> torch.Tensor:
        shown = [round(value) for value in batch[0][:, 0, 0, 0].tolist()]
        self.epochs.setdefault(self.current_epoch, []).extend(shown)
        return self.layer(torch.ones(1, 1)).sum()

    def validation_step(self, batch: tuple[torch.Tensor, torch.Tensor], _: int) -> None:
        self.validated += len(batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.01)


def test_lightning_trains_on_batches_and_counts_their_epochs() -> None:
    module, training = Recorder(), make()
    trainer = pl.Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(module, train_dataloaders=training, val_dataloaders=make(shuffle=False))
    assert module.validated == 40
    for epoch in range(2):
        training.set_epoch(epoch)
        assert module.epochs[epoch] == drawn(training)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("augment", ["none", "paper", "ultrasound"])
def test_batches_stay_on_the_cuda_device_and_repeat(augment: str) -> None:
    batches = make(augment=augment, device="cuda", balanced=True)
    first, again = list(batches), list(batches)
    for (images, labels), (same, _) in zip(first, again, strict=True):
        assert images.is_cuda and labels.is_cuda and torch.equal(images, same)


@pytest.mark.parametrize("level", [-1.2345678, 0.1, 3.3])
def test_standardising_a_flat_image_by_itself_gives_exactly_zero(level: float) -> None:
    assert not standardise_each(torch.full((2, 3, 97, 97), level)).any()
