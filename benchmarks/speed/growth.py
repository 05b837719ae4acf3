"""Growth: how a training step's time and memory follow its size, as exponents beside the multiply-adds' own.

One size of ENAS-7 (16 filters, 48x48, 5 nodes, batch 16) is varied at a time. An exponent is the slope of a
straight line through the logarithms; memory is what a step keeps for its backward pass, counted tensor by
tensor. Time may grow as fast as the multiply-adds, to within the 0.1 by which such slopes vary between runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from nni.nas.space import model_context
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.measure import Timings, median_and_range, row, save, take_turns, two_threads
from search_space import Architecture, EnasSpace, macs
from search_space.cpu_layers import channels_last, keep_freed_memory

ROUNDS = 7
BASE = {"filters": 16, "side": 48, "nodes": 5, "cells": 7, "batch": 16}
VARIED = {
    "filters": (8, 16, 32, 64),
    "side": (32, 48, 64, 96),
    "nodes": (3, 5, 7, 9),
    "cells": (5, 8, 11, 17),
    "batch": (8, 16, 32, 64),
}


def architecture(nodes: int) -> Architecture:
    """Chain every node to the one before by a separable convolution, so that only the number differs."""
    random = Architecture.random(0, nodes=nodes).to_sample()
    chained = {}
    for label, value in random.items():
        node, slot = map(int, label.split("_")[-2:])
        chained[label] = [node - 1 - slot] if "/input_" in label else "sep_conv_3x3"
        assert isinstance(value, list) == isinstance(chained[label], list)
    return Architecture.from_sample(chained)


def case(filters: int, side: int, nodes: int, cells: int, batch: int) -> tuple[Callable[[], Tensor], int]:
    """Return one step's loss and gradient, and the multiply-adds of its forward pass."""
    torch.manual_seed(0)
    chosen, layout = architecture(nodes), f"enas{cells}"
    with model_context(chosen.to_sample()):
        network: nn.Module = EnasSpace(layout, filters=filters, nodes=nodes, drop_path=0.0)
    channels_last(network)
    images = torch.randn(batch, 3, side, side).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, 2, (batch,))

    def loss() -> Tensor:
        return functional.cross_entropy(network(images), labels)

    return loss, batch * macs(chosen, layout, filters, 3, 2, side)


def kept_bytes(loss: Callable[[], Tensor]) -> int:
    """Count the bytes that a forward pass keeps for the backward pass, each storage once."""
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = loss()
    del result
    return sum(kept.values())


def slope(sizes: Any, values: Any) -> float:
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def exponents(
    name: str, sizes: Sequence[int], timings: Timings, macs: Sequence[int], kept: Sequence[int]
) -> dict[str, Any]:
    """Return the row of the exponents of time, multiply-adds and kept bytes, each value one of a size."""
    work = slope(sizes, macs)
    time = median_and_range(slope(sizes, turn) for turn in zip(*timings.values(), strict=True))
    question, target = f"growth with {name}: exponent of time", f"<= {work + 0.1:.2f}"
    met = time["median"] <= work + 0.1
    return row(question, time, "", target, met, macs=work, memory=slope(sizes, kept))


def main() -> None:
    two_threads()
    keep_freed_memory()
    rows, raw = [], {}
    for name, sizes in VARIED.items():
        cases = [case(**{**BASE, name: size}) for size in sizes]
        timings = take_turns(
            {
                str(size): lambda loss=loss: loss().backward()
                for size, (loss, _) in zip(sizes, cases, strict=True)
            },
            ROUNDS,
        )
        counts, kept = [count for _, count in cases], [kept_bytes(loss) for loss, _ in cases]
        rows.append(exponents(name, sizes, timings, counts, kept))
        raw[name] = {"sizes": sizes, "timings": timings}
    save("growth", rows, "make bench", raw=raw)


if __name__ == "__main__":
    main()
