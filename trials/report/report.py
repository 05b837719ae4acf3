"""Report: one comparison's finished runs as one page and the tables beside it.

Writes `report.html`, which loads nothing from elsewhere, `results.csv` (a row a method and data set),
`measures.csv` (every measure with its interval), `tests.csv` (paired tests) and `search_quality.csv` (how
well searches rank).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from trials.errors import EvaluationError
from trials.evaluation.measures import check_prevalence
from trials.report.comparison import Comparison, read_comparison
from trials.report.data_set import read_data
from trials.report.methods import MethodRuns
from trials.report.page import Page, render
from trials.report.search_quality import QUALITY, search_quality
from trials.report.summaries import (
    PREVALENCE,
    PairedTest,
    Summary,
    against,
    by_patient,
    paired_tests,
    power,
    strongest_without_cells,
    summarise,
    within_layouts,
)
from trials.report.tables import MEASURES, RESULTS, TESTS, measure_rows, result_row, row_of_test
from trials.runs.collection import Predictions
from trials.runs.finished import Failed
from trials.runs.folder import RunFolder, check_place
from trials.runs.layout import MEASURES_TABLE, REPORT_PAGE, RESULTS_TABLE, SEARCH_QUALITY_TABLE, TESTS_TABLE


def run_report(
    places: Sequence[str | Path],
    out: str | Path,
    *,
    data: str | Path | None = None,
    group_column: str | None = None,
    reference: str | None = None,
    prevalence: float = PREVALENCE,
) -> dict[str, Any]:
    """Report the finished runs at or below `places` in the folder `out`; return rows, tests and warnings.

    `data` is the runs' data set, for pictures, geometry and subgroups, grouped by the runs' own
    `group_column` unless told; `reference` the method that others
    are tested against, the strongest without cells unless told; `prevalence` that of PPV and NPV.
    The same `out` may be used again as more runs come in. Raises ValueError for runs that do not belong
    together, an unknown reference and a prevalence outside of 0 to 1.
    """
    out = Path(out)
    check_place(out)  # both before all the figures
    check_prevalence(prevalence)
    comparison = read_comparison([Path(place) for place in places])
    tested = _summaries(comparison, lambda method: method.tested, prevalence)
    external = _summaries(comparison, lambda method: method.external, prevalence)
    if not tested and not external:
        raise EvaluationError("no run has test images or external predictions: there is nothing to report")
    chosen = _reference(comparison, tested or external, reference)
    tests = _tests(comparison, chosen, chosen if chosen.external else strongest_without_cells(external))
    qualities = search_quality(comparison.ranked)
    page = Page(
        comparison=comparison,
        qualities=qualities,
        tested=tested,
        external=external,
        patients=[summarise(one.method, by_patient(one.predictions), prevalence) for one in external],
        reference=chosen,
        tests=tests,
        power=power(_of(tested or external, chosen), tests["reference"]),
        data=None if data is None else read_data(Path(data), comparison, group_column),
        prevalence=prevalence,
    )
    identity = {"verb": "report", "data": comparison.first.metrics["data_digest"]}
    rows = [result_row(summary) for summary in (*tested, *external)]
    test_rows = [row_of_test(name, test) for name, table in tests.items() for test in table]
    with RunFolder(out, identity) as folder:
        folder.write_csv(RESULTS_TABLE, RESULTS, ([row[name] for name in RESULTS] for row in rows))
        folder.write_csv(
            MEASURES_TABLE, MEASURES, (row for one in (*tested, *external) for row in measure_rows(one))
        )
        folder.write_csv(TESTS_TABLE, TESTS, ([row[name] for name in TESTS] for row in test_rows))
        folder.write_csv(SEARCH_QUALITY_TABLE, QUALITY, (one.row() for one in qualities))
        folder.write_text(REPORT_PAGE, render(page))
        folder.finish()
    return {
        "page": str(out / REPORT_PAGE),
        "reference": chosen.name,
        "results": rows,
        "tests": test_rows,
        "search_quality": [dict(zip(QUALITY, one.row(), strict=True)) for one in qualities],
        "failed": [asdict(one) for one in comparison.failed],
        "warnings": list(comparison.warnings),
        "findings": [f"{name}: {line}" for name, lines in comparison.findings for line in lines],
    }


def _summaries(comparison: Comparison, side: Any, prevalence: float) -> list[Summary]:
    """Summarise who has predictions on that side: best first, those that saw other data last."""
    found = [
        summarise(method, predictions, prevalence)
        for method in comparison.methods
        if (predictions := side(method)) is not None and len(predictions.files)
    ]
    return sorted(found, key=_best_first)


def _best_first(one: Summary) -> tuple[bool, bool, float]:
    known = bool(np.isfinite(one.auc))
    return one.method.saw_other_data, not known, -one.auc if known else 0.0


def _reference(comparison: Comparison, summaries: Sequence[Summary], name: str | None) -> MethodRuns:
    if name is None:
        strongest = strongest_without_cells(summaries)
        assert strongest is not None  # there are summaries
        return strongest
    known = {one.method.name: one.method for one in summaries}
    if name not in known:
        raise EvaluationError(f"reference {name!r}: expected one of the methods {', '.join(sorted(known))}")
    return known[name]


def _of(summaries: Sequence[Summary], method: MethodRuns) -> Summary:
    return next(one for one in summaries if one.method is method)


def _tests(
    comparison: Comparison, reference: MethodRuns, external_reference: MethodRuns | None
) -> dict[str, list[PairedTest]]:
    """Return the tables of tests by name: against the reference, among cells of one layout, and external."""

    def inside(method: MethodRuns) -> Predictions | None:
        return method.tested

    def outside(method: MethodRuns) -> Predictions | None:
        return method.external

    everyone = comparison.methods
    return {
        "reference": paired_tests(against(reference, everyone), inside),
        "layouts": paired_tests(within_layouts(everyone), inside),
        "external": paired_tests(against(external_reference, everyone), outside)
        if external_reference
        else [],
    }


def text(result: dict[str, Any]) -> str:
    """Return what a reader wants first: warnings, the headline of each method, and where the page is."""
    lines = [f"WARNING: {warning}" for warning in result["warnings"]]
    lines += result["findings"]
    for row in result["results"]:
        spread = "" if row["auc_sd"] is None else f" ± {row['auc_sd']:.3f}"
        of_seeds = ""
        if row["auc_sd_seeds"] is not None:
            spread += f" (SD of {len(row['seeds'].split())} seeds {row['auc_sd_seeds']:.3f})"
            of_seeds = f" (SD of seeds {row['accuracy_sd_seeds']:.3f})"
        pooled = row["pooled_auc"]
        interval = (
            "" if row["low"] is None else f", pooled {pooled:.3f} ({row['low']:.3f} to {row['high']:.3f})"
        )
        area = "undefined" if row["auc"] is None else f"{row['auc']:.3f}{spread}{interval}"
        lines.append(f"{row['label']} on {row['data']}: AUC {area}, accuracy {row['accuracy']:.3f}{of_seeds}")
    lines += [f"{Failed(**one).place}: failed, no figures" for one in result["failed"]]
    for row in result["search_quality"]:
        stands = (
            "" if row["percentile"] is None else f", what ENAS found at percentile {row['percentile']:.0f}"
        )
        lines.append(
            f"search of {row['layout']}, fold {row['fold']}, seed {row['seed']}: Kendall's tau "
            f"{row['tau']:.2f} ({row['low']:.2f} to {row['high']:.2f}) over {row['n']} architectures{stands}"
        )
    return "\n".join([*lines, result["page"]])
