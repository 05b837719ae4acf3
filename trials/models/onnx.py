"""A network as ONNX: what the web UI's network view shows, and what travels."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn


def export_onnx(
    network: nn.Module,
    image_shape: tuple[int, ...],
    path: Path,
    *,
    dtype: torch.dtype = torch.float32,
    covariates: int = 0,
    outputs: Sequence[str] = ("logits",),
) -> None:
    """Write a network in evaluation mode as ONNX: `images` [batch, *image_shape] to its `outputs`.

    With a number of `covariates` it has a second input of that name, float32 [batch, covariates].

    With PyTorch's older exporter: the newer one takes 15 to 45 seconds for these networks of many small
    layers, this one takes one or two.
    """
    partial = path.with_suffix(".partial")
    device = next(network.parameters(), torch.empty(0)).device
    examples = {"images": torch.zeros(1, *image_shape, dtype=dtype, device=device)}
    if covariates:
        examples["covariates"] = torch.zeros(1, covariates, device=device)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is the older one, and which constants it does not fold
        torch.onnx.export(
            network.eval(),
            tuple(examples.values()),
            partial,
            dynamo=False,
            input_names=list(examples),
            output_names=list(outputs),
            dynamic_axes={name: {0: "batch"} for name in (*examples, *outputs)},
        )
    partial.replace(path)
