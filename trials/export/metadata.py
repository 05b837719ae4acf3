"""Describe an exported model in `metadata.json`, after MONAI's bundle specification."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from trials.export.check import outputs_of
from trials.export.contents import Contents
from trials.models.description import ModelDescription
from trials.models.square import Square


def metadata(about: Contents, metrics: dict[str, Any]) -> dict[str, Any]:
    """Return `metadata.json`, after MONAI's bundle specification; `model` is what `load_model.py` reads."""
    card, versions = about.card, metrics.get("versions") or {}
    return {
        "schema": "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/"
        "meta_schema_20240725.json",
        "version": "1.0.0",
        "changelog": {"1.0.0": "exported"},
        "pytorch_version": torch.__version__,
        "numpy_version": np.__version__,
        "required_packages_version": {"safetensors": "0.5", "pillow": "11"},
        "name": f"lesion-nas {metrics.get('label') or about.kind}",
        "task": f"Classification of lesion images: {' or '.join(card.classes)}",
        "description": f"{about.words} for lesion images, from bytes to probabilities",
        "authors": "not named by the export",
        "copyright": "not named by the export",
        "data_source": metrics.get("data"),
        "data_type": "image",
        "intended_use": f"Research only. Not for {card.not_for}",
        "warnings": card.warnings,
        "eval_metrics": metrics.get("test") or {},
        "trained_with": versions,
        "network_data_format": _data_format(about),
        "model": about.facts,
    }


def _data_format(about: Contents) -> dict[str, Any]:
    """Return the inputs and outputs of the network."""
    images = {name: _image(square) for name, square in about.squares.items()}
    return {"inputs": {**images, **_covariates(about.card)}, "outputs": _outputs(about.card)}


def _image(square: Square) -> dict[str, Any]:
    colours = ["red", "green", "blue"] if square.channels == 3 else ["grey"]
    return _tensor("image", "magnitude", "uint8", [0, 255], colours, [square.image_size] * 2)


def _covariates(card: ModelDescription) -> dict[str, Any]:
    if card.covariates is None:
        return {}
    return {"covariates": _tensor("covariates", "values", "float32", [], card.covariates.inputs)}


def _outputs(card: ModelDescription) -> dict[str, Any]:
    of, kind = (
        ([str(card.positive)], "log odds") if card.known.are_two else (card.classes, "log probabilities")
    )
    probabilities, calibrated, logits = outputs_of(card.known)
    return {
        probabilities: _tensor("probabilities", "classes", "float32", [0, 1], card.classes),
        calibrated: _tensor("probabilities", "classes", "float32", [0, 1], of),
        logits: _tensor(kind, "classes", "float32", [], of),
    }


def _tensor(
    kind: str,
    form: str,
    dtype: str,
    limits: Sequence[int],
    channels: Sequence[str],
    spatial_shape: Sequence[int] = (),
) -> dict[str, Any]:
    return {
        "type": kind,
        "format": form,
        "num_channels": len(channels),
        "spatial_shape": list(spatial_shape),
        "dtype": dtype,
        "value_range": list(limits),
        "is_patch_data": False,
        "channel_def": {str(index): name for index, name in enumerate(channels)},
    }
