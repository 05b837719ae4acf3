"""The price of weight sharing: a training step of the supernet over one of the sampled network alone.

ENAS-7 with 20 filters on 8 images of 3x100x100. The plain network holds the same operations, states and
merges as the architecture sampled from the supernet; its optimiser moves only them, while ENAS's moves every
weight. The plain network's step is timed twice a round, before and after the supernet's: how far these two
differ is what the order within a round does.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.measure import Timings, ratio, row, save, take_turns, two_threads
from search_space import Architecture, EnasSpace
from search_space.cpu_layers import channels_last, keep_freed_memory
from strategies import RandomSampling
from strategies.supernet.enas_cells import SharedCell
from strategies.supernet.flat_parameters import gather

ROUNDS, SIDE, BATCH, FILTERS = 25, 100, 8, 20


class PlainCell(nn.Module):
    """What one architecture uses of a shared cell, as a module of its own."""

    def __init__(self, cell: SharedCell) -> None:
        super().__init__()
        self.reduction, self.wiring = cell.reduction, cell.wiring
        self.entries = nn.ModuleList([cell.behind_relu, cell.plain] if cell.reduction else cell.entries)
        self.operations = nn.ModuleList(
            edge[source][name]
            for edges, inputs in zip(cell.edges, cell.wiring, strict=True)
            for edge, (source, name) in zip(edges, inputs, strict=True)
        )
        used = cell.used_states()
        self.loose = [state for state in range(len(cell.wiring) + 2) if state not in used]
        filters = cell.merge.shape[1]
        self.merge = nn.Conv2d(len(self.loose) * filters, filters, 1, bias=False)
        self.norm = cell.norm

    def forward(self, s0: Tensor, s1: Tensor) -> tuple[Tensor, Tensor]:
        given = (s1, s1) if self.reduction else (s0, s1)
        states = [entry(state) for entry, state in zip(self.entries, given, strict=True)]
        carried = states[1] if self.reduction else s1
        operations = iter(self.operations)
        for (first, _), (second, _) in self.wiring:
            states.append(next(operations)(states[first]) + next(operations)(states[second]))
        joined = torch.cat([states[state] for state in self.loose], 1)
        return carried, self.norm(self.merge(functional.relu(joined)))


def networks() -> tuple[nn.Module, list[SharedCell], nn.Module]:
    supernet = RandomSampling(seed=0).mutate_model(EnasSpace("enas7", filters=FILTERS))
    shared = [cell for cell in supernet.cells if isinstance(cell, SharedCell)]
    for cell in shared:
        cell.resample(Architecture.random(0).to_sample())
    plain = deepcopy(supernet)
    plain.cells = nn.ModuleList(PlainCell(cell) for cell in plain.cells)
    for network in (supernet, plain):
        channels_last(network)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.track_running_stats = False
    return supernet, shared, plain


def main() -> None:
    two_threads()
    keep_freed_memory()
    torch.manual_seed(0)
    supernet, shared, plain = networks()
    images = torch.randn(BATCH, 3, SIDE, SIDE).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, 2, (BATCH,))
    sample = Architecture.random(0).to_sample()
    optimizers = [
        torch.optim.SGD(network.parameters(), 0.01, momentum=0.9, nesterov=True, fused=True)
        for network in (supernet, plain)
    ]
    gradients = gather(optimizers[0])

    def supernet_step() -> None:
        for cell in shared:
            cell.resample(sample)
        for piece in gradients:
            piece.zero_()
        functional.cross_entropy(supernet(images), labels).backward()
        optimizers[0].step()

    def plain_step() -> None:
        plain.zero_grad()
        functional.cross_entropy(plain(images), labels).backward()
        optimizers[1].step()

    timings = take_turns({"plain": plain_step, "supernet": supernet_step, "plain again": plain_step}, ROUNDS)
    save("weight-sharing", rows(timings), "make bench", timings=timings)


def rows(timings: Timings) -> list[dict[str, Any]]:
    price = ratio(timings, "supernet", "plain")
    return [
        row("a supernet's step / the plain network's", price, "times", "<= 1.05", price["median"] <= 1.05),
        row("the plain network's / the same again", ratio(timings, "plain", "plain again"), "times"),
    ]


if __name__ == "__main__":
    main()
