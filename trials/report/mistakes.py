"""The most confident cases of a method: its mistakes, which may be wrong labels, and its correct cases.

Images of one group, copies of one picture among them, are one case: the most confident stands for all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from trials.runs.collection import BinaryPredictions, Predictions


@dataclass(frozen=True)
class Case:
    """An image, its label and its prediction; `more` images of its group are as much a case."""

    file: str
    fold: int
    truth: bool
    probability: float
    threshold: float
    more: int


@dataclass(frozen=True)
class ClassCase:
    """An image, the class that it is of and the one that it is called, with the probability of both.

    `more` is as that of `Case`.
    """

    file: str
    fold: int
    truth: str
    called: str
    of_truth: float
    of_called: float
    more: int


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
        surest_first = chosen[np.argsort(sign * predictions.log_odds[chosen], kind="stable")]
        found += [
            Case(
                str(predictions.files[i]),
                int(predictions.folds[i]),
                truth,
                float(predictions.probabilities[i]),
                float(predictions.thresholds[i]),
                more,
            )
            for i, more in _groups_once(surest_first, predictions.groups)[:each]
        ]
    return found


def worst_class_mistakes(predictions: Predictions, count: int = 10) -> list[ClassCase]:
    """Return the mistakes whose called class is likelier than the true one by the highest odds."""
    rows = np.arange(len(predictions.files))
    gap = predictions.logits[rows, predictions.called] - predictions.logits[rows, predictions.labels]
    return _class_cases(predictions, np.flatnonzero(~predictions.right), gap, count)


def most_certain_of_classes(predictions: Predictions, count: int = 6) -> list[ClassCase]:
    """Return the correct cases of the highest certainty."""
    return _class_cases(predictions, np.flatnonzero(predictions.right), predictions.certainty, count)


def _class_cases(
    predictions: Predictions, chosen: np.ndarray, certainty: np.ndarray, count: int
) -> list[ClassCase]:
    names, labels, called = predictions.classes.names, predictions.labels, predictions.called
    surest_first = chosen[np.argsort(-certainty[chosen], kind="stable")]
    return [
        ClassCase(
            str(predictions.files[i]),
            int(predictions.folds[i]),
            names[labels[i]],
            names[called[i]],
            float(predictions.probabilities[i, labels[i]]),
            float(predictions.probabilities[i, called[i]]),
            more,
        )
        for i, more in _groups_once(surest_first, predictions.groups)[:count]
    ]


def _groups_once(order: Iterable[int], groups: np.ndarray) -> list[tuple[int, int]]:
    """Return the first index of each group, in this order, and how many more follow of it."""
    found: dict[str, list[int]] = defaultdict(list)
    for index in order:
        found[str(groups[index])].append(int(index))
    return [(same[0], len(same) - 1) for same in found.values()]
