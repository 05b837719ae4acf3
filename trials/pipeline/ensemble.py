"""Several trainings as one method: the weighted mean of their probabilities, kept as logits.

The members are methods of one task, the k trainings of one method in a cross-fit, each of which has left
out another part of the development images, or the networks of a set of cells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from trials.data.dataset import LesionData
from trials.data.task import Task
from trials.evaluation.decisions import canonical, mean_logits
from trials.evaluation.selection import Selection, select
from trials.methods.base import Method
from trials.methods.registry import Title
from trials.models.model_file import load_model, save_ensemble
from trials.pipeline.protocol import Trained, read_logits, train_and_test
from trials.runs.folder import RunFolder
from trials.runs.predictions import Frozen
from trials.runs.reporter import Reporter

_ADD_UP = ("seconds", "disk_bytes")  # of estimates; memory is free again for the next member


@dataclass(frozen=True, eq=False)
class Member:
    """A method on its own task, trained in the folder `place`; without one it cannot be fitted.

    `name` tells it from the others of the ensemble.
    """

    name: str
    title: Title
    method: Method
    task: Task
    place: Path | None

    @property
    def label(self) -> str:
        """How a reader knows it from the others."""
        return self.title.label if self.name == self.title.name else self.name

    @property
    def folder(self) -> Path:
        """Its folder; raises ValueError without one."""
        if self.place is None:
            raise ValueError("an ensemble needs the folder that its members are trained in")
        return self.place


class Ensemble(Method):
    """The `members`, each trained in its folder as it is on its own, or has been before.

    They are weighted alike, or, with `chosen` weights, as the validation images choose (`selection`). `facts`
    are known of how they came to be. Where each has other validation images, as in a cross-fit, an image's
    validation logits are those of the members that have not learned from it.
    """

    def __init__(
        self,
        task: Task,
        members: Sequence[Member],
        *,
        chosen: bool = False,
        facts: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        self._task, self.members, self._chosen, self._known = task, members, chosen, facts
        self._trained: list[Trained] = []
        self._logits: list[Mapping[str, np.ndarray]] = []  # of each member, by part of its task
        self._selection: Selection | None = None
        each = [member.method for member in members]
        self.sections = frozenset().union(*(method.sections for method in each))  # type: ignore[misc]
        if chosen:
            self.sections |= {"ensemble"}  # type: ignore[misc]
        self.identity = {"members": {member.name: dict(member.method.identity) for member in members}}
        self.search_seen = next((method.search_seen for method in each if method.search_seen), None)
        before = [record for method in each for record in method.seen_before]
        self.seen_before = [record for i, record in enumerate(before) if record not in before[:i]]
        self.disk_bytes = sum(method.disk_bytes for method in each)
        self.memory_bytes = max(method.memory_bytes for method in each)  # one is fitted after another
        self.predictors = list(dict.fromkeys(name for method in each for name in method.predictors))
        self.seeded = chosen or any(method.seeded for method in each)

    @property
    def facts(self) -> Mapping[str, Any]:  # type: ignore[override]
        """The members' parameters and macs together, of networks alone, what is known, and chosen weights.

        An ensemble has seen other data where one of its members has.
        """
        each = [member.method.facts for member in self.members]
        sizes = {key: sum(facts[key] or 0 for facts in each) or None for key in ("parameters", "macs")}
        known: dict[str, Any] = {**sizes, **self._known}
        if self._trained:
            known["saw_other_data"] = any(one.metrics["saw_other_data"] for one in self._trained)
        if self._selection is None:
            return known
        chosen = self._selection
        return known | {
            "weights": dict(zip([one.name for one in self.members], chosen.weights, strict=True)),
            "selection": {
                "counts": "greedy" if chosen.greedy else "equal",
                "greedy_loss": chosen.greedy_loss,
                "equal_loss": chosen.equal_loss,
            },
        }

    def fit(self, folder: RunFolder, reporter: Reporter, *, refit: bool = False) -> float:
        """Train the members, or wait for them; return their seconds. They refit themselves."""
        if refit:
            return 0.0
        self._trained = [
            train_and_test(one.task, one.method, one.title, one.folder, "train", nested=True)
            for one in self.members
        ]
        self._logits = [
            trained.logits or read_logits(one.folder, one.task)
            for one, trained in zip(self.members, self._trained, strict=True)
        ]
        if self._chosen:
            self._selection = self._select()
        return float(sum(trained.metrics["seconds"] for trained in self._trained))

    def _select(self) -> Selection:
        data, images = self._task.data, self._task.split.validation
        return select(
            [said["validation"] for said in self._logits],
            data.labels[images],
            np.array(data.groups)[images],
            positive=data.positive_index,
            seed=self._task.seed,
        )

    @property
    def weights(self) -> tuple[float, ...] | None:
        """The members' shares, where they were chosen."""
        return self._selection.weights if self._selection else None

    def save(self, folder: RunFolder, frozen: Frozen) -> None:
        """Write a model that holds the members' models."""
        shares = self.weights or (1.0,) * len(self.members)
        places = [member.folder for member in self.members]
        save_ensemble(folder.path, list(zip(places, shares, strict=True)), frozen)

    def warnings(self, folder: Path) -> list[str]:
        """Return what is to be known of its members' trainings; of the images its own task says it."""
        found = [
            f"{member.label}: {warning}"
            for member, trained in zip(self.members, self._trained, strict=True)
            for warning in trained.metrics.get("warnings", [])
            if warning not in member.task.warnings
        ]
        return list(dict.fromkeys(found))

    def logits(self, data: LesionData, indices: np.ndarray) -> np.ndarray:
        """Return the logits of the members' mean probability of the images at `indices`: float64 [n, k].

        Raises ValueError before `fit`, and `ModelError` for new images where a member was trained before
        and left no model file.
        """
        if not self._trained:
            raise ValueError("logits of an ensemble that is not fitted: call fit before")
        for part, (of, at) in self._task.parts.items():
            if data is of and np.array_equal(indices, at):
                return self._validation() if part == "validation" else self._mean(self._said(part))
        asked = [self._ask(number, data, indices) for number in range(len(self.members))]
        return self._mean([canonical(said, self._task.data.positive_index) for said in asked])

    def _said(self, part: str) -> list[np.ndarray]:
        return [said[part] for said in self._logits]

    def _mean(self, logits: Sequence[np.ndarray]) -> np.ndarray:
        return mean_logits(logits, self._task.data.positive_index, self.weights)

    def _validation(self) -> np.ndarray:
        """Return each validation image's logits by the members that have not learned from it [n, k]."""
        wanted, said = self._task.split.validation, self._said("validation")
        images = [member.task.split.validation for member in self.members]
        if all(np.array_equal(one, wanted) for one in images):
            return self._mean(said)
        found = np.concatenate(said)[np.argsort(np.concatenate(images), kind="stable")]
        return found[np.argsort(np.argsort(wanted, kind="stable"), kind="stable")]

    @property
    def steps(self) -> int:  # type: ignore[override]
        """Those of its longest training."""
        return max(member.method.steps for member in self.members)

    def estimate(self) -> dict[str, float] | None:
        """Return what the members' fits, one after another, would cost; None where none says."""
        known = [cost for member in self.members if (cost := member.method.estimate())]
        names = [name for name in (known[0] if known else ()) if all(name in cost for cost in known)]
        each = {name: [cost[name] for cost in known] for name in names}
        return {name: sum(costs) if name in _ADD_UP else max(costs) for name, costs in each.items()} or None

    def _ask(self, number: int, data: LesionData, indices: np.ndarray) -> np.ndarray:
        """Return a member's logits [n, k] of new images."""
        member = self.members[number]
        if self._trained[number].logits is not None:
            return member.method.logits(data, indices)
        return load_model(member.folder).logits_of(data, indices)
