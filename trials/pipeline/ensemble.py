"""Several methods as one: the mean of their probabilities, kept as logits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trials.data.dataset import LesionData
from trials.data.task import Task
from trials.evaluation.decisions import canonical, mean_logits
from trials.files import below
from trials.methods.base import Method
from trials.methods.registry import Title
from trials.models.model_file import load_model
from trials.pipeline.protocol import Trained, read_logits, train_and_test
from trials.runs.folder import RunFolder
from trials.runs.reporter import Reporter


class Ensemble(Method):
    """The `members`, titles and methods of the task, weighted alike: nothing is fitted to join them.

    Each is trained in the task's folder `home` as it is on its own, or has been before, and its probabilities
    there are averaged. Without `home` nothing can be fitted.
    """

    def __init__(self, task: Task, members: Sequence[tuple[Title, Method]], home: Path | None) -> None:
        self._task, self.members, self._home = task, members, home
        self._trained: list[Trained] = []
        self._logits: list[Mapping[str, np.ndarray]] = []  # of each member, by part of the task
        each = [member for _, member in members]
        self.sections = frozenset().union(*(member.sections for member in each))  # type: ignore[misc]
        self.identity = {"members": {title.name: dict(member.identity) for title, member in members}}
        self.search_seen = next((member.search_seen for member in each if member.search_seen), None)
        self.disk_bytes = sum(member.disk_bytes for member in each)

    @property
    def facts(self) -> Mapping[str, Any]:  # type: ignore[override]
        """The members' weights and multiply-adds together; those without a network count none."""
        each = [member.facts for _, member in self.members]
        return {key: sum(facts[key] or 0 for facts in each) or None for key in ("parameters", "macs")}

    def fit(self, folder: RunFolder, reporter: Reporter, *, refit: bool = False) -> float:
        """Train the members, or wait for them; return their seconds. They refit themselves."""
        if refit:
            return 0.0
        self._trained = [
            train_and_test(self._task, member, title, self._place(title), "train", nested=True)
            for title, member in self.members
        ]
        self._logits = [
            trained.logits or read_logits(self._place(title), self._task)
            for (title, _), trained in zip(self.members, self._trained, strict=True)
        ]
        return float(sum(trained.metrics["seconds"] for trained in self._trained))

    def warnings(self, folder: Path) -> list[str]:
        """Return what is to be known of its members."""
        return [
            f"{title.label}: {warning}"
            for (title, _), trained in zip(self.members, self._trained, strict=True)
            for warning in trained.metrics.get("warnings", [])
        ]

    def logits(self, data: LesionData, indices: np.ndarray) -> np.ndarray:
        """Return the logits of the members' mean probability of the images at `indices`: float64 [n, k].

        Raises ValueError before `fit`, and `ModelError` for new images where a member was trained before
        and left no model file.
        """
        if not self._trained:
            raise ValueError("logits of an ensemble that is not fitted: call fit before")
        positive = self._task.data.positive_index
        for part, (of, at) in self._task.parts.items():
            if data is of and np.array_equal(indices, at):
                return mean_logits([said[part] for said in self._logits], positive)
        asked = [self._ask(number, data, indices) for number in range(len(self.members))]
        return mean_logits([canonical(said, positive) for said in asked], positive)

    def estimate(self) -> dict[str, float] | None:
        """Return what the dearest member's `fit` would cost."""
        known = [cost for _, member in self.members if (cost := member.estimate())]
        return max(known, key=lambda cost: cost["seconds"], default=None)

    def _ask(self, number: int, data: LesionData, indices: np.ndarray) -> np.ndarray:
        """Return a member's logits [n, k] of new images."""
        title, member = self.members[number]
        if self._trained[number].logits is not None:
            return member.logits(data, indices)
        images = [data.images[i] for i in indices]
        return load_model(self._place(title)).logits(images, covariates=data.cells(indices))

    def _place(self, title: Title) -> Path:
        if self._home is None:
            raise ValueError("an ensemble needs the folder that its members are trained in")
        return below(self._home, self._home / title.name)
