"""The methods of a comparison: all runs of each, and what they say of test and external images.

A method may have runs of several seeds. Its figures are then those of one model, mean over the seeds, and
not of the seeds' models together, which do better than any of them and cost as many times as much.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from trials.runs.collection import Collection, Predictions, mean_predictions, pooled, predictions_of
from trials.runs.finished import Run


@dataclass(frozen=True, eq=False)
class MethodRuns:
    """All runs of one method, by fold and seed, every seed with the same folds.

    And what it says of the test folds, pooled, and of external images, on which perhaps not all seeds' models
    were tested.
    """

    name: str
    label: str
    runs: tuple[Run, ...]
    tested: Predictions | None
    external: Predictions | None
    external_seeds: Sequence[int] = ()

    @property
    def saw_other_data(self) -> bool:
        """Whether its weights come from other images, so that it is shown apart."""
        return bool(self.runs[0].metrics["saw_other_data"])

    @property
    def seeds(self) -> list[int]:
        """The seeds of its runs."""
        return sorted({run.seed for run in self.runs})

    def place(self, run: Run) -> str:
        """Say which of its runs this is: its label, fold and, where there are several, seed."""
        fold = "" if run.fold is None or run.own_split else f", fold {run.fold}"
        return self.label + fold + (f", seed {run.seed}" if len(self.seeds) > 1 else "")

    @property
    def layout(self) -> str | None:
        """The layout that its cells stand in; None: it is not made of cells."""
        return self.runs[0].metrics["layout"]

    @property
    def missing_folds(self) -> list[int]:
        """The outer folds of the comparison that no run of it has tested."""
        count = next((run.metrics["folds"] for run in self.runs if run.fold is not None), 0)
        return sorted(set(range(count)) - {run.fold for run in self.runs if run.fold is not None})


def methods_of(found: Collection, runs: Sequence[Run]) -> list[MethodRuns]:
    """Sort runs by method."""
    return [_method(found, whole_seeds(group)) for group in by_method(runs)]


def by_method(runs: Sequence[Run]) -> list[list[Run]]:
    """Return the runs of each method, by seed and fold."""
    return [list(group) for _, group in groupby(sorted(runs, key=_order), key=lambda run: run.method)]


def _order(run: Run) -> tuple[str, int, int]:
    return run.method, run.seed, -1 if run.fold is None else run.fold


def whole_seeds(runs: Sequence[Run]) -> list[Run]:
    """Return the runs of a method's seeds that have all folds which any of its seeds has.

    Else its seeds would be measured on different images. Where no seed has them all, one that has most.
    """
    folds = {run.seed: folds_of(runs, run.seed) for run in runs}
    most = max(folds.values(), key=len)
    return [run for run in runs if folds[run.seed] == most]


def folds_of(runs: Sequence[Run], seed: int) -> set[int | None]:
    """Return the folds that a seed's runs have tested."""
    return {run.fold for run in runs if run.seed == seed}


def _method(found: Collection, runs: Sequence[Run]) -> MethodRuns:
    name, seeds = runs[0].method, sorted({run.seed for run in runs})
    external = {seed: found.external[name, seed] for seed in seeds if (name, seed) in found.external}
    return MethodRuns(
        name,
        runs[0].label,
        tuple(runs),
        tested=_over_seeds(_tested(runs)),
        external=_over_seeds({Path(f"seed {seed}"): said for seed, said in external.items()}),
        external_seeds=tuple(external),
    )


def _tested(runs: Sequence[Run]) -> dict[Path, Predictions | None]:
    """Return what each seed's models say of their test folds, by the seed's first folder."""
    found: dict[Path, Predictions | None] = {}
    for _, group in groupby(runs, key=lambda run: run.seed):
        whole = list(group)
        parts = [
            predictions_of(run, run.tested, run.metrics["data"], run.fold)
            for run in whole
            if run.fold is not None
        ]
        found[whole[0].folder] = pooled(parts) if parts else None
    return found


def _over_seeds(by_seed: Mapping[Path, Predictions | None]) -> Predictions | None:
    """Return the seeds' mean, which holds each seed's predictions where there are several."""
    known = {place: found for place, found in by_seed.items() if found is not None}
    if len(known) < 2:
        return next(iter(known.values()), None)
    return replace(mean_predictions(known), seeds=tuple(known.values()))
