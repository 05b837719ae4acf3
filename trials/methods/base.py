"""The interface of a method: train it on a task's training images, then ask it for logits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from trials.data.dataset import LesionData
from trials.runs.folder import RunFolder
from trials.runs.predictions import Frozen
from trials.runs.reporter import Reporter


class Method(ABC):
    """A model that can be trained; it writes nothing before `fit`.

    `sections` names the settings that it depends on. `identity` distinguishes it from others of its name.
    `facts` go into `metrics.json`; `search_seen` records the images that chose its cells, `seen_before` those
    that trained the weights that it starts from, where that is known. A network is fitted in `steps` steps.
    Of a method that is not `seeded` a fit is the same whatever the task's seed: where several trainings would
    differ by their seeds alone, there is one. `predictors` names what it sees of an image's: `images` (its
    pixels), `box` (width, height and ratio of the lesion's) and `covariates`.
    """

    sections: ClassVar[frozenset[str]] = frozenset({"data"})
    identity: Mapping[str, Any] = MappingProxyType({})
    facts: Mapping[str, Any] = MappingProxyType({"parameters": None, "macs": None})
    search_seen: Mapping[str, Any] | None = None
    seen_before: Sequence[Mapping[str, Any]] = ()
    disk_bytes: int = 20_000_000  # about what is written
    memory_bytes: int = 0  # that fitting to all images takes, where it grows faster than their number
    steps: int = 0
    seeded: bool = True
    predictors: Sequence[str] = ("images",)

    @abstractmethod
    def fit(self, folder: RunFolder, reporter: Reporter, *, refit: bool = False) -> float:
        """Train on the task's training images, or resume that; return the seconds in all.

        With `refit`, train from the start on all images outside the test.
        """

    @abstractmethod
    def logits(self, data: LesionData, indices: np.ndarray) -> np.ndarray:
        """Return logits of all classes for the images at `indices`: float64 [n, k], finite.

        A constant may be added to those of an image; what knows the log odds of one of two classes alone
        gives `trials.evaluation.decisions.of_two`.
        """

    def save(self, folder: RunFolder, frozen: Frozen) -> None:  # noqa: B027
        """Write the model with what is frozen; some methods have no file."""

    def warnings(self, folder: Path) -> list[str]:
        """Return what a reader of the results should know of the training, a sentence each."""
        return []

    def estimate(self) -> dict[str, float] | None:
        """Return what `fit` would cost, from a few timed steps; None where it is not worth asking."""
        return None
