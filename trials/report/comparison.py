"""A comparison: methods with their predictions, searches, and what is missing or doubtful."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trials.data.findings import findings_of
from trials.errors import EvaluationError
from trials.report.doubts import doubts
from trials.report.methods import MethodRuns, methods_of
from trials.runs.collect import collect
from trials.runs.collection import Search
from trials.runs.finished import Failed, Run


@dataclass(frozen=True, eq=False)
class Comparison:
    """What `read_comparison` finds; `warnings` are what a reader must know before the figures.

    `failed` are the runs that ended in an error, also of methods and searches that have no finished one.
    `ranked` are the runs of architectures trained alone, whose places in a search's ranking are known.
    """

    methods: tuple[MethodRuns, ...]
    searches: tuple[Search, ...]
    ranked: tuple[Run, ...]
    failed: tuple[Failed, ...]
    warnings: tuple[str, ...]

    @property
    def first(self) -> Run:
        """Any of the runs: what they have in common can be read from it."""
        return self.methods[0].runs[0]

    @property
    def findings(self) -> list[tuple[str, list[str]]]:
        """What was found in the data, and in the external data, each with its name."""
        runs = [run for one in self.methods for run in one.runs]
        described = [(self.first.metrics["data"], self.first.record.get("data"))]
        external = next((found for run in runs if (found := run.record.get("external_data"))), None)
        described += [(f"external {external['name']}", external)] if external else []
        return [(name, findings_of(found)) for name, found in described]

    def found_by(self, search: Search) -> list[str]:
        """Name the runs that have the cells which a search found."""
        return [
            method.place(run)
            for method in self.methods
            for run in method.runs
            if search.architecture is not None and run.architecture == search.architecture
        ]


def read_comparison(places: Sequence[Path]) -> Comparison:
    """Read the finished runs at or below `places`, and the searches there or beside a run that is named.

    Runs that tuning has judged by their validation images alone are left out, and counted in the warnings.
    Raises `EvaluationError` where there are none, and where runs are of different data, folds or positive
    classes, or two of the same method, fold and seed.
    """
    found = collect(places)
    taken = [run for run in found.runs if not run.for_tuning]
    runs = [run for run in taken if not run.is_candidate]
    if not runs:
        names = ", ".join(map(str, places)) or "no folder was named"
        reasons = "".join(f"; {one.place}, failed: {one.reason}" for one in found.failed)
        raise EvaluationError(
            f"{names}: no finished run there; finish one, or name the folder above the runs{reasons}"
        )
    methods = methods_of(found, runs)
    return Comparison(
        tuple(methods),
        found.searches,
        tuple(run for run in taken if run.is_candidate),
        found.failed,
        tuple(doubts(found, methods)),
    )
