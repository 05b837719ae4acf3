"""What one run is asked: which images it learns from, chooses by, is tested on.

Of the images outside the test fold most are trained on; the rest, whole groups, choose the decision threshold
and the temperature, which are then frozen. With a refit all of them are trained on after that. Data with a
split of their own say all three parts themselves. External images are of another data set, for a last test.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from trials.data.dataset import LesionData, load
from trials.data.inputs import describe_data, load_data, split_data
from trials.data.leaks import refuse_copies, refuse_overlap, seen
from trials.data.readers.medmnist import classes_elsewhere
from trials.errors import DataError
from trials.settings.schema import Settings


class Task:
    """The images of one run, in their parts; not `tested`, the outer fold is set aside all the same.

    Raises ValueError: `DataError` for data, folds or external classes that do not fit, `LeakError` where a
    test image, or an image of its group, or a copy of it, would be learnt from.
    """

    def __init__(
        self,
        data_path: Path,
        settings: Settings,
        *,
        folds: int = 5,
        fold: int | None = None,
        seed: int = 0,
        external: Path | None = None,
        tested: bool = True,
    ) -> None:
        self.data_path, self.settings, self.seed = data_path, settings, seed
        self.data = load_data(data_path, settings.data)
        self.split = split_data(self.data, settings.data, folds=folds, fold=fold, seed=seed)
        self.folds, self.fold = self.split.folds, self.split.fold
        if not tested:
            self.split = replace(self.split, test=self.split.test[:0])
        self.positive = self.data.classes.index(self.data.positive)
        self.development = np.concatenate([self.split.training, self.split.validation])
        self.refit = tested and settings.protocol.refit
        self.external = None if external is None else self._external(external)
        self._refuse(self.data, self.split.test, "give them one group, or take one of them out")

    def _external(self, path: Path) -> LesionData:
        settings = self.settings.data
        external = load(
            path,
            positive=self.data.positive,
            classes=classes_elsewhere(path, settings.classes),
            duplicates=settings.duplicates,
            group_column=settings.external_group_column,
            accept=settings.accept,
            grey_range=self.data.grey_range,
        )
        if unknown := sorted(set(external.classes) - set(self.data.classes)):
            raise DataError(f"{path}: holds {unknown[0]!r}, not one of {', '.join(self.data.classes)}")
        self._refuse(external, np.arange(len(external.files)), "take those out of the external data")
        return external

    def _refuse(self, tested: LesionData, test: np.ndarray, way_out: str) -> None:
        refuse_overlap(self.seen, tested, test, f"a training on {self.data.name}", way_out)
        if tested is not self.data or self.data.splits is None:  # there sources.py has looked
            refuse_copies(self.data, self.development, tested, test, way_out)

    @property
    def seen(self) -> dict[str, Any]:
        """What a run of this task has seen, as `leaks.seen` tells it."""
        return seen(self.data, self.development)

    @property
    def identity(self) -> dict[str, Any]:
        """What makes this task itself and no other."""
        return {
            "data": self.data.digest,
            "test": hashlib.sha256(self.split.test.tobytes()).hexdigest()[:16],
            "external": self.external.digest if self.external else None,
            "folds": self.folds,
            "fold": self.fold,
            "seed": self.seed,
        }

    def describe(self) -> dict[str, Any]:
        """Return, as JSON values, which data were found and how they are split."""
        described = describe_data(self.data, self.split)
        if self.external:
            described["notes"] += [f"{self.external.name}: {note}" for note in self.external.notes]
        return described
