"""Readings of a comparison: all classes, and one class against all others.

A run of two classes has the second alone. A run of more has the first and, where a class is positive or asked
for, the second beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Generic, TypeVar

import numpy as np

from search_space.progress import progress
from trials.errors import EvaluationError
from trials.report.class_summaries import ClassSummary, summarise_classes
from trials.report.comparison import Comparison
from trials.report.methods import MethodRuns
from trials.report.paired_tests import PairedTest, Side, against, paired_tests, within_layouts
from trials.report.smallest_differences import Power, power
from trials.report.summaries import Said, Summary, by_patient, strongest_without_cells, summarise
from trials.runs.collection import BinaryPredictions

Summed = TypeVar("Summed", bound=Summary[Any])


@dataclass(frozen=True, eq=False)
class Reading(Generic[Summed]):
    """The methods on test folds and on external images, best first; and the tables of tests by name."""

    tested: Sequence[Summed]
    external: Sequence[Summed]
    reference: MethodRuns
    tests: Mapping[str, Sequence[PairedTest]]

    @property
    def everything(self) -> list[Summed]:
        """The methods on test folds, and then on external images."""
        return [*self.tested, *self.external]


@dataclass(frozen=True, eq=False)
class BinaryReading(Reading[Summary[BinaryPredictions]]):
    """Of the class `positive`; `patients` are the external figures by patient or other group.

    Of more than two classes there are none: an image is called by all its probabilities, and not by a
    threshold that a mean could be held against.
    """

    positive: str
    prevalence: float
    patients: Sequence[Summary[BinaryPredictions]]
    power: Power | None


def read_classes(comparison: Comparison, reference: str | None) -> Reading[ClassSummary]:
    """Work out all figures of all classes; raises as `read_binary`."""
    ordered = bool(comparison.first.metrics.get("ordered"))
    return _reading(
        comparison,
        lambda method: method.tested,
        lambda method: method.external,
        partial(summarise_classes, ordered=ordered),
        reference,
    )


def read_binary(
    comparison: Comparison, positive: str, reference: str | None, prevalence: float
) -> BinaryReading:
    """Work out all figures of one class against all others.

    Raises `EvaluationError` where there are none, for an unknown class and for an unknown reference.
    """
    names = comparison.first.classes.names
    if positive not in names:
        raise EvaluationError(f"class {positive!r}: expected one of the runs' classes {', '.join(names)}")

    @cache
    def inside(method: MethodRuns) -> BinaryPredictions | None:
        return None if method.tested is None else method.tested.against(positive)

    @cache
    def outside(method: MethodRuns) -> BinaryPredictions | None:
        return None if method.external is None else method.external.against(positive)

    measure = partial(summarise, prevalence=prevalence)
    found = _reading(comparison, inside, outside, measure, reference)
    by_threshold = found.external if len(names) == 2 else ()
    return BinaryReading(
        **vars(found),
        positive=positive,
        prevalence=prevalence,
        patients=[measure(one.method, by_patient(one.predictions)) for one in by_threshold],
        power=power(_of(found.tested or found.external, found.reference), found.tests["reference"]),
    )


def _reading(
    comparison: Comparison,
    inside: Side[Said],
    outside: Side[Said],
    summarised: Callable[[MethodRuns, Said], Summed],
    reference: str | None,
) -> Reading[Summed]:
    tested, external = (_summaries(comparison, side, summarised) for side in (inside, outside))
    if not tested and not external:
        raise EvaluationError("no run has test images or external predictions: there is nothing to report")
    chosen = _reference(tested or external, reference)
    elsewhere = chosen if chosen.external else strongest_without_cells(external)
    everyone = comparison.methods
    tests = {
        "reference": paired_tests(against(chosen, everyone), inside),
        "layouts": paired_tests(within_layouts(everyone), inside),
        "external": paired_tests(against(elsewhere, everyone) if elsewhere else [], outside),
    }
    return Reading(tested, external, chosen, tests)


def _summaries(
    comparison: Comparison, side: Side[Said], summarised: Callable[[MethodRuns, Said], Summed]
) -> list[Summed]:
    """Summarise who has predictions on that side: best first, those that saw other data last."""
    found = [
        summarised(method, predictions)
        for method in progress(comparison.methods, "methods summarised")
        if (predictions := side(method)) is not None and len(predictions.files)
    ]
    return sorted(found, key=_best_first)


def _best_first(one: Summary[Any]) -> tuple[bool, bool, float]:
    known = bool(np.isfinite(one.auc))
    return one.method.saw_other_data, not known, -one.auc if known else 0.0


def _reference(summaries: Sequence[Summary[Any]], name: str | None) -> MethodRuns:
    if name is None:
        strongest = strongest_without_cells(summaries)
        assert strongest is not None  # there are summaries
        return strongest
    known = {one.method.name: one.method for one in summaries}
    if name not in known:
        raise EvaluationError(f"reference {name!r}: expected one of the methods {', '.join(sorted(known))}")
    return known[name]


def _of(summaries: Sequence[Summed], method: MethodRuns) -> Summed:
    return next(one for one in summaries if one.method is method)
