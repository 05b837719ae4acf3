"""What each of our own layers for processors gains: a training step without one of them against one with all.

ENAS-7, a random architecture, three widths: of multiples of eight channels PyTorch's own loops leave no
remainder (`search_space/cpu_layers.py`). CPU seconds of one thread, so that other work on the machine counts
less. `ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2` shows what a processor without AVX-512 would do.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from nni.nas.space import model_context
from torch import nn
from torch.nn import functional

from benchmarks.measure import Timings, ratio, row, save, take_turns
from search_space import Architecture, EnasSpace
from search_space.cpu_layers import channels_last, keep_freed_memory

ROUNDS = 7
SIZES = (  # filters, side, stride of the stem, batch
    (12, 64, 4, 16),  # as the profile `cpu` searches
    (24, 64, 4, 16),  # as it trains
    (20, 100, 1, 8),  # as ENAS searches
)
LAYERS: Mapping[str, Callable[[nn.Module], bool]] = {
    "batch norm": lambda module: isinstance(module, nn.BatchNorm2d),
    "average pool": lambda module: isinstance(module, nn.AvgPool2d),
    "depthwise 5x5": lambda module: isinstance(module, nn.Conv2d),
}
ALL = "all"
LEAST = 1.05  # what gains less is not worth its code; ours


def stepper(
    filters: int, side: int, stem: int, batch: int, without: Callable[[nn.Module], bool]
) -> Callable[[], object]:
    """Return a training step of a network whose layers are PyTorch's own where `without` says so."""
    torch.manual_seed(0)
    with model_context(Architecture.random(0).to_sample()):
        network: nn.Module = EnasSpace(
            "enas7", filters=filters, drop_path=0.0, image_size=side, stem_stride=stem
        )
    channels_last(network)
    for module in filter(without, network.modules()):
        vars(module).pop("forward", None)  # ours, if it has one
    images = torch.randn(batch, 3, side, side).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, 2, (batch,))
    optimizer = torch.optim.SGD(network.parameters(), 0.01, momentum=0.9, nesterov=True, fused=True)

    def step() -> None:
        optimizer.zero_grad()
        functional.cross_entropy(network(images), labels).backward()
        optimizer.step()

    return step


def cpu_seconds(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def rows(filters: int, side: int, stem: int, batch: int, timings: Timings) -> list[dict[str, Any]]:
    """Return what each layer gains, and all of them together."""
    size = f"{filters} filters, {batch} maps of {side // stem}x{side // stem}"
    found = {name: ratio(timings, name, ALL) for name in timings if name != ALL}
    return [
        row(f"{size}: without our {name} / with all", gain, "times", f">= {LEAST}", gain["median"] >= LEAST)
        for name, gain in found.items()
    ]


def main() -> None:
    torch.set_num_threads(1)
    keep_freed_memory()
    found: list[dict[str, Any]] = []
    raw = {}
    for size in SIZES:
        candidates = {name: stepper(*size, without) for name, without in LAYERS.items()}
        candidates["layers"] = stepper(*size, lambda module: any(one(module) for one in LAYERS.values()))
        candidates[ALL] = stepper(*size, lambda module: False)
        timings = take_turns(candidates, ROUNDS, cpu_seconds)
        raw[f"{size}"] = timings
        found += rows(*size, timings)
    save("layers", found, "python -m benchmarks.speed.layers", timings=raw)


if __name__ == "__main__":
    main()
