"""`model.onnx`, which the web UI's network view shows."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import nn


def export_onnx(network: nn.Module, image_shape: tuple[int, ...], path: Path) -> None:
    """Write a network in evaluation mode as ONNX: `images` [batch, *image_shape], standardised, to
    `logits`.

    With PyTorch's older exporter: the newer one takes 15 to 45 seconds for these networks of many small
    layers, this one takes one or two.
    """
    partial = path.with_suffix(".partial")
    example = torch.zeros(1, *image_shape, device=next(network.parameters()).device)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is the older one, and which constants it does not fold
        torch.onnx.export(
            network.eval(),
            (example,),
            partial,
            dynamo=False,
            input_names=["images"],
            output_names=["logits"],
            dynamic_axes={"images": {0: "batch"}, "logits": {0: "batch"}},
        )
    partial.replace(path)
