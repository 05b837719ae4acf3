"""What one run is asked: on which split, with which settings, and what it is tested on.

With a refit all images outside the test are trained on once threshold and temperature are frozen. External
images are of another data set, for a last test.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from trials.data.dataset import LesionData
from trials.data.split import Split, digest
from trials.errors import DataError
from trials.evaluation.multiclass import absent
from trials.settings.schema import Settings

Images = tuple[LesionData, np.ndarray]  # a data set and indices of some of its images, int64 [n]


@dataclass(frozen=True, eq=False)
class Task:
    """A split, the settings of a run on it, and an `external` data set, read by `load_external`.

    Not `tested`, the outer fold is set aside all the same. Raises ValueError: `SettingsError` where the
    settings would split otherwise, `DataError` for external data that were read otherwise, `LeakError` where
    an external image, or a copy of it, would be learned from.
    """

    split: Split
    settings: Settings
    external: LesionData | None = None
    tested: bool = True

    def __post_init__(self) -> None:
        self.split.check(self.settings.data)
        if (other := self.external) is None:
            return
        for name in ("classes", "positive", "grey_range", "covariates"):
            if (found := getattr(other, name)) != (expected := getattr(self.data, name)):
                raise DataError(
                    f"{other.root}: was read with {name} = {found}, expected {expected}, that of "
                    f"{self.data.name}; read it by load_external"
                )
        everything = np.arange(len(other.files))
        self.split.refuse_seen(other, everything, "take those out of the external data")

    @property
    def data(self) -> LesionData:
        """The data set that is split."""
        return self.split.data

    @property
    def seed(self) -> int:
        """The seed of all that is random."""
        return self.split.seed

    @property
    def test(self) -> np.ndarray:
        """Indices of the images that are tested on: int64 [n]."""
        return self.split.test if self.tested else self.split.test[:0]

    @property
    def refit(self) -> bool:
        """Whether all images outside the test are trained on at the end."""
        return self.tested and self.settings.protocol.refit

    @property
    def parts(self) -> dict[str, Images]:
        """The images that a method is asked about, by the name of their part."""
        parts = {"validation": (self.data, self.split.validation), "test": (self.data, self.test)}
        if self.external is not None:
            parts["external"] = (self.external, np.arange(len(self.external.files)))
        return parts

    @property
    def identity(self) -> dict[str, Any]:
        """What makes this task itself and no other."""
        return {
            "data": self.data.digest,
            "test": digest(self.test),
            "external": self.external.digest if self.external else None,
            **self.split.place,
        }

    @property
    def _external_doubts(self) -> list[str]:
        """What is odd about the covariates of the external images."""
        other, coding = self.external, self.split.coding
        if other is None or coding is None:
            return []
        found = coding.doubts(other.cells(np.arange(len(other.files))), "external images")
        return [f"{other.name}: {line}" for line in found]

    @property
    def warnings(self) -> list[str]:
        """What a reader of the results must know of the images, a sentence each."""
        parts = {name: (data, at) for name, (data, at) in self.parts.items() if len(at)}
        lacking = (absent(data.labels[at], data.classes, name) for name, (data, at) in parts.items())
        return [*self.split.doubts, *self._external_doubts, *chain.from_iterable(lacking)]

    def describe(self) -> dict[str, Any]:
        """Return, as JSON values, which data were found and how they are split."""
        described = self.split.describe() | {"test": len(self.test)}
        if self.external:
            described["notes"] += [f"{self.external.name}: {note}" for note in self.external.notes]
            described["notes"] += self._external_doubts
        return described
