"""The mistakes that a contestant is surest of: what it does not see, or what is labelled wrongly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trials.report.comparison import Predictions


@dataclass(frozen=True)
class Mistake:
    """An image on the wrong side of its threshold."""

    file: str
    fold: int
    truth: bool
    probability: float
    threshold: float


def worst_mistakes(predictions: Predictions, each: int = 5) -> list[Mistake]:
    """Return the missed positives of lowest and the false alarms of highest probability, `each` of both."""
    found = []
    for truth in (True, False):
        wrong = np.flatnonzero((predictions.positive == truth) & (predictions.called != truth))
        surest_first = np.argsort(predictions.probabilities[wrong] * (1 if truth else -1), kind="stable")
        found += [
            Mistake(
                str(predictions.files[i]),
                int(predictions.folds[i]),
                truth,
                float(predictions.probabilities[i]),
                float(predictions.thresholds[i]),
            )
            for i in wrong[surest_first[:each]]
        ]
    return found
