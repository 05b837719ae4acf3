"""The interface of a method: it learns from a task's training images, then gives log odds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from trials.data.dataset import LesionData
from trials.runs.folder import RunFolder
from trials.runs.reporter import Reporter


class Method(ABC):
    """One model to be; nothing is written before `fit`.

    `sections` are those of the settings that matter to it. `identity` tells it from others of its name.
    `facts` go into `metrics.json`; `search_seen` is what a search that chose its cells has seen.
    """

    sections: ClassVar[frozenset[str]] = frozenset({"data"})
    identity: Mapping[str, Any] = MappingProxyType({})
    facts: Mapping[str, Any] = MappingProxyType({"parameters": None, "macs": None})
    search_seen: Mapping[str, Any] | None = None
    disk_bytes: int = 20_000_000  # about what is written

    @abstractmethod
    def fit(self, folder: RunFolder, reporter: Reporter, *, refit: bool = False) -> float:
        """Learn from the task's training images, or go on with it; return the seconds it took in all.

        With `refit` forget that, and learn from the start from all images that the task may learn from.
        """

    @abstractmethod
    def log_odds(self, data: LesionData, indices: np.ndarray) -> np.ndarray:
        """Return the log odds of the positive class for the images at `indices`: float64 [n], finite."""

    def save(  # noqa: B027
        self, folder: RunFolder, threshold: float, temperature: float, warnings: Sequence[str]
    ) -> None:
        """Write the model, frozen, its threshold in log odds, with its warnings; some have no file."""

    def warnings(self, folder: Path) -> list[str]:
        """Return what a reader of its results should know of how it learnt, a sentence each."""
        return []

    def estimate(self) -> dict[str, float] | None:
        """Return what `fit` would cost, from a few timed steps; None where it is not worth asking."""
        return None
