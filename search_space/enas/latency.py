"""The time that ENAS's final network takes for one image on this processor, from a table of its layers.

Each layer that may occur is timed once by itself, and a network takes the sum of its layers, as in FBNet (Wu
et al., CVPR 2019, arXiv 1812.03443). With a table the times of thousands of architectures take seconds, and a
saved table gives the same times again. Additions, concatenations and colder caches are not in it; `scaled` by
how much longer a few whole networks take, it covers them on average.
"""

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from search_space.enas.architecture import OPERATIONS, Architecture, CellArchitecture, Edge
from search_space.enas.cost import Layer
from search_space.enas.operations import Calibration, FactorizedReduction, Stem, operation
from search_space.progress import progress
from search_space.regular_files import read_file
from search_space.strict_json import dump_json, parse_json

WARM_UP, TIMED = (
    3,
    20,
)  # runs of a layer; the fastest counts: other work can only slow it down (as in timeit)

Walk = Callable[[Architecture], Iterable[Layer]]  # through the layers of an architecture's network


@dataclass(frozen=True)
class LatencyTable:
    """Milliseconds of each layer, with the number of threads that they were measured with."""

    milliseconds: Mapping[Layer, float]
    threads: int

    @classmethod
    def measure(cls, layers: Iterable[Layer]) -> "LatencyTable":
        """Time each of the layers on this processor, with as many threads as torch has now."""
        with torch.random.fork_rng(devices=[]):  # drawing weights must not change the caller's random numbers
            times = {
                layer: milliseconds(build(layer), layer.inputs, layer.side)
                for layer in progress(sorted(set(layers)), "layers timed")
            }
        return cls(times, torch.get_num_threads())

    def of(self, layers: Iterable[Layer]) -> float:
        """Add up the milliseconds of layers; raises KeyError for one that is not in the table."""
        return math.fsum(self.milliseconds[layer] for layer in layers)

    def scaled(self, factor: float) -> "LatencyTable":
        """Return the table with all times multiplied."""
        return LatencyTable({layer: factor * time for layer, time in self.milliseconds.items()}, self.threads)

    def to_json(self) -> str:
        """Return the table as JSON, one layer a line."""
        rows = [{**layer._asdict(), "milliseconds": time} for layer, time in self.milliseconds.items()]
        lines = ",\n".join(f"    {dump_json(row, None)}" for row in rows)
        return f'{{\n  "threads": {self.threads},\n  "layers": [\n{lines}\n  ]\n}}\n'

    @classmethod
    def load(cls, path: Path, layers: Iterable[Layer]) -> "LatencyTable":
        """Read a table of exactly these layers; raises ValueError, naming the file, for any other content."""
        try:
            content = parse_json(read_file(path))
            times = [(float(row.pop("milliseconds")), Layer(**row)) for row in content["layers"]]
            table = cls({layer: time for time, layer in times}, int(content["threads"]))
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise ValueError(f"{path}: not a table of latencies ({error!r:.80})") from None
        if table.milliseconds.keys() != set(layers) or not all(
            math.isfinite(time) and time >= 0 for time in table.milliseconds.values()
        ):
            raise ValueError(f"{path}: a table of latencies, but not one of the layers of this search")
        return table


def every_layer(walk: Walk, nodes: int) -> set[Layer]:
    """Return the layers that `walk` yields over all architectures of `nodes` nodes a cell.

    A layer depends on its operation, on whether it reads an input of the cell, and on the number of loose
    ends of the cells before, so that a few architectures together have all layers.
    """
    return {
        layer
        for name in OPERATIONS
        for ends in range(1, nodes + 2)
        for layer in walk(_of_one_operation(name, ends, nodes))
    }


def _of_one_operation(name: str, ends: int, nodes: int) -> Architecture:
    """Return an architecture of one operation whose cells have 1 to `nodes` + 1 loose ends.

    The first nodes form a chain; each of the last ones reads state 0 alone and is a further loose end.
    """
    chained = nodes + 1 - ends
    edges = [(0, 1) if state == 2 else (state - 1, state - 1) for state in range(2, chained + 2)]
    edges += [(0, 0)] * (nodes - chained)
    cell = CellArchitecture(tuple((Edge(one, name), Edge(two, name)) for one, two in edges))
    return Architecture(cell, cell)


def build(layer: Layer) -> nn.Module:
    """Return a layer with random weights."""
    kind, inputs, outputs, _, stride = layer
    if kind == "stem":
        return Stem(inputs, outputs, stride)
    if kind == "calibration":
        return Calibration(inputs, outputs)
    if kind == "reduction":
        return FactorizedReduction(inputs, outputs)
    if kind == "classifier":
        linear = nn.Linear(inputs, outputs, bias=False)
        return nn.Sequential(nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), linear)
    return operation(kind, inputs, outputs, stride)


@torch.inference_mode()
def milliseconds(network: nn.Module, channels: int, side: int) -> float:
    """Return the fastest forward pass of one image [1, channels, side, side], channels last, in ms."""
    network = network.eval().to(memory_format=torch.channels_last)
    image = torch.randn(1, channels, side, side).contiguous(memory_format=torch.channels_last)
    times = []
    for _ in range(WARM_UP + TIMED):
        start = time.perf_counter()
        network(image)
        times.append(time.perf_counter() - start)
    return 1000 * min(times[WARM_UP:])
