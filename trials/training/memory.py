"""What an accelerator's memory has room for: advice for a training that has run out of it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from trials.settings.search import SearchSettings
from trials.settings.training import TrainingSettings

SPARE = 0.1  # share of the memory that is lost between blocks; ours


def suggest_batch_size(settings: TrainingSettings, network: nn.Module, images: Tensor | None) -> str:
    """Return which batch, or how many filters with the same batch, the device has about room for.

    Measured by steps of 2 and of 4 of the `images` [b, channels, side, side] on it: what a step needs grows
    with its images, and each of its maps with the filters. Without images it is a guess.
    """
    section = "search" if isinstance(settings, SearchSettings) else "retrain"
    batch, share = _fitting(settings, network, images)
    filters = int(share * settings.filters)
    ways = [f"{section}.batch_size={batch}"] if batch >= 2 else []
    ways += [f"{section}.filters={filters} (of a network of cells)"] if filters >= 2 else []
    return (
        f"{section}.batch_size={settings.batch_size} with {section}.filters={settings.filters} needs more "
        f"than the {room() / 1e9:.1f} GB that this run can have on the device; there is room for about "
        f"{' or '.join(ways) or 'a smaller data.image_size'}, as another run in a new output folder"
    )


def _fitting(settings: TrainingSettings, network: nn.Module, images: Tensor | None) -> tuple[int, float]:
    """Return how many images a step has room for, and which share of the filters with all of them."""
    if images is None or len(images) < 4:
        return settings.batch_size // 2, 0.5
    try:
        two, four = (peak(network, images[:count]) for count in (2, 4))
    except torch.OutOfMemoryError:
        return 0, 0.5
    each = max(1.0, (four - two) / 2)
    left = (1 - SPARE) * room() - (two - 2 * each)  # the latter: weights, gradients, the optimiser's state
    return min(int(left / each), settings.batch_size - 1), min(left / (each * settings.batch_size), 0.9)


def room() -> int:
    """Return how many bytes of the device this process has or can get."""
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info()
    return free + torch.cuda.memory_reserved()


def peak(network: nn.Module, images: Tensor) -> int:
    """Return how many bytes of the device are in use, at most, while a network learns from images."""
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    output = network(images.contiguous(memory_format=torch.channels_last))
    heads = output if isinstance(output, tuple) else (output,)
    torch.stack([head.float().sum() for head in heads]).sum().backward()
    return torch.cuda.max_memory_allocated()
