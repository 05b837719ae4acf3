"""Small spaces, small data and one way to run a search on them, in seconds."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nni
import pytorch_lightning as pl
import torch
from nni.nas.evaluator.pytorch import Classification, DataLoader
from nni.nas.evaluator.pytorch.lightning import ClassificationModule
from nni.nas.hub.pytorch import DARTS as HubDarts
from nni.nas.hub.pytorch import ENAS as HubEnas
from nni.nas.nn.pytorch import InputChoice, LayerChoice, ModelSpace
from nni.nas.space import RawFormatModelSpace
from nni.runtime.trial_command_channel import (
    TrialCommandChannel,
    get_default_trial_command_channel,
    set_default_trial_command_channel,
)
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from search_space import EnasSpace
from strategies.base import WeightSharingStrategy
from strategies.nni_trial import InProcessEngine


class UserSpace(ModelSpace):
    """A space as a user would write it: layers, inputs of each kind, batch norm and dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.first = LayerChoice([nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(3, 4, 1)], label="first")
        self.second = LayerChoice({"conv": nn.Conv2d(4, 4, 1), "same": nn.Identity()}, label="second")
        self.one = InputChoice(2, n_chosen=1, label="one")
        self.two = InputChoice(3, n_chosen=2, label="two")
        self.some = InputChoice(3, n_chosen=None, label="some")
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(4, 2))

    def forward(self, images: Tensor) -> Tensor:
        """Map images [b, 3, h, w] to logits [b, 2]."""
        a = self.first(images)
        b = self.second(a)
        c = self.one([a, b])
        d = self.two([a, b, c]) + self.some([a, b, c])
        logits: Tensor = self.head(self.norm(d).mean((2, 3)))
        return logits


USER_SAMPLE = {"first": 0, "second": "conv", "one": [0], "two": [0, 1], "some": [2]}
"""One architecture of `UserSpace`."""

SPACES: dict[str, tuple[Callable[[], ModelSpace], int]] = {
    "own": (lambda: EnasSpace("enas3", filters=4, nodes=2), 2),
    "user": (UserSpace, 2),
    "hub_enas": (lambda: HubEnas(width=(4, 8), num_cells=(3, 6), dataset="cifar"), 10),
    "hub_darts": (lambda: HubDarts(width=4, num_cells=3, dataset="cifar"), 10),
}
"""Spaces by name, each with its number of classes."""


def small_data(count: int = 32, side: int = 12) -> TensorDataset:
    """Return images [count, 3, side, side] whose class is the sign of their mean."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % 2
    images = torch.randn(count, 3, side, side, generator=generator) + (labels - 0.5)[:, None, None, None]
    return TensorDataset(images, labels)


class GuardedData(pl.LightningDataModule):
    """A data module whose test images must never be asked for; it counts what is."""

    def __init__(self) -> None:
        super().__init__()
        self.trained = self.validated = 0

    def train_dataloader(self) -> DataLoader:
        """Return 32 training images."""
        self.trained += 1
        return DataLoader(small_data(), batch_size=8, shuffle=True)

    def val_dataloader(self) -> DataLoader:
        """Return 20 validation images."""
        self.validated += 1
        return DataLoader(small_data(20), batch_size=8)

    def test_dataloader(self) -> DataLoader:
        """Raise AssertionError."""
        raise AssertionError("the search asked for test data")


def evaluator(
    classes: int = 2, epochs: int = 2, checkpoints: Path | None = None, shuffle: bool = True, **options: Any
) -> Classification:
    """Return NNI's own classification evaluator, quiet; `shuffle` is about its 20 validation images."""
    callbacks = (
        [ModelCheckpoint(checkpoints, save_last=True, save_on_train_epoch_end=True)] if checkpoints else []
    )
    return Classification(
        num_classes=classes,
        optimizer=torch.optim.SGD,
        learning_rate=0.05,
        train_dataloaders=DataLoader(small_data(), batch_size=8, shuffle=True),
        val_dataloaders=DataLoader(small_data(20), batch_size=8, shuffle=shuffle),
        max_epochs=epochs,
        accelerator="cpu",
        callbacks=callbacks,
        logger=False,
        enable_checkpointing=bool(callbacks),
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )


class Channel(TrialCommandChannel):
    """The channel of a trial, which remembers what it has been sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Any]] = []

    def receive_parameter(self) -> Any:
        """Return parameters of any kind."""
        return {"parameter_id": 0, "parameters": {"any": 1}}

    def send_metric(self, type: str, value: Any, **where: Any) -> None:
        """Remember a result."""
        self.sent.append((type, value))


@contextmanager
def trial_channel() -> Iterator[Channel]:
    """Let this process talk to a channel that remembers, as if it were a trial of NNI's."""
    before, channel = get_default_trial_command_channel(), Channel()
    set_default_trial_command_channel(channel)
    yield channel
    set_default_trial_command_channel(before)


class TwoMetrics(ClassificationModule):
    """Reports, as NNI's evaluators of several metrics do, a dict without `default`; each epoch as well."""

    def __init__(self) -> None:
        super().__init__(num_classes=2)
        self.metrics["again"] = self.metrics["acc"]

    def on_train_epoch_end(self) -> None:
        """Report."""
        nni.report_intermediate_result(self._get_result_for_report())


def run(
    strategy: WeightSharingStrategy, given: Any, space: ModelSpace | None = None
) -> WeightSharingStrategy:
    """Run a search with this evaluator in this process, by default in a small space of ENAS's cells."""
    torch.manual_seed(0)
    strategy(RawFormatModelSpace(SPACES["own"][0]() if space is None else space, given), InProcessEngine())
    return strategy


def search(
    strategy: WeightSharingStrategy, space: str = "own", resume: Path | None = None, **options: Any
) -> WeightSharingStrategy:
    """Run a whole search in one of `SPACES`; `options` are those of `evaluator`."""
    torch.manual_seed(0)
    make, classes = SPACES[space]
    given = evaluator(classes, **options)
    if resume:
        given.fit_kwargs["ckpt_path"] = str(resume)
    strategy(RawFormatModelSpace(make(), given), InProcessEngine())
    return strategy


def ranking(strategy: WeightSharingStrategy) -> list[tuple[str, float]]:
    """Return the architectures of a finished search as JSON, with their scores, best first."""
    return [(json.dumps(one.sample, sort_keys=True), one.score) for one in strategy.candidates]
