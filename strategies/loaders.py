"""Batches of a search, and the seeds of its epochs.

All randomness of an epoch follows from (seed, epoch), so that a search resumed from a checkpoint draws what
an uninterrupted one would have drawn.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import islice, repeat
from typing import Any

import numpy as np
import torch

TRAINING, LEARNING, RANKING = range(3)  # streams of random numbers of one epoch


def derived_seed(seed: int, epoch: int, stream: int) -> int:
    """Return the seed of one stream of one epoch."""
    return int(np.random.SeedSequence([seed, epoch, stream]).generate_state(1)[0])


def generator(seed: int, epoch: int, stream: int) -> torch.Generator:
    """Return a generator of random numbers for one stream of one epoch."""
    return torch.Generator().manual_seed(derived_seed(seed, epoch, stream))


def seed_globally(seed: int) -> None:
    """Seed the generators of Python, NumPy and PyTorch."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


class SeededEpochs:
    """A loader of training batches that seeds every global generator by (seed, epoch) before each epoch.

    It seeds when the first batch is asked for: Lightning creates iterators at other moments when it resumes
    than when it starts.
    """

    def __init__(self, loader: Any, seed: int, epoch: Callable[[], int]) -> None:
        self.loader, self.seed, self.epoch = loader, seed, epoch

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        seed_globally(derived_seed(self.seed, self.epoch(), TRAINING))
        _set_epoch(self.loader, self.epoch())
        yield from self.loader


def first_batches(loader: Any, count: int | None = None) -> Iterator[Any]:
    """Yield the first `count` batches of a loader's epoch 0; all of them by default."""
    _set_epoch(loader, 0)
    yield from islice(loader, count)


def endless_batches(loader: Any, epoch: int) -> Iterator[Any]:
    """Yield batches without end; a loader that shuffles does so anew in each pass over its data."""
    turn = 0
    while True:
        _set_epoch(loader, (epoch << 16) + turn)
        yield from loader
        turn += 1


def reward_batches(loader: Any, epoch: int, count: int, times: int) -> Iterator[list[Any]]:
    """Yield lists of `count` batches without end, each list `times` times before the next."""
    batches = endless_batches(loader, epoch)
    while True:
        yield from repeat(list(islice(batches, count)), times)


def _set_epoch(loader: Any, epoch: int) -> None:
    if hasattr(loader, "set_epoch"):
        loader.set_epoch(epoch)
