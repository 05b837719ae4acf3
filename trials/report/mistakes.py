"""The most confident cases of a method: its mistakes, which may be wrong labels, and its correct cases."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trials.runs.collection import BinaryPredictions


@dataclass(frozen=True)
class Case:
    """An image, its label and its prediction."""

    file: str
    fold: int
    truth: bool
    probability: float
    threshold: float


def worst_mistakes(predictions: BinaryPredictions, each: int = 5) -> list[Case]:
    """Return the missed positives of lowest and the false alarms of highest probability, `each` of both."""
    return _surest(predictions, each, right=False)


def most_certain(predictions: BinaryPredictions, each: int = 5) -> list[Case]:
    """Return the correct positives of highest and others of lowest probability, `each` of both."""
    return _surest(predictions, each, right=True)


def _surest(predictions: BinaryPredictions, each: int, *, right: bool) -> list[Case]:
    found = []
    for truth in (True, False):
        chosen = np.flatnonzero(
            (predictions.positive == truth) & ((predictions.called == predictions.positive) == right)
        )
        sign = 1 if truth != right else -1
        surest_first = np.argsort(sign * predictions.log_odds[chosen], kind="stable")
        found += [
            Case(
                str(predictions.files[i]),
                int(predictions.folds[i]),
                truth,
                float(predictions.probabilities[i]),
                float(predictions.thresholds[i]),
            )
            for i in chosen[surest_first[:each]]
        ]
    return found
