"""Retraining against a plain PyTorch loop: three epochs over the same images with the same network.

The plain loop is what most people write: Pillow decodes each image, torchvision transforms it, a DataLoader
(with no worker and with two; the faster counts) makes batches, the network runs in torch's default layout.
Ours is what `lesion-nas retrain` runs: Lightning, metrics, checkpoints, its allocator. Each is a process.
400 synthetic lesions of 128x128 pixels; ENAS-7, its size, its optimiser and its batches are those of the
profile `cpu`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from benchmarks.measure import Timings, in_a_process, median_and_range, row, save, seconds, two_threads
from search_space import Architecture
from trials.data.dataset import LesionData
from trials.data.inputs import Inputs
from trials.data.load import load
from trials.data.phantoms import make_phantoms
from trials.models.specs import CellNetwork, Shape
from trials.models.zoo import build
from trials.nni_host.allocator import with_mimalloc
from trials.runs.layout import CHECKPOINT
from trials.settings.load import load_settings
from trials.settings.training import RetrainSettings
from trials.training.module import LesionModule
from trials.training.trainer import make_trainer

ROUNDS, IMAGES, EPOCHS = 5, 400, 3
SIDES: Mapping[str, Mapping[str, str]] = {  # and their processes' variables
    "ours": with_mimalloc(),
    "plain, 0 workers": {},
    "plain, 2 workers": {},
}


class Files(Dataset[tuple[Tensor, int]]):
    """Image files, decoded and transformed when they are asked for."""

    def __init__(self, data: LesionData, side: int) -> None:
        self.data = data
        self.transform = transforms.Compose(
            [
                transforms.Resize((side, side), transforms.InterpolationMode.BICUBIC),
                transforms.RandomHorizontalFlip(),
                transforms.RandomAffine(10, translate=(0.05, 0.05), scale=(0.9, 1.1)),
                transforms.ColorJitter(brightness=0.05, contrast=0.15),
                transforms.ToTensor(),
                transforms.Normalize([0.5] * 3, [0.25] * 3),
            ]
        )

    def __len__(self) -> int:
        return len(self.data.files)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = Image.open(self.data.root / self.data.files[index]).convert("RGB")
        return self.transform(image), int(self.data.labels[index])


def network(options: RetrainSettings, side: int) -> nn.Module:
    torch.manual_seed(0)
    cells = CellNetwork(
        architecture=Architecture.random(0).to_sample(),
        layout="enas7",
        filters=options.filters,
        stem_stride=options.stem_stride,
    )
    return build(cells, Shape(channels=3, classes=2, side=side), options)


def plain_epochs(
    loader: DataLoader[tuple[Tensor, int]], model: nn.Module, optimizer: torch.optim.Optimizer
) -> None:
    model.train()
    for _ in range(EPOCHS):
        for images, labels in loader:
            optimizer.zero_grad()
            functional.cross_entropy(model(images), labels).backward()
            optimizer.step()


@contextmanager
def candidates(workers: Iterable[int]) -> Iterator[dict[str, Callable[[], object]]]:
    """Yield `ours` and a plain loop for each number of workers, each ready to run its three epochs."""
    with tempfile.TemporaryDirectory() as folder:
        make_phantoms(Path(folder) / "data", count=IMAGES, side=128)
        data = load(Path(folder) / "data")
        settings = load_settings("cpu", {"retrain.epochs": EPOCHS})
        options, side = settings.retrain, settings.data.image_size
        inputs = Inputs(data, settings.data, np.arange(len(data.files)))
        batches = inputs.training(options.batch_size, seed=0)
        ours = network(options, side)

        def our_epochs() -> None:
            module = LesionModule(options)
            module.set_model(ours)
            make_trainer(options, Path(folder, CHECKPOINT), 0).fit(module, batches)

        runs: dict[str, Callable[[], object]] = {"ours": our_epochs}
        for count in workers:
            model = network(options, side)
            optimizer = torch.optim.AdamW(
                model.parameters(), options.learning_rate, weight_decay=options.weight_decay
            )
            loader = DataLoader(Files(data, side), options.batch_size, shuffle=True, num_workers=count)
            runs[f"plain, {count} workers"] = partial(plain_epochs, loader, model, optimizer)
        yield runs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", choices=SIDES, help="time this side in this process, and print JSON")
    two_threads()
    if name := parser.parse_args().one:
        with candidates(workers=(0, 2)) as runs:
            runs[name]()  # does not count
            print(json.dumps(seconds(runs[name]), allow_nan=False))
        return
    timings: dict[str, list[float]] = {side: [] for side in SIDES}
    for _ in range(ROUNDS):
        for side, variables in SIDES.items():
            timings[side].append(in_a_process(__spec__.name, side, variables))
    save("retraining", rows(timings), "make bench", timings=timings)


def rows(timings: Timings) -> list[dict[str, Any]]:
    """Return ours against the faster of the plain loops in each round, and ours in images a second."""
    best = [min(pair) for pair in zip(timings["plain, 0 workers"], timings["plain, 2 workers"], strict=True)]
    gain = median_and_range(plain / own for plain, own in zip(best, timings["ours"], strict=True))
    speed = median_and_range(EPOCHS * IMAGES / taken for taken in timings["ours"])
    return [
        row("retraining, images a second: ours / plain PyTorch", gain, "times", ">= 2", gain["median"] >= 2),
        row("retraining, ours", speed, "images/s"),
    ]


if __name__ == "__main__":
    main()
