"""What models say of images together, as rows of a table.

Of two classes: the probability of the positive one, as their networks give it, which is compared with the
threshold. Of more: the class that the image is called, and of each class the calibrated probability, after
temperature scaling, in a column `calibrated:CLASS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from trials.evaluation.decisions import Decision, log_odds_of, mean_logits, probabilities, together
from trials.models.description import ModelDescription
from trials.runs.predictions import Classes

Row = dict[str, Any]  # of an image: its file, and the columns of `Jointly`
CALIBRATED = "calibrated"
OF_TWO = ("file", "probability", "log_odds", "std_over_views", "std_over_models", "called_positive")


@dataclass(frozen=True, eq=False)
class Jointly:
    """How models of the same classes and rule decide together: on the mean of their probabilities."""

    cards: Sequence[ModelDescription]

    @property
    def classes(self) -> Classes:
        """The classes of all the models."""
        return self.cards[0].known

    @property
    def decision(self) -> Decision:
        """How an image is called by the models' mean logits."""
        return together([card.frozen.decision for card in self.cards])

    @property
    def temperature(self) -> float:
        """The mean of the models' temperatures; ours."""
        return float(np.mean([card.temperature for card in self.cards]))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of a row."""
        if self.classes.are_two:
            return OF_TWO
        shares = (f"{CALIBRATED}:{name}" for name in self.classes.names)
        return ("file", "called", *shares, "certainty", "std_over_views", "std_over_models")

    def rows(self, files: Sequence[Path], given: Sequence[np.ndarray]) -> list[Row]:
        """Return a row an image, of each model's canonical logits [views, n, k], the image as it is first."""
        said = self._of_two(given) if self.classes.are_two else self._of_more(given)
        return [
            dict(zip(self.columns, (str(file), *values), strict=True))
            for file, *values in zip(files, *said, strict=True)
        ]

    def _of_two(self, given: Sequence[np.ndarray]) -> tuple[list[Any], ...]:
        index = self.classes.positive_of_two
        odds = log_odds_of(mean_logits(given, index), index)  # [views, n]
        views, each = expit(odds), expit([log_odds_of(one[0], index) for one in given])
        called = odds[0] >= self.decision.cutoff
        return views[0].tolist(), odds[0].tolist(), std(views), std(each), called.tolist()

    def _of_more(self, given: Sequence[np.ndarray]) -> tuple[list[Any], ...]:
        """Return the columns; the spreads are those of the called class's calibrated probability."""
        logits = mean_logits(given, None)  # [views, n, k]
        called = self.decision.call(logits[0])
        views = probabilities(logits, self.temperature)
        each = np.stack(
            [probabilities(one[0], card.temperature) for one, card in zip(given, self.cards, strict=True)]
        )  # [models, n, k]
        over_views, over_models = (std(shares[:, np.arange(len(called)), called]) for shares in (views, each))
        names = [self.classes.names[index] for index in called]
        certainty = self.decision.certainty(logits[0]).tolist()
        return names, *views[0].T.tolist(), certainty, over_views, over_models


def std(shares: np.ndarray) -> list[float | None]:
    """Return the standard deviation over the first axis of shares [m, n]; None with m of 1."""
    found: list[float | None] = (
        shares.std(0, ddof=1).tolist() if len(shares) > 1 else [None] * shares.shape[1]
    )
    return found
