"""Distance to the machine's limit: a network's training step against a large float32 matrix product.

ENAS-7 with 20 filters on 8 images of 3x100x100, a random architecture; a step counts as three times the
multiply-adds of its forward pass. Against the least that its operations can take one by one (`roofline`) too,
with maps copied as fast as one of its first cells is. On a CUDA device also mixed precision, and the kernels
a step launches.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from nni.nas.space import model_context
from torch import nn
from torch.nn import functional

from benchmarks.measure import Timings, median_and_range, ratio, row, save, take_turns, two_threads
from benchmarks.speed.roofline import Operation, least_seconds, operations_of
from search_space import Architecture, EnasSpace, macs
from search_space.cpu_layers import channels_last, keep_freed_memory

PRODUCT, COPY = "matrix product", "copy of maps"
ROUNDS, SIDE, BATCH, FILTERS, MATRIX = 25, 100, 8, 20, 2048
MAPS = (BATCH, FILTERS, SIDE, SIDE)


def stepper(device: str, *, last: bool, mixed: bool = False) -> Callable[[], object]:
    torch.manual_seed(0)
    with model_context(Architecture.random(0).to_sample()):
        network: nn.Module = EnasSpace("enas7", filters=FILTERS, drop_path=0.0).to(device)
    layout = torch.channels_last if last else torch.contiguous_format
    images = torch.randn(BATCH, 3, SIDE, SIDE, device=device).contiguous(memory_format=layout)
    labels = torch.randint(0, 2, (BATCH,), device=device)
    if last:
        channels_last(network)
    optimizer = torch.optim.SGD(network.parameters(), 0.01, momentum=0.9, nesterov=True, fused=True)

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast(device, dtype=torch.bfloat16, enabled=mixed):
            loss = functional.cross_entropy(network(images).float(), labels)
        loss.backward()
        optimizer.step()

    return step


def launches(step: Callable[[], object]) -> int:
    """Count the kernels that a step launches on a CUDA device."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        step()
    return sum(event.count for event in profile.key_averages())


def main() -> None:
    two_threads()
    keep_freed_memory()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    matrix = torch.randn(MATRIX, MATRIX, device=device)
    maps, copied = torch.randn(2, *MAPS, device=device)
    candidates: dict[str, Callable[[], object]] = {
        PRODUCT: partial(torch.mm, matrix, matrix),
        COPY: partial(copied.copy_, maps),
        "NCHW": stepper(device, last=False),
        "channels last": stepper(device, last=True),
    }
    if device == "cuda":
        candidates["channels last, bfloat16"] = stepper(device, last=True, mixed=True)
    timings = take_turns(candidates, ROUNDS)
    work = 3 * BATCH * macs(Architecture.random(0), "enas7", FILTERS, 3, 2, SIDE)
    steps = [name for name in candidates if name not in (PRODUCT, COPY)]
    kernels = {name: launches(candidates[name]) for name in steps if device == "cuda"}
    operations = operations_of(candidates["channels last"])
    measured = rows(timings, work, kernels, operations)
    save("machine-limit", measured, "make bench", timings=timings, macs=work, operations=summed(operations))


def summed(operations: Sequence[Operation]) -> dict[str, dict[str, int]]:
    """Return how often each operation ran, and its floating-point operations and bytes in all, by name."""
    found: dict[str, dict[str, int]] = {}
    for one in operations:
        so_far = found.setdefault(one.name, {"count": 0, "flops": 0, "bytes": 0})
        for key, value in (("count", 1), ("flops", one.flops), ("bytes", one.moved)):
            so_far[key] += value
    return dict(sorted(found.items(), key=lambda item: -item[1]["bytes"]))


def rows(
    timings: Timings, work: int, kernels: Mapping[str, int], operations: Sequence[Operation]
) -> list[dict[str, Any]]:
    """Return what steps of `work` multiply-adds reach of the matrix product's rate, and their ratios.

    `operations` are those of the step with channels last.
    """
    steps = [name for name in timings if name not in (PRODUCT, COPY)]
    found = []
    for name in steps:
        shares = [
            100 * (work / step) / (MATRIX**3 / product)
            for step, product in zip(timings[name], timings[PRODUCT], strict=True)
        ]
        more = {"kernels": kernels[name]} if name in kernels else {}
        question = f"a training step's share of the matrix product's rate, {name}"
        found.append(row(question, median_and_range(shares), "%", **more))
    times = [
        step / least_seconds(operations, 2 * MATRIX**3 / product, 2 * 4 * math.prod(MAPS) / copy)
        for step, product, copy in zip(
            *(timings[name] for name in ("channels last", PRODUCT, COPY)), strict=True
        )
    ]
    question = "a training step, channels last / the least that its operations can take"
    found.append(row(question, median_and_range(times), "times"))
    for name in steps[1:]:
        gain = ratio(timings, steps[0], name)
        found.append(row(f"a training step: {steps[0]} / {name}", gain, "times", ">= 2", gain["median"] >= 2))
    return found


if __name__ == "__main__":
    main()
