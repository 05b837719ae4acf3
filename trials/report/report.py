"""Report: one comparison's finished runs as one page and the tables beside it.

Writes `report.html`, which loads nothing from elsewhere, `results.csv` (a row a method and data set),
`measures.csv` (every measure with its interval), `tests.csv` (paired tests) and `search_quality.csv` (how
well searches rank).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from trials.errors import EvaluationError
from trials.evaluation.measures import check_prevalence
from trials.files import as_paths
from trials.report.comparison import Comparison, read_comparison
from trials.report.data_set import read_data
from trials.report.methods import MethodRuns
from trials.report.page import Page, render
from trials.report.paired_tests import PairedTest, Side, against, paired_tests, within_layouts
from trials.report.search_quality import search_quality
from trials.report.smallest_differences import power
from trials.report.summaries import (
    PREVALENCE,
    Summary,
    by_patient,
    strongest_without_cells,
    summarise,
)
from trials.report.tables import tables_of
from trials.runs.collection import BinaryPredictions
from trials.runs.finished import Failed
from trials.runs.folder import RunFolder, check_place
from trials.runs.layout import REPORT_PAGE, RESULTS_TABLE, SEARCH_QUALITY_TABLE, TESTS_TABLE


def run_report(
    places: str | Path | Sequence[str | Path],
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
    page = _page(read_comparison(as_paths(places)), reference, prevalence)
    if data is not None:
        page = replace(page, data=read_data(Path(data), page.comparison, group_column))
    tables = tables_of(page)
    with RunFolder(out, {"verb": "report", "data": page.comparison.first.metrics["data_digest"]}) as folder:
        for name, table in tables.items():
            folder.write_csv(name, table.columns, table.rows)
        folder.write_text(REPORT_PAGE, render(page))
        folder.finish()
    return {
        "page": str(out / REPORT_PAGE),
        "reference": page.reference.name,
        "results": tables[RESULTS_TABLE].as_dicts(),
        "tests": tables[TESTS_TABLE].as_dicts(),
        "search_quality": tables[SEARCH_QUALITY_TABLE].as_dicts(),
        "failed": [asdict(one) for one in page.comparison.failed],
        "warnings": list(page.comparison.warnings),
        "findings": [f"{name}: {line}" for name, lines in page.comparison.findings for line in lines],
    }


def _page(comparison: Comparison, reference: str | None, prevalence: float) -> Page:
    """Work out all figures; raises `EvaluationError` where there are none, and for an unknown reference."""
    tested = _summaries(comparison, _inside, prevalence)
    external = _summaries(comparison, _outside, prevalence)
    if not tested and not external:
        raise EvaluationError("no run has test images or external predictions: there is nothing to report")
    chosen = _reference(tested or external, reference)
    tests = _tests(comparison, chosen, chosen if chosen.external else strongest_without_cells(external))
    return Page(
        comparison=comparison,
        qualities=search_quality(comparison.ranked),
        tested=tested,
        external=external,
        patients=[summarise(one.method, by_patient(one.predictions), prevalence) for one in external],
        reference=chosen,
        tests=tests,
        power=power(_of(tested or external, chosen), tests["reference"]),
        data=None,
        prevalence=prevalence,
    )


def _inside(method: MethodRuns) -> BinaryPredictions | None:
    return None if method.tested is None else method.tested.binary


def _outside(method: MethodRuns) -> BinaryPredictions | None:
    return None if method.external is None else method.external.binary


def _summaries(comparison: Comparison, side: Side, prevalence: float) -> list[Summary]:
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


def _reference(summaries: Sequence[Summary], name: str | None) -> MethodRuns:
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
    everyone = comparison.methods
    elsewhere = against(external_reference, everyone) if external_reference else []
    return {
        "reference": paired_tests(against(reference, everyone), _inside),
        "layouts": paired_tests(within_layouts(everyone), _inside),
        "external": paired_tests(elsewhere, _outside),
    }


def text(result: dict[str, Any]) -> str:
    """Return what a reader wants first: warnings, the headline of each method, and where the page is."""
    lines = [f"WARNING: {warning}" for warning in result["warnings"]]
    lines += result["findings"]
    lines += map(_headline, result["results"])
    lines += [f"{Failed(**one).place}: failed, no figures" for one in result["failed"]]
    lines += map(_of_search, result["search_quality"])
    return "\n".join([*lines, result["page"]])


def _headline(row: dict[str, Any]) -> str:
    spread = "" if row["auc_sd"] is None else f" ± {row['auc_sd']:.3f}"
    of_seeds = ""
    if row["auc_sd_seeds"] is not None:
        spread += f" (SD of {len(row['seeds'].split())} seeds {row['auc_sd_seeds']:.3f})"
        of_seeds = f" (SD of seeds {row['accuracy_sd_seeds']:.3f})"
    pooled = row["pooled_auc"]
    interval = "" if row["low"] is None else f", pooled {pooled:.3f} ({row['low']:.3f} to {row['high']:.3f})"
    area = "undefined" if row["auc"] is None else f"{row['auc']:.3f}{spread}{interval}"
    return f"{row['label']} on {row['data']}: AUC {area}, accuracy {row['accuracy']:.3f}{of_seeds}"


def _of_search(row: dict[str, Any]) -> str:
    found = "" if row["percentile"] is None else f", ENAS's at percentile {row['percentile']:.0f}"
    return (
        f"search of {row['layout']}, fold {row['fold']}, seed {row['seed']}: Kendall's tau "
        f"{row['tau']:.2f} ({row['low']:.2f} to {row['high']:.2f}) over {row['n']} architectures{found}"
    )
