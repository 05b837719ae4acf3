"""Untrained models of three classes, whose answers differ from image to image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from search_space import Architecture
from trials.models.network import NetworkDescription, save_network

CLASSES = ("benign", "malignant", "normal")
RULES: dict[str, dict[str, object]] = {
    "argmax": {"decision": "argmax"},
    "sensitivity": {"decision": "sensitivity", "threshold": 0.3, "threshold_of": "malignant"},
    "costs": {"decision": "costs", "costs": ((0.0, 1.0, 1.0), (1.5, 0.0, 2.0), (1.0, 1.0, 0.0))},
}


def describe(**changes: object) -> NetworkDescription:
    network = {
        "kind": "cells", "architecture": Architecture.random(2, nodes=2).to_sample(), "layout": "enas3",
        "filters": 2,
    }  # fmt: skip
    return NetworkDescription.model_validate(
        {"network": network, "channels": 1, "classes": CLASSES, "image_size": 16, "fit": "stretch"}
        | {"mean": (0.4,), "std": (0.25,), "temperature": 1.7}
        | changes
    )


def save_untrained(folder: Path, seed: int = 1, **changes: object) -> Path:
    """Write a model of the rule and values in `changes`, likeliest class unless told."""
    description = describe(**changes)
    torch.manual_seed(seed)
    network = description.build()
    with torch.no_grad():
        network.get_parameter("classifier.weight").mul_(60)
    folder.mkdir(parents=True, exist_ok=True)
    save_network(folder, network, description, description.build_head())
    return folder


def pictures(folder: Path, count: int = 12) -> list[Path]:
    """Write grey images of different grain."""
    random = np.random.default_rng(0)
    files = [folder / f"{index:02d}.png" for index in range(count)]
    for index, file in enumerate(files):
        grain = random.integers(0, 256, (2 + index % 4,) * 2, dtype=np.uint8)
        Image.fromarray(grain).resize((24, 24), Image.Resampling.BICUBIC).save(file)
    return files
