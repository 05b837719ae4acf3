"""The smallest differences that so many images can show, counted in images and in groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trials.evaluation.power import (
    ASSUMED_CORRELATION,
    smallest_accuracy_difference,
    smallest_auc_difference,
)
from trials.report.paired_tests import PairedTest
from trials.report.summaries import Summary, by_patient
from trials.runs.collection import BinaryPredictions

_ASSUMED_DISCORDANCE = 0.15  # where no pair is there to measure it on; ours


@dataclass(frozen=True)
class Smallest:
    """The smallest differences of AUC and accuracy that so many units can show; None: none can be."""

    units: str
    positives: int
    negatives: int
    auc: float | None
    accuracy: float | None


@dataclass(frozen=True)
class Power:
    """What the images can show beside a reference of this AUC, for images and for groups.

    `correlation` (of AUC errors) and `discordance` (of decisions) are medians over the tests, or assumed.
    """

    area: float
    correlation: float
    discordance: float
    measured: bool
    rows: tuple[Smallest, ...]

    @property
    def words(self) -> str:
        """Say the smallest difference of AUC that can be shown."""
        known = [f"{row.auc:.3f} counted in {row.units}" for row in self.rows if row.auc is not None]
        return f"smallest AUC difference that can be shown (80 % power): {', '.join(known) or 'none'}"


def power(reference: Summary[BinaryPredictions], tests: Sequence[PairedTest]) -> Power | None:
    """Return the smallest differences to the reference that can be shown; None where its AUC is no start."""
    area = reference.measures["auc"].estimate
    if not 0.5 <= area < 1:
        return None
    known = [test.auc.correlation for test in tests if np.isfinite(test.auc.correlation)]
    correlation = min(float(np.median(known)), 0.99) if known else ASSUMED_CORRELATION
    discordance = float(np.median([test.mcnemar.discordance for test in tests])) if tests else 0.0
    discordance = discordance or _ASSUMED_DISCORDANCE
    images, patients = reference.predictions, by_patient(reference.predictions)
    rows = []
    for units, part in (("images", images), ("groups", patients)):
        positives = int(part.positive.sum())
        negatives = len(part.files) - positives
        if min(positives, negatives) >= 2:
            rows.append(
                Smallest(
                    units,
                    positives,
                    negatives,
                    smallest_auc_difference(area, positives, negatives, correlation),
                    smallest_accuracy_difference(positives + negatives, discordance),
                )
            )
    return Power(area, correlation, discordance, bool(known), tuple(rows))
