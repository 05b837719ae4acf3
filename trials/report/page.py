"""The report's page: a Jinja template that escapes all text, with the figures inside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup

from search_space import Architecture
from search_space.enas.drawing import figure
from search_space.progress import progress
from trials.evaluation.bootstrap import ALL_AGREE, DRAWS, Interval
from trials.methods.registry import METHODS
from trials.models.specs import NOT_FOR
from trials.report.attention import LARGEST, colour_bar, surest_cases, surest_class_cases
from trials.report.checklists import Item, checklists
from trials.report.class_summaries import ClassSummary
from trials.report.comparison import Comparison
from trials.report.data_set import SUBGROUPS, DataSet, shortcuts, subgroups, truth_and_geometry
from trials.report.drawing import Drawing, drawn_together
from trials.report.facts import Facts, facts_of
from trials.report.figures import (
    calibration_figure,
    class_roc_figure,
    confusion_figure,
    data_uri,
    fold_figure,
    history_figure,
    ranking_figure,
    risk_coverage_figure,
    roc_figure,
)
from trials.report.readings import BinaryReading, Reading
from trials.report.search_quality import SearchQuality
from trials.report.summaries import UNDECIDED, Summary
from trials.runs.collection import BinaryPredictions
from trials.runs.finished import Run

NOT_KNOWN = "–"
_ON_AGREEMENT = "no draw has another value, as where nothing is called wrongly; other images may have one"
CURVES = 6  # classes of which ROC curves are drawn

JOINING = {name for name, entry in METHODS.items() if entry.joins}  # the methods that join others


@dataclass(frozen=True, eq=False)
class Page:
    """All that the page shows; one of the readings at least is there."""

    comparison: Comparison
    qualities: Sequence[SearchQuality]
    classes: Reading[ClassSummary] | None
    binary: BinaryReading | None
    data: DataSet | None

    @property
    def facts(self) -> Facts:
        """How the comparison was made."""
        return facts_of(self.comparison, _rule(self.headline.reference.runs[0]))

    @property
    def checklists(self) -> list[Item]:
        """Checklists for an article, filled where the runs know."""
        power = self.binary.power if self.binary else None
        smallest = power.words if power else None
        return checklists(self.facts, tested=bool(self.headline.tested), smallest=smallest)

    @property
    def headline(self) -> Reading[Any]:
        """The reading that comes first."""
        reading = self.classes or self.binary
        assert reading is not None
        return reading


def render(page: Page) -> tuple[str, list[Drawing]]:
    """Return the page as one HTML text that loads nothing else, and the figures that it links to."""
    here = Path(__file__).parent
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(here),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": number,
        "interval": interval,
        "whole": whole,
        "percent": percent,
        "p": p_value,
        "signed": signed,
    }
    shown = _shown(page)
    style = Markup((here / "page.css").read_text(encoding="utf-8"))
    text = environment.get_template("page.html.j2").render(shown, style=style)
    return text, list(_drawings(shown.values()))


def _shown(page: Page) -> dict[str, Any]:
    """Return what the template shows, by name."""
    comparison = page.comparison
    description = comparison.first.record.get("data") or {}
    return {
        "page": page,
        "description": description,
        "metrics": comparison.first.metrics,
        "left_out": _left_out(description),
        **(_of_classes(page.classes, page.data) if page.classes else {}),
        **(_of_binary(page.binary, page.data) if page.binary else {}),
        "best": _best(page.headline),
        "area": "macro AUC" if page.classes else "AUC",
        "undecided": UNDECIDED,
        "bar": colour_bar(),
        "largest": LARGEST,
        "ordered": bool(comparison.first.metrics.get("ordered")),
        "history": _history(comparison),
        "ranking": ranking_figure(page.qualities) if page.qualities else None,
        "cells": _cells(comparison),
        "own_split": comparison.first.own_split,
        "several_seeds": any(len(one.seeds) > 1 for one in comparison.methods),
        "runs": [(one, run) for one in comparison.methods for run in one.runs],
        "versions": _versions(comparison),
        "not_for": NOT_FOR,
        "draws": DRAWS,
    }


def _best(reading: Reading[Any]) -> list[tuple[str, Summary[Any]]]:
    """Return the best method of the test, what it does on external images, and the best there.

    An ensemble of chosen members comes first however it does: no test image has a part in that.
    """
    joined = [("Ensemble in the test", one) for one in reading.tested if one.method.name in JOINING]
    found = joined or [("Best in the test", one) for one in reading.tested[:1]]
    found += [
        ("The same on external images", one)
        for one in reading.external
        if found and one.method is found[0][1].method
    ]
    return found + [("Best on external images", one) for one in reading.external[:1] if len(found) < 2]


def _drawings(shown: Iterable[Any]) -> Iterator[Drawing]:
    """Yield the figures among what the page shows."""
    for value in shown:
        if isinstance(value, Drawing):
            yield value
        elif isinstance(value, list | tuple):
            yield from _drawings(value)


def _of_classes(reading: Reading[ClassSummary], data: DataSet | None) -> dict[str, Any]:
    """Return what the page shows of all classes, beside the reading."""
    tested, external = reading.tested, reading.external
    return {
        "rule": _rule(reading.reference.runs[0]),
        "drawn": _drawn(tested),
        "class_roc": class_roc_figure(tested, _drawn(tested), "class-roc-curves") if _drawn(tested) else None,
        "class_external_roc": class_roc_figure(external, _drawn(external), "class-external-roc-curves")
        if _drawn(external)
        else None,
        "class_calibration": calibration_figure(tested, "class-calibration") if tested else None,
        "class_refusal": risk_coverage_figure(tested, "class-accuracy-over-undecided") if tested else None,
        "class_folds": fold_figure(tested, "macro-auc-of-folds", "macro AUC") if tested else None,
        "confusions": _confusions(tested, "confusion"),
        "external_confusions": _confusions(external, "external-confusion"),
        "class_surest": [(one, surest_class_cases(one, data)) for one in progress(tested, "methods mapped")],
    }


def _drawn(summaries: Sequence[ClassSummary]) -> list[str]:
    """Return the classes of most images, `CURVES` at most, in their order, which have ROC curves."""
    images = summaries[0].images if summaries else {}
    known = [name for name, count in images.items() if 0 < count < sum(images.values())]
    most = sorted(known, key=lambda name: -images[name])[:CURVES]
    return [name for name in known if name in most]


def _confusions(summaries: Sequence[ClassSummary], name: str) -> list[tuple[ClassSummary, Drawing]]:
    return [
        (one, confusion_figure(one, f"{name}-{index}-{one.method.name}"))
        for index, one in enumerate(summaries, start=1)
    ]


def _rule(run: Run) -> str:
    """Say which class an image is called."""
    if run.classes.are_two:
        return f"{run.classes.positive} where its probability reaches the frozen threshold"
    if run.decision.costs is not None:
        return "the class of least expected cost"
    if run.decision.first is None:
        return "its likeliest class"
    name = run.classes.names[run.decision.first]
    return f"{name} where its probability reaches the frozen threshold, and else the likeliest other class"


def _of_binary(reading: BinaryReading, data: DataSet | None) -> dict[str, Any]:
    """Return what the page shows of one class against all others, beside the reading."""
    tested = reading.tested
    both_classes = [one for one in tested if one.pooled_auc.known]
    external = [one for one in reading.external if one.pooled_auc.known]
    return {
        "roc": roc_figure(both_classes) if both_classes else None,
        "calibration": calibration_figure(both_classes) if both_classes else None,
        "refusal": risk_coverage_figure(tested) if tested else None,
        "folds": fold_figure(tested) if tested else None,
        "external_roc": roc_figure(external, name="external-roc-curves") if external else None,
        "surest": [
            (one, surest_cases(one, data, reading.positive)) for one in progress(tested, "methods mapped")
        ],
        "shortcuts": _shortcuts(tested, data),
        "subgroups": _subgroups(tested, data),
    }


def number(value: float | None, digits: int = 3) -> str:
    """Write a number, a dash where it is not defined."""
    return NOT_KNOWN if value is None or not np.isfinite(value) else f"{value:.{digits}f}"


def interval(value: Interval, digits: int = 3) -> Markup:
    """Write an estimate with its limits in small letters."""
    if not np.isfinite(value.low):
        return Markup(number(value.estimate, digits))
    return _with_limits(value, f".{digits}f")


def whole(value: float | None) -> str:
    """Write a count with its thousands apart."""
    return NOT_KNOWN if value is None else f"{value:,.0f}"


def percent(value: float | None) -> str:
    """Write a share in percentage points."""
    return NOT_KNOWN if value is None else f"{100 * value:.1f}"


def p_value(value: float) -> str:
    """Write a p value, a dash where it is not defined."""
    if not np.isfinite(value):
        return NOT_KNOWN
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def signed(value: Interval) -> Markup:
    """Write a difference with its sign and limits, a dash where it is not defined."""
    if not value.known:
        return Markup(NOT_KNOWN)
    return _with_limits(value, "+.3f")


def _with_limits(value: Interval, form: str) -> Markup:
    limits = f"<small>{value.low:{form}} to {value.high:{form}}</small>"
    if value.all_agree:
        limits = f'<small title="{_ON_AGREEMENT}">{ALL_AGREE}</small>'
    return Markup(f"{value.estimate:{form}} {limits}".replace("-", "\N{MINUS SIGN}"))


def _left_out(description: Mapping[str, Any]) -> list[tuple[str, list[Mapping[str, Any]]]]:
    """Return the images that took no part, by reason."""
    items = sorted(description.get("left_out") or [], key=lambda item: (item["reason"], item["group"]))
    return [(reason, list(part)) for reason, part in groupby(items, key=lambda item: item["reason"])]


def _history(comparison: Comparison) -> Drawing | None:
    histories = {
        f"{search.name} ({_strategy(search.record)})": search.record["history"]
        for search in comparison.searches
        if search.record.get("history")
    }
    return history_figure(histories) if histories else None


def _strategy(record: Mapping[str, Any]) -> str:
    return str(((record.get("settings") or {}).get("search") or {}).get("strategy", "search"))


def _cells(comparison: Comparison) -> list[tuple[str, str, Drawing]]:
    """Return the owners of each architecture, its drawing as an image and its files; equal cells once."""
    owners: dict[Architecture, list[str]] = {}
    for method in comparison.methods:
        for run in method.runs:
            if run.architecture is not None:
                owners.setdefault(Architecture.from_sample(run.architecture), []).append(method.place(run))
    drawings = drawn_together([figure(cells) for cells in owners], "cells", "Cells")
    images = [data_uri(drawing.svg, "image/svg+xml") for drawing in drawings]
    return list(zip(map("; ".join, owners.values()), images, drawings, strict=True))


def _shortcuts(
    tested: Sequence[Summary[BinaryPredictions]], data: DataSet | None
) -> Mapping[str, Any] | None:
    """Return each method's shortcuts and the truth's; None where the boxes are not known."""
    if data is None:
        return None
    rows, truth = [], None
    for summary in tested:
        geometry = data.geometry(summary.predictions.files)
        if geometry is not None:
            rows.append(shortcuts(summary.method.label, summary.predictions, geometry))
            truth = truth or truth_and_geometry(summary.predictions, geometry)
    return {"rows": rows, "truth": truth} if rows else None


def _subgroups(
    tested: Sequence[Summary[BinaryPredictions]], data: DataSet | None
) -> list[tuple[str, list[tuple[str, Any]]]]:
    """Return, for each column of `SUBGROUPS` that is there, each method's subgroups."""
    if data is None:
        return []
    found = []
    for column in SUBGROUPS:
        rows = [
            (summary.method.label, subgroups(summary.predictions, values))
            for summary in tested
            if (values := data.column(column, summary.predictions.files)) is not None
        ]
        if rows:
            found.append((column, rows))
    return found


def _versions(comparison: Comparison) -> list[tuple[str, str]]:
    """Return every package with the versions that the runs were made with, and how many runs of each."""
    versions: dict[str, Counter[str]] = {}
    for method in comparison.methods:
        for run in method.runs:
            for package, version in (run.metrics.get("versions") or {}).items():
                versions.setdefault(package, Counter())[str(version)] += 1
    return [
        (
            package,
            next(iter(counts))
            if len(counts) == 1
            else ", ".join(f"{version} ({count} runs)" for version, count in counts.items()),
        )
        for package, counts in versions.items()
    ]
