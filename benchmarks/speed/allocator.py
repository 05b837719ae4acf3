"""What mimalloc gains in training: steps by glibc's allocator against steps by mimalloc.

An allocator is a process's, so that each figure is of a process of its own, all taking turns: a search, whose
architecture changes at every step, and a retraining, at the size of the profile `cpu`, and a search at ENAS's
size. CPU seconds of one thread, so that other work on the machine counts less. Neither allocator gives memory
back to the system (`search_space.cpu_layers.keep_freed_memory`, `trials/nni_host/allocator.py`).
"""

from __future__ import annotations

import argparse
import json
import resource
from collections.abc import Callable, Mapping
from typing import Any

import torch
from nni.nas.oneshot.pytorch.supermodule.base import BaseSuperNetModule
from nni.nas.space import model_context
from torch.nn import functional

from benchmarks.measure import cpu_seconds, in_a_process, ratio, row, save
from search_space import Architecture, EnasSpace
from search_space.cpu_layers import channels_last, keep_freed_memory
from strategies import RandomSampling
from trials.nni_host.allocator import with_mimalloc

ROUNDS, WARM_UP = 5, 10
SIZES: Mapping[str, tuple[bool, int, int, int, int, int]] = {
    # whether it is a search; filters, side and stride of the stem, images a step, steps
    "a search, profile cpu": (True, 12, 64, 4, 16, 100),
    "a retraining, profile cpu": (False, 24, 64, 4, 16, 60),
    "a search, ENAS's size": (True, 20, 100, 1, 8, 10),
}
GLIBC, MIMALLOC = "glibc's allocator", "mimalloc"
SIDES: Mapping[str, Mapping[str, str]] = {GLIBC: {}, MIMALLOC: with_mimalloc()}


def one(name: str) -> dict[str, float]:
    """Return the CPU seconds of the steps of one size, in this process, and its peak memory in MB."""
    torch.set_num_threads(1)
    keep_freed_memory()
    search, filters, side, stem, batch, steps = SIZES[name]
    step = stepper(search, filters, side, stem, batch)
    for _ in range(WARM_UP):
        step()
    taken = cpu_seconds(lambda: [step() for _ in range(steps)])
    return {"seconds": taken, "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000}


def stepper(search: bool, filters: int, side: int, stem: int, batch: int) -> Callable[[], object]:
    """Return a training step of ENAS-7: of a supernet, whose architecture changes, or of one architecture."""
    torch.manual_seed(0)
    drawn = iter(range(10**6))
    size: dict[str, Any] = {"filters": filters, "image_size": side, "stem_stride": stem, "drop_path": 0.0}
    if search:
        network = RandomSampling(seed=0).mutate_model(EnasSpace("enas7", **size))
    else:
        with model_context(Architecture.random(0).to_sample()):
            network = EnasSpace("enas7", **size)
    channels_last(network)
    optimizer = torch.optim.SGD(network.parameters(), 0.01, momentum=0.9, nesterov=True)
    images = torch.randn(batch, 3, side, side).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, 2, (batch,))

    def step() -> None:
        if search:
            sample = Architecture.random(next(drawn)).to_sample()
            for module in network.modules():
                if isinstance(module, BaseSuperNetModule):
                    module.resample(memo=sample)
        optimizer.zero_grad()
        functional.cross_entropy(network(images), labels).backward()
        optimizer.step()

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", choices=SIZES, help="measure this one in this process, and print JSON")
    if name := parser.parse_args().one:
        print(json.dumps(one(name), allow_nan=False))
        return

    rows, all_runs = [], {}
    for name in SIZES:
        runs: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
        for _ in range(ROUNDS):
            for side, variables in SIDES.items():
                runs[side].append(in_a_process(__spec__.name, name, variables))
        gain, memory = (
            {side: [run[figure] for run in each] for side, each in runs.items()}
            for figure in ("seconds", "megabytes")
        )
        faster, larger = ratio(gain, GLIBC, MIMALLOC), ratio(memory, MIMALLOC, GLIBC)
        rows.append(
            row(f"{name}: {GLIBC} / {MIMALLOC}", faster, "times", ">= 1.05", faster["median"] >= 1.05)
        )
        rows.append(row(f"{name}, peak memory: {MIMALLOC} / {GLIBC}", larger, "times"))
        all_runs[name] = runs
    save("allocator", rows, "python -m benchmarks.speed.allocator", runs=all_runs)


if __name__ == "__main__":
    main()
