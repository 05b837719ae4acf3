"""Prediction: what a trained model says of image files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trials.data.decoding import decode
from trials.model_file import load_model


def run_predict(model: Path, images: Sequence[Path]) -> dict[str, Any]:
    """Return the probability of the positive class for each image, and the decision at the frozen threshold.

    Images are crops of lesions, like those that the model was trained on. Raises ValueError for a folder that
    holds no model and for files that are no images.
    """
    trained = load_model(model)
    card = trained.description
    probabilities = trained.probabilities([decode(path) for path in images]).tolist()
    return {
        "positive": card.positive,
        "threshold": card.threshold,
        "not_for": card.not_for,
        "predictions": [
            {"file": str(path), "probability": probability, "called_positive": probability >= card.threshold}
            for path, probability in zip(images, probabilities, strict=True)
        ],
    }


def text(result: dict[str, Any]) -> str:
    """Return predictions as lines to read."""
    positive, threshold = result["positive"], result["threshold"]
    lines = [f"probability of {positive}, called so from {threshold:.3f} up; not for {result['not_for']}"]
    for row in result["predictions"]:
        verdict = positive if row["called_positive"] else f"not {positive}"
        lines.append(f"{row['probability']:.3f}  {verdict:20}  {row['file']}")
    return "\n".join(lines)
