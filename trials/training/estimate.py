"""What a run will cost, from a few timed steps of it."""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from torch import nn
from torch.nn import functional

from trials.data.batches import Batches

TIMED = 3  # repetitions; the median counts


@dataclass(frozen=True)
class Estimate:
    """Expected wall-clock seconds, and peak memory (of process and accelerator) and disk space in bytes."""

    seconds: float
    memory_bytes: int
    accelerator_bytes: int
    disk_bytes: int

    def to_dict(self) -> dict[str, float]:
        """Return the figures by name."""
        return asdict(self)


def seconds_of(step: Callable[[], object]) -> float:
    """Return how long `step` takes: the median of a few calls, after one that warms up."""
    step()
    times = []
    for _ in range(TIMED):
        start = time.perf_counter()
        step()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def training_seconds(network: nn.Module, batches: Batches) -> float:
    """Return how long a training step on a first batch takes, but for the optimiser's share."""
    images, labels = next(iter(batches))
    images = images.contiguous(memory_format=torch.channels_last)

    def step() -> None:
        network.zero_grad()
        output = network(images)
        logits = output[0] if isinstance(output, tuple) else output
        functional.cross_entropy(logits, labels).backward()

    return seconds_of(step)


def estimate(seconds: float, disk_bytes: int) -> Estimate:
    """Return the estimate of a run whose steps this process has just timed: their memory is the run's."""
    return Estimate(
        seconds=float(f"{seconds:.3g}"),
        memory_bytes=peak_memory(),
        accelerator_bytes=torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0,
        disk_bytes=disk_bytes,
    )


def peak_memory() -> int:
    """Return the most memory that this process has had, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage counts kilobytes on Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
