"""Describe an exported model in `metadata.json`, after MONAI's bundle specification."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from trials.export.check import outputs_of
from trials.models.network import NetworkDescription


def metadata(card: NetworkDescription, metrics: dict[str, Any]) -> dict[str, Any]:
    """Return `metadata.json`, after MONAI's bundle specification; `model` is what `load_model.py` reads."""
    versions = metrics.get("versions") or {}
    return {
        "schema": "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/"
        "meta_schema_20240725.json",
        "version": "1.0.0",
        "changelog": {"1.0.0": "exported"},
        "pytorch_version": torch.__version__,
        "numpy_version": np.__version__,
        "required_packages_version": {"safetensors": "0.5", "pillow": "11"},
        "name": f"lesion-nas {metrics.get('label') or card.network.kind}",
        "task": f"Classification of lesion images: {' or '.join(card.classes)}",
        "description": "A small convolutional network for lesion images, from bytes to probabilities",
        "authors": "not named by the export",
        "copyright": "not named by the export",
        "data_source": metrics.get("data"),
        "data_type": "image",
        "intended_use": f"Research only. Not for {card.not_for}",
        "warnings": card.warnings,
        "eval_metrics": metrics.get("test") or {},
        "trained_with": versions,
        "network_data_format": _data_format(card),
        "model": {**card.model_dump(mode="json"), "threshold_log_odds": card.cutoff},
    }


def _data_format(card: NetworkDescription) -> dict[str, Any]:
    """Return the inputs and outputs of the network."""
    colours = ["red", "green", "blue"] if card.channels == 3 else ["grey"]
    squares = [card.image_size] * 2
    return {
        "inputs": {
            "images": _tensor("image", "magnitude", "uint8", [0, 255], colours, squares),
            **_covariates(card),
        },
        "outputs": _outputs(card),
    }


def _covariates(card: NetworkDescription) -> dict[str, Any]:
    if card.covariates is None:
        return {}
    return {"covariates": _tensor("covariates", "values", "float32", [], card.covariates.inputs)}


def _outputs(card: NetworkDescription) -> dict[str, Any]:
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
