"""Speed on a CUDA device: mixed precision, channels last, kernels launched, captured graphs.

The training step of ENAS-7 with 20 filters on 8 images of 3x100x100, of one network and of a search: a
supernet set to another architecture each time, gradients of all its weights kept. Graphs are captured of the
one network only: a search hardly ever runs an architecture twice. Without a CUDA device a few small steps
run on the processor, to see that they do; nothing is said about speed and nothing is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import torch
from nni.nas.oneshot.pytorch.supermodule.base import BaseSuperNetModule
from nni.nas.space import model_context
from torch import nn
from torch.nn import functional

from benchmarks.measure import Timings, median_and_range, ratio, row, save, take_turns
from benchmarks.speed.machine_limit import launches
from search_space import Architecture, EnasSpace
from search_space.cpu_layers import channels_last
from strategies import RandomSampling
from strategies.supernet.flat_parameters import gather

VARIANTS: dict[str, dict[str, bool]] = {
    "float32": {"mixed": False, "last": True},
    "NCHW": {"mixed": True, "last": False},
    "mixed": {"mixed": True, "last": True},
}
GRAPH = "graph"


@dataclass(frozen=True)
class Size:
    layout: str
    filters: int
    batch: int
    side: int
    rounds: int


FULL = Size("enas7", filters=20, batch=8, side=100, rounds=25)
SMALL = Size("enas3", filters=4, batch=2, side=16, rounds=1)  # where only whether it runs is asked


def network_step(
    size: Size, device: str, *, mixed: bool, last: bool, graph: bool = False
) -> Callable[[], None]:
    """Return the training step of one network."""
    torch.manual_seed(0)
    with model_context(Architecture.random(0).to_sample()):
        network: nn.Module = EnasSpace(size.layout, filters=size.filters, drop_path=0.0)
    network.to(device)
    if last:
        channels_last(network)
    return repeat_step(
        network, _optimizer(network), network.zero_grad, size, device, mixed=mixed, last=last, graph=graph
    )


def search_step(size: Size, device: str, *, mixed: bool, last: bool) -> Callable[[], None]:
    """Return the training step of a search."""
    supernet = RandomSampling(seed=0).mutate_model(
        EnasSpace(size.layout, filters=size.filters, drop_path=0.0)
    )
    supernet.to(device)
    if last:
        channels_last(supernet)
    optimizer = _optimizer(supernet)
    gradients = gather(optimizer)
    shared = [module for module in supernet.modules() if isinstance(module, BaseSuperNetModule)]
    samples = cycle([Architecture.random(seed).to_sample() for seed in range(10)])

    def prepare() -> None:
        sample = next(samples)
        for module in shared:
            module.resample(memo=dict(sample))
        for buffer in gradients:
            buffer.zero_()

    return repeat_step(supernet, optimizer, prepare, size, device, mixed=mixed, last=last)


def _optimizer(network: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(network.parameters(), 0.01, momentum=0.9, nesterov=True, fused=True)


def repeat_step(
    network: Any,
    optimizer: torch.optim.Optimizer,
    prepare: Callable[[], None],
    size: Size,
    device: str,
    *,
    mixed: bool,
    last: bool,
    graph: bool = False,
) -> Callable[[], None]:
    layout = torch.channels_last if last else torch.contiguous_format
    images = torch.randn(size.batch, 3, size.side, size.side, device=device).contiguous(memory_format=layout)
    labels = torch.randint(0, 2, (size.batch,), device=device)

    def precision() -> torch.autocast:  # a graph must not keep weights that were cast before it
        return torch.autocast(device, dtype=torch.bfloat16, enabled=mixed, cache_enabled=not graph)

    if graph:
        with precision():
            network = torch.cuda.make_graphed_callables(network, (images,))

    def step() -> None:
        prepare()
        with precision():
            loss = functional.cross_entropy(network(images).float(), labels)
        loss.backward()
        optimizer.step()

    return step


def measure(size: Size, device: str) -> Iterator[tuple[str, Timings, list[dict[str, Any]]]]:
    """Yield, for a network's step and a search's, its name, timings and rows."""
    for name, make in (("a network's step", network_step), ("a search's step", search_step)):
        steps = {variant: make(size, device, **how) for variant, how in VARIANTS.items()}
        if device == "cuda" and make is network_step:
            steps[GRAPH] = network_step(size, device, **VARIANTS["mixed"], graph=True)
        timings = take_turns(steps, size.rounds)
        rows = ratios(name, timings)
        if device == "cuda":
            kernels = median_and_range(launches(steps["mixed"]) for _ in range(5))
            rows.append(row(f"{name} on CUDA: kernels launched", kernels, ""))
        yield name, timings, rows


def ratios(name: str, timings: Timings) -> list[dict[str, Any]]:
    """Return the rows of a step's variants against each other."""
    rows = [
        row(f"{name} on CUDA: float32 / mixed precision", ratio(timings, "float32", "mixed"), "times"),
        row(f"{name} on CUDA: NCHW / channels last", ratio(timings, "NCHW", "mixed"), "times"),
    ]
    if GRAPH in timings:
        rows.append(row(f"{name} on CUDA: launched / a graph", ratio(timings, "mixed", GRAPH), "times"))
    return rows


def main() -> None:
    cuda = torch.cuda.is_available()
    measured = list(measure(FULL, "cuda") if cuda else measure(SMALL, "cpu"))
    rows = [line for *_, lines in measured for line in lines]
    if cuda:
        save("cuda", rows, "make bench", timings={name: timings for name, timings, _ in measured})
    else:
        print("no CUDA device: its speed is not measured; all steps but captured graphs ran on the processor")


if __name__ == "__main__":
    main()
