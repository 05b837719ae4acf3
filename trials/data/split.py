"""Which images a run learns from, chooses by and is tested on.

Of the images outside the test fold most are trained on; the rest, whole groups, choose the decision threshold
and the temperature, which are then frozen. Data with a split of their own say all three parts themselves.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from trials.data.covariates import CovariateCoding, coding_of
from trials.data.dataset import LesionData
from trials.data.findings import say
from trials.data.folds import OWN_SPLIT, assign_folds, inner_split, inner_splits
from trials.data.leaks import hashes_of, refuse_copies, refuse_overlap, seen
from trials.data.load import load_data
from trials.data.records import SPLITS
from trials.errors import DataError, SettingsError
from trials.settings.data import DataSettings
from trials.settings.schema import Settings

_MADE_BY = (  # settings that say which images there are, what of each, and in which part it is
    *("positive", "ordered", "group_column", "accept", "classes", "duplicates", "frames"),
    *("validation_fraction", "fold_seed", "balanced_draw"),
    *("covariates", "categories", "log_covariates"),
)


@dataclass(frozen=True, eq=False)
class Split:
    """Loaded data, and the indices of a run's training, validation and test images: int64 [n] each.

    Outer fold `fold` of `folds` is tested, None: nothing is. Of data with a split of their own it is fold 0
    of 1. `seed` has drawn the validation images, and is the seed of all runs on this split. `source` and
    `notes` say where the folds came from; `settings` are those that made the split. `part` (j, k): it is
    one of the k of a cross-fit; `member` (i, m): one of m networks of a set is trained on it, from its own
    seed. Raises `LeakError` where a test image, an image of its group or a copy of it would be learned from,
    and `DataError` as `coding_of`.
    """

    data: LesionData
    training: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    folds: int | None
    fold: int | None
    seed: int
    source: str
    settings: DataSettings
    notes: tuple[str, ...] = ()
    part: tuple[int, int] | None = None
    member: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.part is None and self.member is None:
            say(self.doubts)
        if len(self.test):
            self.refuse_seen(self.data, self.test, "give them one group, or take one of them out")

    @classmethod
    def load(
        cls, path: str | Path, settings: Settings, *, folds: int = 5, fold: int | None = None, seed: int = 0
    ) -> Split:
        """Decode the data set at `path` and split it; raises as `load_data` and `of`."""
        return cls.of(load_data(path, settings), settings, folds=folds, fold=fold, seed=seed)

    @classmethod
    def of(
        cls,
        data: LesionData,
        settings: Settings,
        *,
        folds: int = 5,
        fold: int | None = None,
        seed: int = 0,
    ) -> Split:
        """Set outer fold `fold` of `folds` aside for the test (None: nothing) and split the rest by `seed`.

        Groups are never split. Data with a split of their own are split so, whatever the seed. Raises
        `DataError` where the images are too few, and for folds of data that have their own split.
        """
        options = settings.data
        if data.splits is not None:
            _refuse_folds(data, folds, fold)
            training, validation, test = map(data.of_split, SPLITS)
            return cls(data, training, validation, test, 1, 0, seed, OWN_SPLIT, options)
        rest, test, source = np.arange(len(data.files)), np.arange(0), "no folds"
        notes: tuple[str, ...] = ()
        if fold is not None:
            assigned = assign_folds(data, folds, options.fold_seed, options.accept)
            source, notes = assigned.source, assigned.notes
            rest, test = assigned.split(fold)
            say(notes)
        training, validation = inner_split(data, rest, options.validation_fraction, seed)
        count = None if fold is None else folds
        return cls(data, training, validation, test, count, fold, seed, source, options, notes)

    @cached_property
    def coding(self) -> CovariateCoding | None:
        """How covariates become inputs, fitted on the training images alone; None: there are none."""
        options = self.settings
        return coding_of(self.data, self.training, categories=options.categories, log=options.log_covariates)

    @cached_property
    def doubts(self) -> list[str]:
        """What is odd about the covariates of images that are not trained on, a sentence each."""
        parts = {"validation": self.validation, "test": self.test}
        return [
            line
            for name, indices in parts.items()
            if self.coding and len(indices)
            for line in self.coding.doubts(self.data.cells(indices), f"{name} images")
        ]

    @cached_property
    def development(self) -> np.ndarray:
        """Indices of all images outside the test: those trained on, then those that choose."""
        if np.array_equal(self.training, self.validation):  # of all parts of a cross-fit
            return self.training
        return np.concatenate([self.training, self.validation])

    def cross_fitted(self, parts: int) -> tuple[Split, tuple[Split, ...]]:
        """Return the split whose images outside the test all choose, and the `parts` that are trained for it.

        Each part leaves out other whole groups, which choose in it, and has a seed of its own. Data with a
        split of their own keep it: the parts differ by their seeds alone. Raises `DataError` where no
        grouped split leaves every class on both sides of each part.
        """
        if self.data.splits is not None:
            halves = [(self.training, self.validation)] * parts
            whole = self
        else:
            everything = np.sort(self.development)
            halves = inner_splits(self.data, everything, parts, self.seed)
            whole = replace(self, training=everything, validation=everything)
        return whole, tuple(
            replace(self, training=training, validation=left, seed=self.seed + j, part=(j, parts))
            for j, (training, left) in enumerate(halves)
        )

    def members(self, count: int) -> tuple[Split, ...]:
        """Return the splits of `count` networks that decide together: the same images, each its own seed.

        The first one's is that of this split; the others are drawn from it.
        """
        drawn = np.random.SeedSequence(self.seed).generate_state(count).tolist()
        seeds = [self.seed, *drawn[1:]]
        return tuple(replace(self, seed=seed, member=(i, count)) for i, seed in enumerate(seeds))

    @cached_property
    def seen(self) -> dict[str, Any]:
        """What a run on this split has seen, as `leaks` tells it."""
        return seen(self.data, self.development) | hashes_of(self.data, self.development)

    @property
    def place(self) -> dict[str, Any]:
        """Its folds, fold and seed by name, and which part of a cross-fit, and for which member, it is."""
        of = {"part": self.part, "member": self.member}
        nested = {name: list(which) for name, which in of.items() if which is not None}
        return {"folds": self.folds, "fold": self.fold, "seed": self.seed, **nested}

    @property
    def identity(self) -> dict[str, Any]:
        """What makes this split itself and no other."""
        return {"data": self.data.digest, "test": digest(self.test), **self.place}

    def describe(self) -> dict[str, Any]:
        """Return, as JSON values, which data were found and how they are split."""
        data = self.data
        counts = np.bincount(data.labels, minlength=len(data.classes)).tolist()
        return {
            "name": data.name,
            "layout": data.layout,
            "digest": data.digest,
            "images": dict(zip(data.classes, counts, strict=True)),
            "positive": data.positive,
            **({"ordered": list(data.classes)} if data.ordered else {}),
            "groups": len(set(data.groups)),
            "group_source": data.group_source,
            "left_out": [asdict(item) for item in data.left_out],
            "notes": [*data.notes, *self.notes, *self.doubts],
            "grey_range": list(data.grey_range),
            "folds": self.source,
            "training": len(self.training),
            "validation": len(self.validation),
            "test": len(self.test),
        }

    def check(self, settings: DataSettings) -> None:
        """Raise `SettingsError` for settings of a run by which this split would be another."""
        for name in _MADE_BY:
            made, given = getattr(self.settings, name), getattr(settings, name)
            if made != given:
                raise SettingsError(
                    f"data.{name} = {given!r}: the data were split with {made!r}; split them with the "
                    "settings of the run"
                )

    def refuse_seen(self, tested: LesionData, test: np.ndarray, way_out: str) -> None:
        """Raise `LeakError` where an image of `tested` at `test` is or resembles one outside the test."""
        known = seen(self.data, self.development)  # of the pictures themselves, not of hashes, see below
        refuse_overlap(known, tested, test, f"a training on {self.data.name}", way_out)
        if tested is not self.data or self.data.splits is None:  # there `official_split` has looked
            refuse_copies(self.data, self.development, tested, test, way_out)


def digest(indices: np.ndarray) -> str:
    """Return what tells these indices, int64 [n], from others."""
    return hashlib.sha256(indices.tobytes()).hexdigest()[:16]


def _refuse_folds(data: LesionData, folds: int, fold: int | None) -> None:
    if fold is not None and (folds, fold) != (1, 0):
        raise DataError(
            f"{data.root}: fold {fold} of {folds}, but the data have a split of their own, which every "
            "run takes; leave out --folds and --fold, or fold and folds in an experiment"
        )
