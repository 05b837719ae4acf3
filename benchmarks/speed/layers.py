"""What our depthwise 5x5 convolution gains on a processor: a step with PyTorch's against one with ours.

ENAS-7, a random architecture, in three widths, and EfficientNet-Lite0 (`search_space/cpu_layers.py` says why
it is ours). CPU seconds of one thread, so that other work on the machine counts less.
`ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2` shows what a processor without AVX-512 would do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import timm
import torch
from nni.nas.space import model_context
from torch import nn
from torch.nn import functional

from benchmarks.measure import Timings, cpu_seconds, ratio, row, save, take_turns
from search_space import Architecture, EnasSpace
from search_space.cpu_layers import channels_last, keep_freed_memory

ROUNDS, LITE0 = 7, "tf_efficientnet_lite0"


def enas(filters: int, side: int, stem: int) -> nn.Module:
    """Return ENAS-7 of a random architecture."""
    with model_context(Architecture.random(0).to_sample()):
        return EnasSpace("enas7", filters=filters, drop_path=0.0, image_size=side, stem_stride=stem)


NETWORKS: Mapping[str, tuple[Callable[[], nn.Module], int, int]] = {  # and the images' side and number
    "12 filters, 16 maps of 16x16": (partial(enas, 12, 64, 4), 64, 16),  # as the profile `cpu` searches
    "24 filters, 16 maps of 16x16": (partial(enas, 24, 64, 4), 64, 16),  # as it trains
    "20 filters, 8 maps of 100x100": (partial(enas, 20, 100, 1), 100, 8),  # as ENAS searches
    "EfficientNet-Lite0, 16 images of 128x128": (partial(timm.create_model, LITE0, num_classes=2), 128, 16),
}
THEIRS, OURS = "PyTorch's", "ours"
LEAST = 1.05  # what gains less on all of them is not worth its code; ours


def stepper(build: Callable[[], nn.Module], side: int, batch: int, *, ours: bool) -> Callable[[], object]:
    """Return a training step of a network, by our layers or by PyTorch's own."""
    torch.manual_seed(0)
    network = build()
    channels_last(network)
    for module in [] if ours else network.modules():
        vars(module).pop("forward", None)
    images = torch.randn(batch, 3, side, side).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, 2, (batch,))
    optimizer = torch.optim.SGD(network.parameters(), 0.01, momentum=0.9, nesterov=True, fused=True)

    def step() -> None:
        optimizer.zero_grad()
        functional.cross_entropy(network(images), labels).backward()
        optimizer.step()

    return step


def rows(timings: Mapping[str, Timings]) -> list[dict[str, Any]]:
    """Return what the layer gains on each network."""
    found = []
    for network, taken in timings.items():
        gain = ratio(taken, THEIRS, OURS)
        question = f"{network}: PyTorch's depthwise 5x5 / ours"
        found.append(row(question, gain, "times", f">= {LEAST}", gain["median"] >= LEAST))
    return found


def main() -> None:
    torch.set_num_threads(1)
    keep_freed_memory()
    timings = {}
    for name, network in NETWORKS.items():
        candidates = {THEIRS: stepper(*network, ours=False), OURS: stepper(*network, ours=True)}
        timings[name] = take_turns(candidates, ROUNDS, cpu_seconds)
    save("layers", rows(timings), "python -m benchmarks.speed.layers", timings=timings)


if __name__ == "__main__":
    main()
