"""Freezing, rates by layer, moving averages and smoothed labels, and that an interruption changes nothing."""

from __future__ import annotations

import shutil
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import timm
import torch
from torch import nn
from torch.nn import functional

from trials.data.batches import Batches
from trials.errors import SettingsError
from trials.runs.layout import CHECKPOINT
from trials.settings.load import load_settings
from trials.settings.training import RetrainSettings
from trials.training.checkpoint import resume_from
from trials.training.fine_tuning import FreezeBody, MovingAverage, classifier_of, layer_rates
from trials.training.losses import ordinal_loss
from trials.training.module import LesionModule
from trials.training.seeding import seed_everything
from trials.training.trainer import make_trainer

EPOCHS = 4


class Pretrained(nn.Module):
    """As timm's networks, it says what its classifier is."""

    def __init__(self) -> None:
        super().__init__()
        self.pretrained_cfg = {"classifier": "head"}
        self.stem, self.norm, self.head = nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3), nn.Linear(3, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.norm(self.stem(images)).abs().mean((2, 3)))
        return logits


class Killed(pl.Callback):
    """Ends a training as its second half begins."""

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.current_epoch == EPOCHS // 2:
            raise InterruptedError


class Watch(pl.Callback):
    """Keeps the weights of each epoch's end, before any average replaces them."""

    def __init__(self) -> None:
        self.seen: list[dict[str, torch.Tensor]] = []

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        network: Any = pl_module.model
        self.seen.append({name: weight.clone() for name, weight in network.state_dict().items()})


def batches(shuffle: bool = True) -> Batches:
    images = torch.randint(0, 256, (24, 1, 8, 8), generator=torch.Generator().manual_seed(5)).byte()
    labels = (torch.arange(24) % 2 == 0).long()
    return Batches(
        images, labels, batch_size=8, shuffle=shuffle, seed=1, mean=[0.4], std=[0.3], augment="none"
    )


def recipe(**changes: object) -> RetrainSettings:
    return load_settings("quick", {f"retrain.{key}": value for key, value in changes.items()}).retrain


def train(out: Path, *callbacks: pl.Callback, freeze: int = 1, decay: float = 0.5) -> Pretrained:
    out.mkdir(exist_ok=True)
    seed_everything(3)
    network, settings = Pretrained(), recipe(epochs=EPOCHS, learning_rate=0.1)
    module = LesionModule(settings, layer_decay=0.5, label_smoothing=0.1)
    module.set_model(network)
    adapted = FreezeBody(freeze, classifier_of(network)), MovingAverage(decay)
    trainer = make_trainer(settings, out / CHECKPOINT, 3, *callbacks, *adapted)
    trainer.fit(
        module,
        batches(),
        batches(shuffle=False),
        ckpt_path=resume_from(out / CHECKPOINT),
        weights_only=True,
    )
    return network


def same(one: nn.Module, other: nn.Module) -> bool:
    return all(
        torch.equal(*pair)
        for pair in zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Pretrained, Path]:
    """A training with all of it, and its folder."""
    out = tmp_path_factory.mktemp("whole")
    return train(out), out


def test_a_training_that_is_killed_and_resumed_ends_in_the_same_weights(
    whole: tuple[Pretrained, Path], tmp_path: Path
) -> None:
    with pytest.raises(InterruptedError):
        train(tmp_path, Killed())
    assert same(train(tmp_path), whole[0])


def test_a_training_that_is_killed_after_its_last_epoch_keeps_the_average(
    whole: tuple[Pretrained, Path], tmp_path: Path
) -> None:
    shutil.copyfile(whole[1] / CHECKPOINT, tmp_path / CHECKPOINT)
    assert same(train(tmp_path), whole[0])


def test_the_classifier_alone_learns_at_first(tmp_path: Path) -> None:
    seed_everything(3)
    start, watch = Pretrained().state_dict(), Watch()
    train(tmp_path, watch, freeze=2)
    for epoch, moved in enumerate(watch.seen):
        changed = {name for name, weight in moved.items() if not torch.equal(weight, start[name])}
        assert {"head.weight", "head.bias"} <= changed
        assert (changed >= {"stem.weight", "norm.running_mean"}) == (epoch >= 2)
        assert epoch >= 2 or changed == {"head.weight", "head.bias"}


def test_what_is_kept_is_the_moving_average(tmp_path: Path) -> None:
    class Steps(pl.Callback):
        average: torch.Tensor | None = None
        count = 0

        def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, *_: Any) -> None:
            weight = pl_module.model.head.weight.detach().clone()
            kept = min(0.5, (1 + self.count) / (10 + self.count))
            self.average = weight if self.average is None else kept * self.average + (1 - kept) * weight
            self.count += 1

    steps = Steps()
    network = train(tmp_path, steps)
    assert steps.average is not None and steps.count == EPOCHS * 3
    torch.testing.assert_close(network.head.weight.detach(), steps.average)
    assert int(network.norm.num_batches_tracked) == (EPOCHS - 1) * 3  # counts are not averaged


@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
def test_each_layer_has_a_share_of_the_next_ones_rate(name: str) -> None:
    network = timm.create_model(name, num_classes=2)
    groups = layer_rates(network, 0.1, 0.5)
    rates = [group["lr"] for group in groups]
    assert rates == sorted(set(rates)) and rates[-1] == 0.1
    assert all(after == pytest.approx(2 * before) for before, after in pairwise(rates))
    assert id(network.get_classifier().weight) in map(id, groups[-1]["params"])
    grouped = [id(weight) for group in groups for weight in group["params"]]
    assert sorted(grouped) == sorted(map(id, network.parameters()))


def test_networks_whose_order_is_not_known_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"retrain\.layer_decay: nothing says which layers of Linear"):
        layer_rates(nn.Linear(3, 2), 0.1, 0.5)
    with pytest.raises(SettingsError, match=r"retrain\.freeze_epochs"):
        classifier_of(nn.Linear(3, 2))


@pytest.mark.parametrize("loss", ["cross_entropy", "ordinal"])
def test_labels_are_smoothed_in_training_alone(loss: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = LesionModule(recipe(), loss=loss, label_smoothing=0.2)
    module.set_model(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)))
    monkeypatch.setattr(module, "log_dict", lambda *_, **__: None)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    monkeypatch.setattr(LesionModule, "trainer", SimpleNamespace(optimizers=[optimizer]))
    images, labels = torch.randn(6, 1, 2, 2), torch.arange(6) % 2
    logits = module(images)
    smooth = functional.cross_entropy(logits, labels, label_smoothing=0.2)
    plain = functional.cross_entropy(logits, labels)
    expected = smooth if loss == "cross_entropy" else ordinal_loss(logits, labels) - plain + smooth
    torch.testing.assert_close(module.training_step((images, labels), 0), expected)
