"""Successive halving of a search's finalists: short trainings choose in place of shared weights.

The best of the ranking are each trained alone, by the retraining's recipe, for some epochs; the better half
is trained once more, for twice as many, and so on until one is left (Jamieson and Talwalkar, AISTATS 2016,
arXiv 1502.07943). What counts is the loss on the validation images, or the sum of the epochs' training
losses, which needs none of them (Ru et al., NeurIPS 2021, arXiv 2006.04492). No image of the outer fold is
looked at. A finalist whose training diverges, in its second attempt too, is dropped.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pytorch_lightning.callbacks import Callback

from search_space import Architecture
from trials.data.split import Split
from trials.data.task import Task
from trials.errors import DivergedTwiceError
from trials.evaluation.multiclass import log_loss
from trials.files import below
from trials.methods.cells import Found, cell_network, random_cells
from trials.methods.networks import NetworkMethod
from trials.runs.folder import RunFolder, read_json
from trials.runs.layout import CHECKPOINT, FINALIST_FILE, finalist_folder
from trials.runs.reporter import Reporter
from trials.settings.load import with_changes
from trials.settings.schema import Settings
from trials.settings.training import RetrainSettings
from trials.training.callbacks import TrainingLosses


@dataclass(frozen=True)
class Rung:
    """So many epochs of each finalist: their losses by their places in the ranking, counted from 1.

    Of those whose training diverged `diverged` says how.
    """

    epochs: int
    losses: Mapping[int, float]
    diverged: Mapping[int, str] = field(default_factory=dict)

    @property
    def order(self) -> list[int]:
        """The places, the smallest loss first; of equal ones the better place."""
        return sorted(self.losses, key=lambda place: (self.losses[place], place))

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        losses = {str(place): loss for place, loss in self.losses.items()}
        return {
            "epochs": self.epochs,
            "losses": losses,
            **({"diverged": sorted(self.diverged)} if self.diverged else {}),
        }


@dataclass(frozen=True)
class Choice:
    """What the rungs have chosen: a place in the ranking, counted from 1, and what that has cost."""

    criterion: str
    layout: str
    rungs: Sequence[Rung]
    seconds: float

    @property
    def place(self) -> int:
        """The last one left."""
        return self.rungs[-1].order[0]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values, with the epochs of the trainings that came to their end."""
        return {
            "place": self.place,
            "criterion": self.criterion,
            "layout": self.layout,
            "epochs": sum(rung.epochs * len(rung.losses) for rung in self.rungs),
            "seconds": round(self.seconds, 3),
            "rungs": [rung.to_dict() for rung in self.rungs],
        }

    @property
    def warnings(self) -> list[str]:
        """A sentence for each finalist that was dropped."""
        return [
            f"finalist {place} of the ranking was dropped from the rung of epochs {rung.epochs}: its "
            "training diverged, in a second attempt too"
            for rung in self.rungs
            for place in sorted(rung.diverged)
        ]


