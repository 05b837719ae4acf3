"""A network as ONNX: what the web UI's network view shows, and what travels."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn


def image_inputs(shape: tuple[int, ...], covariates: int = 0) -> dict[str, Tensor]:
    """Return the inputs of a network by name, of one image: `images` [1, *shape], all 0.

    With a number of `covariates` there is a second of that name, float32 [1, covariates].
    """
    beside = {"covariates": torch.zeros(1, covariates)} if covariates else {}
    return {"images": torch.zeros(1, *shape), **beside}


def export_onnx(
    network: nn.Module, inputs: Mapping[str, Tensor], path: Path, outputs: Sequence[str] = ("logits",)
) -> None:
    """Write a network in evaluation mode as ONNX, from `inputs` to `outputs`, both [batch, ...].

    With PyTorch's older exporter: the newer one takes 15 to 45 seconds for these networks of many small
    layers, this one takes one or two.
    """
    partial = path.with_suffix(".partial")
    device = next(network.parameters(), torch.empty(0)).device
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is the older one, and which constants it does not fold
        torch.onnx.export(
            network.eval(),
            tuple(one.to(device) for one in inputs.values()),
            partial,
            dynamo=False,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes={name: {0: "batch"} for name in (*inputs, *outputs)},
        )
    partial.replace(path)
