"""Several methods as one: the mean of their probabilities, kept as log odds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from trials.data.dataset import LesionData
from trials.data.task import Task
from trials.evaluation.calibration import mean_log_odds
from trials.files import below
from trials.methods.base import Method
from trials.pipeline.train import Title, train_and_test
from trials.runs.folder import RunFolder
from trials.runs.layout import EXTERNAL_PREDICTIONS, PREDICTIONS, VALIDATION_PREDICTIONS
from trials.runs.predictions import read_predictions
from trials.runs.reporter import Reporter


class MeanMethod(Method):
    """The `members`, titles and methods of the task, weighted alike: nothing is fitted to join them.

    Each contends in the task's folder `home` as it does on its own, or has done so already, and what it said
    there is what is averaged. Without `home` nothing can be fitted.
    """

    def __init__(self, task: Task, members: Sequence[tuple[Title, Method]], home: Path | None) -> None:
        self._task, self._members, self._home = task, members, home
        self._warnings: list[str] = []
        each = [member for _, member in members]
        self.sections = frozenset().union(*(member.sections for member in each))  # type: ignore[misc]
        self.identity = {"members": {title.name: dict(member.identity) for title, member in members}}
        self.search_seen = next((member.search_seen for member in each if member.search_seen), None)
        self.disk_bytes = sum(member.disk_bytes for member in each)

    @property
    def facts(self) -> Mapping[str, Any]:  # type: ignore[override]
        """The members' weights and multiply-adds together; those without a network count none."""
        each = [member.facts for _, member in self._members]
        return {key: sum(facts[key] or 0 for facts in each) or None for key in ("parameters", "macs")}

    def fit(self, folder: RunFolder, reporter: Reporter, *, refit: bool = False) -> float:
        """Let the members contend, or wait for them; return their seconds. They refit themselves."""
        if refit:
            return 0.0
        results = {
            title.label: train_and_test(self._task, member, title, self._place(title), "train", nested=True)
            for title, member in self._members
        }
        self._warnings = [
            f"{label}: {warning}"
            for label, metrics in results.items()
            for warning in metrics.get("warnings", [])
        ]
        return float(sum(metrics["seconds"] for metrics in results.values()))

    def warnings(self, folder: Path) -> list[str]:
        """Return what is to be known of its members."""
        return self._warnings

    def log_odds(self, data: LesionData, indices: np.ndarray) -> np.ndarray:
        """Return the log odds of the members' mean probability of the images at `indices`: float64 [n]."""
        said = self._said_of_external if data is self._task.external else self._said
        return np.array([said[data.files[index]] for index in indices])

    def estimate(self) -> dict[str, float] | None:
        """Return what the dearest member's `fit` would cost."""
        known = [cost for _, member in self._members if (cost := member.estimate())]
        return max(known, key=lambda cost: cost["seconds"], default=None)

    @cached_property
    def _said(self) -> dict[str, float]:
        return self._mean(VALIDATION_PREDICTIONS) | self._mean(PREDICTIONS)

    @cached_property
    def _said_of_external(self) -> dict[str, float]:
        return self._mean(EXTERNAL_PREDICTIONS)

    def _mean(self, file: str) -> dict[str, float]:
        positive = self._task.data.positive
        tables = [read_predictions(self._place(title) / file, positive) for title, _ in self._members]
        mean = mean_log_odds([table.log_odds for table in tables]).tolist()
        return dict(zip(tables[0].files.tolist(), mean, strict=True))

    def _place(self, title: Title) -> Path:
        if self._home is None:
            raise ValueError("a mean of methods needs the folder that they contend in")
        return below(self._home, self._home / title.name)
