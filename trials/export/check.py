"""Check what an export has written against the model itself, on made images."""

from __future__ import annotations

import runpy
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from scipy.special import expit
from torch import Tensor

from trials.data.covariates import Column, CovariateCoding, Table
from trials.data.images import to_tensor
from trials.errors import ExportError, install
from trials.evaluation.calibration import apply_temperature
from trials.evaluation.decisions import log_odds_of, probabilities
from trials.models.inference import Inference
from trials.models.model import Model
from trials.models.square import Square
from trials.runs.layout import LOADER, NETWORK_CODE, ONNX, PROGRAM, WEIGHTS
from trials.runs.predictions import Classes


def outputs_of(classes: Classes) -> tuple[str, str, str]:
    """Return the names of the network's outputs, as of `InferenceModel`."""
    return ("probabilities", "calibrated", "log_odds" if classes.are_two else "logits")


def noise(squares: Sequence[Square]) -> list[np.ndarray]:
    """Return nine uint8 images, large enough for all squares: black, and grains from a pixel to a quarter."""
    side = max((one.image_size for one in squares), default=16)
    channels = max((one.channels for one in squares), default=1)
    generator = torch.Generator().manual_seed(0)
    images = [torch.zeros(1, channels, side, side)]
    for cells in (4, 8, 16, side):
        coarse = torch.rand(2, channels, cells, cells, generator=generator) * 255
        images.append(torch.nn.functional.interpolate(coarse, size=(side, side), mode="bilinear"))
    return [np.squeeze(image.numpy().transpose(1, 2, 0)) for image in torch.cat(images).byte()]


def inputs_of(
    model: Model, inference: Inference, images: Sequence[np.ndarray], cells: Table
) -> dict[str, Tensor]:
    """Return the inputs that images uint8 [h, w] or [h, w, 3] and cells become, by name."""
    given = [to_tensor(images, *square) for square in inference.squares]
    coded = model.inputs(cells, images)
    given += [] if coded is None else [torch.from_numpy(coded)]
    return dict(zip(inference.examples(1), given, strict=True))


def made_cells(coding: CovariateCoding | None, count: int) -> dict[str, list[str]]:
    """Return cells of so many images, by column: those of training images, none, and ones unlike theirs."""
    made = {column.name: _made(column) for column in (coding.columns if coding else ())}
    return {
        name: [cells[(index + shift) % len(cells)] for index in range(count)]
        for shift, (name, cells) in enumerate(made.items())
    }


def _made(column: Column) -> list[str]:
    known = column.values if column.kind == "category" else map(str, (column.low, column.high))
    return [*known, "", "unlike any other"]


def refuse_other_inputs(folder: Path, coding: CovariateCoding | None, cells: Table) -> None:
    """Raise `ExportError` where the copied loader codes cells otherwise than the model."""
    if coding is None:
        return
    code = runpy.run_path(str(folder / LOADER))["code"]
    rows = [dict(zip(cells, row, strict=True)) for row in zip(*cells.values(), strict=True)]
    with warnings.catch_warnings(action="ignore"):  # of cells that are odd on purpose
        coded = code(rows)
    if not np.array_equal(coded, coding.code(cells)):
        raise ExportError(
            f"{folder / LOADER}: codes covariates otherwise than the model; nothing was exported: a defect "
            "of ours, please report it"
        )


def expected_outputs(model: Model, images: Sequence[np.ndarray], cells: Table) -> dict[str, np.ndarray]:
    """Return the model's outputs for images uint8 [h, w] or [h, w, 3] and cells, as its run does.

    Each is float [n, k]; of two classes [n], and `probabilities` are of the positive one only. Raises
    `ModelError` for outputs that are not finite.
    """
    card = model.description
    with torch.backends.cudnn.flags(enabled=False):  # cuDNN rounds to 10 bits
        logits = model.logits(images, covariates=cells)
    values = (probabilities(logits), probabilities(logits, card.temperature), logits)
    if card.known.are_two:
        odds = log_odds_of(logits, card.known.positive_of_two)
        values = (expit(odds), apply_temperature(odds, card.temperature), odds)
    return dict(zip(outputs_of(card.known), values, strict=True))


def differences(
    folder: Path, given: Mapping[str, Tensor], expected: Mapping[str, np.ndarray], classes: Classes
) -> dict[str, float]:
    """Return for each file how far its outputs for the `given` inputs are from the expected at most."""
    network = runpy.run_path(str(folder / NETWORK_CODE))["network"]
    opened = torch.export.load(folder / PROGRAM).module()
    with torch.inference_mode():
        found = {
            ONNX: _onnx_outputs(folder / ONNX, given, outputs_of(classes)),
            PROGRAM: opened(*given.values()),
            WEIGHTS: network(*given.values(), load_file(folder / WEIGHTS)),
        }
    return {name: _difference(outputs, expected, classes) for name, outputs in found.items()}


def _difference(outputs: Sequence[Any], expected: Mapping[str, np.ndarray], classes: Classes) -> float:
    """Return the largest difference of any output: of probabilities, and of logits relative to them."""
    shares, calibrated, logits = (np.asarray(output, dtype=float) for output in outputs)
    if classes.are_two:
        shares = shares[:, classes.index]
    of_shares, of_calibrated, of_logits = expected.values()
    gaps = (
        np.abs(shares - of_shares),
        np.abs(calibrated - of_calibrated),
        np.abs(logits - of_logits) / np.maximum(np.abs(of_logits), 1),
    )
    return float(np.max(gaps))  # NaN where one is


def _onnx_outputs(path: Path, given: Mapping[str, Tensor], names: Sequence[str]) -> list[np.ndarray]:
    try:
        import onnxruntime
    except ImportError:
        raise ExportError(f"the check of an export needs onnxruntime: {install('export')}") from None
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    outputs: list[np.ndarray] = session.run(names, {name: values.numpy() for name, values in given.items()})
    return outputs