def rungs(count: int, epochs: int) -> Iterator[tuple[int, int]]:
    """Yield how many finalists each rung trains and for how many epochs, from so many of each on."""
    while count > 1:
        yield count, epochs
        count, epochs = -(-count // 2), 2 * epochs


class FinalistMethod(NetworkMethod):
    """A finalist's network, whose facts tell the sum of its epochs' training losses."""

    def _fine_tuning(self, settings: RetrainSettings) -> Iterator[Callback]:
        yield from super()._fine_tuning(settings)
        self.losses = TrainingLosses()
        yield self.losses

    @property
    def facts(self) -> Mapping[str, Any]:  # type: ignore[override]
        """What a network's facts are, and the sum."""
        return {**super().facts, "training_loss": sum(self.losses.losses)}


class Finalists:
    """The final trainings of a search whose settings ask for them, in folders of their own below its own.

    Raises ValueError for settings by which no network can be trained.
    """

    def __init__(self, split: Split, settings: Settings) -> None:
        self._split, self._settings, self._search = split, settings, settings.search
        self._first = settings.search.finalist_epochs
        tasks = [self._task(epochs) for _, epochs in rungs(self._search.finalists or 2, self._first)]
        self._method(tasks[0], random_cells(tasks[0]))

    @property
    def identity(self) -> dict[str, Any]:
        """What the search depends on because of them: how they are trained."""
        return self._settings.model_dump(mode="json", include={"retrain"})

    def choose(self, ranked: Sequence[Architecture], home: Path) -> Choice:
        """Train the best of a ranking by rungs; trainings that were made before are read, or resumed.

        Raises `DivergedTwiceError` where all trainings of a rung diverge.
        """
        places: Sequence[int] = range(1, len(ranked) + 1)
        made, seconds = [], 0.0
        for count, epochs in rungs(len(ranked), self._first):
            told = {place: self._train(ranked[place - 1], place, epochs, home) for place in places[:count]}
            made.append(self._rung(epochs, told))
            places, seconds = made[-1].order, seconds + sum(one["seconds"] for one in told.values())
            if len(places) == 1:
                break
        return Choice(self._search.finalist_criterion, self._search.limit_layout, made, seconds)

    def _rung(self, epochs: int, told: Mapping[int, Mapping[str, Any]]) -> Rung:
        diverged = {place: one["diverged"] for place, one in told.items() if "diverged" in one}
        if len(diverged) == len(told):
            raise DivergedTwiceError(f"no finalist is left: {next(iter(diverged.values()))}")
        criterion = self._search.finalist_criterion
        losses = {place: one[criterion] for place, one in told.items() if place not in diverged}
        return Rung(epochs, losses, diverged)

    def estimate(self) -> float:
        """Return about how many seconds all rungs take."""
        task = self._task(self._first)
        one = self._method(task, random_cells(task)).estimate()["seconds"] / self._first
        return sum(count * epochs * one for count, epochs in rungs(self._search.finalists or 0, self._first))

    def _task(self, epochs: int) -> Task:
        return Task(self._split, with_changes(self._settings, {"retrain.epochs": epochs}), tested=False)

    def _method(self, task: Task, found: Found) -> NetworkMethod:
        return cell_network(task, found, self._search.limit_layout, FinalistMethod)

    def _train(self, architecture: Architecture, place: int, epochs: int, home: Path) -> dict[str, Any]:
        """Return the losses and seconds of a finalist, or how it diverged."""
        task, out = self._task(epochs), below(home, home / finalist_folder(epochs, place))
        method = self._method(task, Found(architecture))
        settings = task.settings.model_dump(mode="json", include=set(method.sections))
        identity = {"verb": "finalist", **task.identity, **method.identity, "settings": settings}
        with (
            RunFolder(out, identity, needed_bytes=method.disk_bytes) as folder,
            Reporter(out, to_nni=False) as reporter,
        ):
            if not folder.done:
                reporter.say(f"finalist {place} of the ranking: epochs {epochs}")
                folder.write_json(FINALIST_FILE, _fit(method, folder, reporter))
                folder.finish(CHECKPOINT)
        return dict(read_json(out / FINALIST_FILE))


def _fit(method: NetworkMethod, folder: RunFolder, reporter: Reporter) -> dict[str, Any]:
    """Train a finalist; return its losses, by both criteria, and its seconds, or how it diverged."""
    began = time.monotonic()
    try:
        seconds = method.fit(folder, reporter)
    except DivergedTwiceError as error:
        reporter.say(f"warning: dropped: {error}")
        return {"diverged": str(error), "seconds": round(time.monotonic() - began, 3)}
    data, chosen = method.task.data, method.task.split.validation
    loss = log_loss(data.labels[chosen], method.logits(data, chosen))(np.ones((1, len(chosen))))
    return {
        "validation_loss": float(loss[0]),
        "training_loss": method.facts["training_loss"],
        "seconds": round(seconds, 3),
    }
