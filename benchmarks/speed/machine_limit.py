"""Distance to the machine's limit: a network's training step against a large float32 matrix product.

ENAS-7 with 20 filters on 8 images of 3x100x100, a random architecture; a step counts as three times the
multiply-adds of its forward pass. Against the least that its operations can take one by one (`roofline`) too,
with maps copied as fast as those of its first cells are; the same of a step of the profile `cpu`. Maps that
lie in the processor's cache give the true bound. A step's do not all fit in there: from memory they are
copied once, after other work. On a CUDA device also mixed precision, and the kernels a step launches.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from nni.nas.space import model_context
from torch import nn
from torch.nn import functional

from benchmarks.measure import Timings, median_and_range, ratio, row, save, take_turns, two_threads
from benchmarks.speed.roofline import Operation, least_seconds, operations_of
from search_space import Architecture, EnasSpace, macs
from search_space.cpu_layers import channels_last, keep_freed_memory

ROUNDS, MATRIX = 25, 2048


class Size(NamedTuple):
    """That of a network and its images."""

    filters: int
    side: int
    stem_stride: int
    batch: int

    @property
    def maps(self) -> tuple[int, ...]:
        """The shape of its first cells' maps."""
        side = self.side // self.stem_stride
        return self.batch, self.filters, side, side


LARGE, SMALL = Size(20, 100, 1, 8), Size(24, 64, 4, 16)  # as ENAS searches, and as the profile `cpu` trains
PRODUCT, LAST, PROFILE = "matrix product", "channels last", "profile cpu"
COPIES: Mapping[str, tuple[str, Size, int]] = {  # of a step's maps, so many times over
    "maps in the cache": (LAST, LARGE, 50),
    "maps from memory": (LAST, LARGE, 1),
    "maps of the profile in the cache": (PROFILE, SMALL, 50),
}


def stepper(device: str, *, last: bool, mixed: bool = False, size: Size = LARGE) -> Callable[[], object]:
    torch.manual_seed(0)
    with model_context(Architecture.random(0).to_sample()):
        made = EnasSpace(
            "enas7",
            filters=size.filters,
            drop_path=0.0,
            image_size=size.side,
            stem_stride=size.stem_stride,
        )
    network: nn.Module = made.to(device)
    layout = torch.channels_last if last else torch.contiguous_format
    images = torch.randn(size.batch, 3, size.side, size.side, device=device).contiguous(memory_format=layout)
    labels = torch.randint(0, 2, (size.batch,), device=device)
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


def copier(size: Size, times: int, device: str) -> Callable[[], object]:
    """Return what copies maps of a size so many times over."""
    maps, copied = torch.randn(2, *size.maps, device=device)

    def copy() -> None:
        for _ in range(times):
            copied.copy_(maps)

    return copy


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
    steps = {"NCHW": stepper(device, last=False), LAST: stepper(device, last=True)}
    if device == "cuda":
        steps["channels last, bfloat16"] = stepper(device, last=True, mixed=True)
    bounded = {LAST: steps[LAST], PROFILE: stepper(device, last=True, size=SMALL)}
    copies = {name: copier(size, times, device) for name, (_, size, times) in COPIES.items()}
    product = {PRODUCT: partial(torch.mm, matrix, matrix)}
    timings = take_turns(product | copies | steps | bounded, ROUNDS)
    work = 3 * LARGE.batch * macs(Architecture.random(0), "enas7", LARGE.filters, 3, 2, LARGE.side)
    kernels = {name: launches(step) for name, step in steps.items() if device == "cuda"}
    operations = {name: operations_of(step) for name, step in bounded.items()}
    shares = rows({name: timings[name] for name in (PRODUCT, *steps)}, work, kernels)
    measured = [*shares, *bounds(timings, operations)]
    told = {name: summed(found) for name, found in operations.items()}
    save("machine-limit", measured, "make bench", timings=timings, macs=work, operations=told)


def summed(operations: Sequence[Operation]) -> dict[str, dict[str, int]]:
    """Return how often each operation ran, and its floating-point operations and bytes in all, by name."""
    found: dict[str, dict[str, int]] = {}
    for one in operations:
        so_far = found.setdefault(one.name, {"count": 0, "flops": 0, "bytes": 0})
        for key, value in (("count", 1), ("flops", one.flops), ("bytes", one.moved)):
            so_far[key] += value
    return dict(sorted(found.items(), key=lambda item: -item[1]["bytes"]))


def rows(timings: Timings, work: int, kernels: Mapping[str, int]) -> list[dict[str, Any]]:
    """Return what steps of `work` multiply-adds reach of the matrix product's rate, and their ratios."""
    steps = [name for name in timings if name != PRODUCT]
    found = []
    for name in steps:
        shares = [
            100 * (work / step) / (MATRIX**3 / product)
            for step, product in zip(timings[name], timings[PRODUCT], strict=True)
        ]
        more = {"kernels": kernels[name]} if name in kernels else {}
        question = f"a training step's share of the matrix product's rate, {name}"
        found.append(row(question, median_and_range(shares), "%", **more))
    for name in steps[1:]:
        gain = ratio(timings, steps[0], name)
        found.append(row(f"a training step: {steps[0]} / {name}", gain, "times", ">= 2", gain["median"] >= 2))
    return found


def bounds(timings: Timings, operations: Mapping[str, Sequence[Operation]]) -> list[dict[str, Any]]:
    """Return how many times as long each step takes as the least that its operations can take."""
    found = []
    for copies, (name, size, count) in COPIES.items():
        moved = count * 2 * 4 * math.prod(size.maps)  # read and written, in float32
        times = [
            step / least_seconds(operations[name], 2 * MATRIX**3 / product, moved / copy)
            for step, product, copy in zip(*(timings[one] for one in (name, PRODUCT, copies)), strict=True)
        ]
        question = f"a training step, {name} / the least that its operations can take, {copies}"
        found.append(row(question, median_and_range(times), "times"))
    return found


if __name__ == "__main__":
    main()
