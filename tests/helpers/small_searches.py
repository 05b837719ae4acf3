"""Small spaces, small data and one way to run a search on them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from nni.nas.evaluator.pytorch import Classification, DataLoader
from nni.nas.hub.pytorch import DARTS as HubDarts
from nni.nas.hub.pytorch import ENAS as HubEnas
from nni.nas.nn.pytorch import InputChoice, LayerChoice, ModelSpace
from nni.nas.space import RawFormatModelSpace
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from search_space import EnasSpace
from strategies import ENAS, RandomSampling
from strategies.base import InProcessEngine, WeightSharingStrategy


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
        a = self.first(images)
        b = self.second(a)
        c = self.one([a, b])
        d = self.two([a, b, c]) + self.some([a, b, c])
        return self.head(self.norm(d).mean((2, 3)))


SPACES: dict[str, tuple[Callable[[], ModelSpace], int]] = {
    "own": (lambda: EnasSpace("enas3", filters=4, nodes=2), 2),
    "user": (UserSpace, 2),
    "hub_enas": (lambda: HubEnas(width=(4, 8), num_cells=(3, 6), dataset="cifar"), 10),
    "hub_darts": (lambda: HubDarts(width=4, num_cells=3, dataset="cifar"), 10),
}

SEARCHES: dict[str, Callable[..., WeightSharingStrategy]] = {
    "enas": lambda **options: ENAS(controller_updates=2, controller_samples=3, **_SMALL | options),
    "random": lambda **options: RandomSampling(observations=3, **_SMALL | options),
}
_SMALL: dict[str, Any] = {"reward_metric_name": "val_acc", "final_samples": 5, "seed": 3}


def small_data(count: int = 32, side: int = 12) -> TensorDataset:
    """Images whose class is the sign of their mean."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % 2
    images = torch.randn(count, 3, side, side, generator=generator) + (labels - 0.5)[:, None, None, None]
    return TensorDataset(images, labels)


def evaluator(
    classes: int = 2, epochs: int = 2, checkpoints: Path | None = None, shuffle: bool = True, **options: Any
) -> Classification:
    """NNI's own classification evaluator, quiet; `shuffle` is about its 20 validation images."""
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


class Reports:
    """A reporter that remembers."""

    def __init__(self) -> None:
        self.epochs: list[dict[str, float]] = []
        self.finals: list[dict[str, float]] = []

    def epoch(self, epoch: int, metrics: dict[str, float]) -> None:
        assert epoch == len(self.epochs)
        self.epochs.append(dict(metrics))

    def final(self, metrics: dict[str, float]) -> None:
        self.finals.append(dict(metrics))


def search(
    strategy: WeightSharingStrategy, space: str = "own", resume: Path | None = None, **options: Any
) -> WeightSharingStrategy:
    """Run a whole search in this process and return its strategy."""
    torch.manual_seed(0)
    make, classes = SPACES[space]
    given = evaluator(classes, **options)
    if resume:
        given.fit_kwargs["ckpt_path"] = str(resume)
    strategy(RawFormatModelSpace(make(), given), InProcessEngine())
    return strategy
