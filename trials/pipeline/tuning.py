"""What the trials of a tuner have chosen for a method, by validation images alone.

A trial (`trials.stage`, stage `tune`) trains and validates the method with some choice of settings, and
is not tested. It lies in HOME/tuning/CHOICES/METHOD, where HOME is the folder that the methods of a
fold share. The best of those that came to their end is chosen: the highest AUC on the validation images (of
more than two classes the macro AUC), of equal ones the fewest multiply-adds, then the first by name.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trials.data.leaks import refuse_overlap
from trials.data.task import Task
from trials.errors import SettingsError, TuningError
from trials.pipeline.scores import headline_of
from trials.runs.folder import is_done, read_json
from trials.runs.layout import METRICS, RECORD, TUNING
from trials.runs.predictions import classes_of
from trials.settings.load import flat, with_changes
from trials.settings.schema import Settings


@dataclass(frozen=True)
class Trial:
    """A finished trial: its folder, its metrics, and what it was asked and has seen."""

    folder: Path
    metrics: Mapping[str, Any]
    record: Mapping[str, Any]

    @property
    def merit(self) -> tuple[float, int, str]:
        """What trials are ordered by, the best first."""
        return -self.area, self.metrics["macs"], self.folder.parent.name

    @property
    def area(self) -> float:
        """The AUC on the validation images, of more than two classes the macro AUC."""
        return float(self.metrics["validation"][headline_of(classes_of(self.metrics))])


class Tuning:
    """The finished trials of method `name` below `home`, which differ in the settings named `choices`.

    Raises `TuningError` where there are none, and where one of them has looked at test images.
    """

    def __init__(self, home: Path, name: str, choices: Collection[str]) -> None:
        self._name, self._choices = name, sorted(choices)
        found = sorted(file.parent for file in (home / TUNING).glob(f"*/{name}/{METRICS}"))
        self.trials = [
            Trial(folder, read_json(folder / METRICS), read_json(folder / RECORD))
            for folder in found
            if is_done(folder)
        ]
        if not self.trials:
            raise TuningError(
                f"{home / TUNING}: no finished trial of {name} to choose its settings by; tune first, by the "
                f"file of nni_config/ that has {name} as method, with the same data, fold and seed"
            )
        tested = [trial for trial in self.trials if trial.metrics["test"] is not None]
        if tested:
            raise TuningError(
                f"{tested[0].folder}: has looked at test images, by which nothing may be chosen; remove it"
            )
        self.best = min(self.trials, key=lambda trial: trial.merit)

    @property
    def chosen(self) -> dict[str, object]:
        """The best trial's values of what was to be chosen, by the settings' dotted names."""
        settings = dict(flat(self.best.record["settings"]))
        return {key: settings[key] for key in self._choices}

    def applied(self, settings: Settings) -> Settings:
        """Return the settings with what was chosen; raises `SettingsError` where it was given too."""
        if named := [key for key in self._choices if key in settings.given]:
            raise SettingsError(f"{named[0]}: {self._name} takes it from its tuning; leave it out")
        return with_changes(settings, self.chosen)

    def check(self, task: Task) -> None:
        """Raise `TuningError` for a trial of another task, or of other settings beside the choices.

        And `LeakError` where the best one has seen an image that the task tests.
        """
        sections = set(self.best.record["settings"])
        wanted = {
            **task.split.place,
            "data_digest": task.data.digest,
            "profile": task.settings.profile,
            **dict(flat(task.settings.model_dump(mode="json", include=sections))),
        }
        for trial in self.trials:
            asked = {**trial.metrics, **dict(flat(trial.record["settings"]))}
            differing = [
                f"{key}: {asked.get(key)!r}, not {value!r}"
                for key, value in wanted.items()
                if key not in self._choices and asked.get(key) != value
            ]
            if differing:
                raise TuningError(
                    f"{trial.folder}: is a trial of something else ({'; '.join(differing[:4])}); tune and "
                    "train with the same data, fold, seed, profile and settings, or remove it"
                )
        way_out = "tune again in a new folder"
        refuse_overlap(self.best.record["seen"], task.data, task.test, "the tuning", way_out)

    def to_dict(self) -> dict[str, Any]:
        """Return, as JSON values, what was chosen, among how many, and how well it did."""
        return {
            "chosen": self.chosen,
            "trials": len(self.trials),
            "validation_auc": self.best.area,
        }
