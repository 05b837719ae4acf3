"""Report: one comparison's finished runs as one page and the tables beside it.

Writes `report.html`, which loads nothing from elsewhere, `results.csv` (a row a method and data set),
`measures.csv` (every measure with its interval), `tests.csv` (paired tests), `search_quality.csv` (how
well searches rank) and `search_controls.csv` (how well scores without any training do). Of more than two
classes also `class_measures.csv` (every measure of each class against all others) and `confusion.csv`; and
where one of them is positive, `against_rest_results.csv`, `against_rest_measures.csv` and
`against_rest_tests.csv`, which are of that class against all others. Every figure of the page is also in
`figures/`, as SVG and PDF. For an article, `methods.txt` says how it was made, and `checklists.csv` has
TRIPOD+AI and CLAIM 2024, filled where the runs know.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path
from typing import Any

from trials.errors import EvaluationError
from trials.evaluation.bootstrap import ALL_AGREE
from trials.evaluation.measures import check_prevalence
from trials.files import as_paths
from trials.report.class_summaries import MACRO_AUC
from trials.report.comparison import Comparison, read_comparison
from trials.report.data_set import read_data
from trials.report.drawing import Drawing
from trials.report.page import Page, render
from trials.report.readings import read_binary, read_classes
from trials.report.search_quality import search_quality
from trials.report.summaries import PREVALENCE
from trials.report.tables import tables_of
from trials.runs.finished import Failed
from trials.runs.folder import RunFolder, check_place
from trials.runs.layout import CHECKLISTS_TABLE, FIGURES, MEASURES_TABLE, METHODS_TEXT, REPORT_PAGE


def run_report(
    places: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    data: str | Path | None = None,
    group_column: str | None = None,
    reference: str | None = None,
    positive: str | None = None,
    prevalence: float = PREVALENCE,
) -> dict[str, Any]:
    """Report the finished runs at or below `places` in the folder `out`; return rows, tests and warnings.

    `data` is the runs' data set, for pictures, geometry and subgroups, grouped by the runs' own
    `group_column` unless told; `reference` the method that others are tested against, the strongest without
    cells unless told. Of more than two classes, `positive` is read against all others too, the runs' own
    unless told. `prevalence` is that of PPV and NPV. The same `out` may be used again as more runs come in.
    Raises ValueError for runs that do not belong together, an unknown reference or class and a prevalence
    outside of 0 to 1.
    """
    out = Path(out)
    check_place(out)  # both before all the figures
    check_prevalence(prevalence)
    page = _page(read_comparison(as_paths(places)), reference, positive, prevalence)
    if data is not None:
        page = replace(page, data=read_data(Path(data), page.comparison, group_column))
    tables = tables_of(page)
    with RunFolder(out, {"verb": "report", "data": page.comparison.first.metrics["data_digest"]}) as folder:
        for name, table in tables.items():
            folder.write_csv(name, table.columns, table.rows)
        text, drawings = render(page)
        folder.write_text(REPORT_PAGE, text)
        folder.write_text(METHODS_TEXT, page.facts.text + "\n")
        _write_figures(folder, drawings)
        folder.finish()
    return {
        "page": str(out / REPORT_PAGE),
        "reference": page.headline.reference.name,
        **{
            Path(name).stem: table.as_dicts()
            for name, table in tables.items()
            if not name.endswith((MEASURES_TABLE, CHECKLISTS_TABLE))
        },
        "failed": [asdict(one) for one in page.comparison.failed],
        "warnings": list(page.comparison.warnings),
        "findings": [
            *(f"{name}: {line}" for name, lines in page.comparison.findings for line in lines),
            *(line for quality in page.qualities for line in quality.losses),
        ],
    }


def _write_figures(folder: RunFolder, drawings: Iterable[Drawing]) -> None:
    """Write the figures' files, and none of an earlier report's."""
    shutil.rmtree(folder.path / FIGURES, ignore_errors=True)
    (folder.path / FIGURES).mkdir()
    for name, content in chain.from_iterable(drawing.files for drawing in drawings):
        folder.write_bytes(name, content)


def _page(comparison: Comparison, reference: str | None, positive: str | None, prevalence: float) -> Page:
    """Work out all figures."""
    known = comparison.first.classes
    if known.are_two and positive not in (None, known.positive):
        raise EvaluationError(
            f"class {positive!r}: the runs' thresholds are of {known.positive}, as one of two classes; leave "
            "--positive out"
        )
    classes = None if known.are_two else read_classes(comparison, reference)
    chosen = positive or known.positive
    return Page(
        comparison=comparison,
        qualities=search_quality(comparison.ranked),
        classes=classes,
        binary=read_binary(comparison, chosen, reference, prevalence) if chosen else None,
        data=None,
    )


def text(result: dict[str, Any]) -> str:
    """Return what a reader wants first: warnings, the headline of each method, and where the page is."""
    lines = [f"WARNING: {warning}" for warning in result["warnings"]]
    lines += result["findings"]
    lines += map(headline, result["results"])
    lines += [f"{Failed(**one).place}: failed, no figures" for one in result["failed"]]
    lines += map(_of_search, result["search_quality"])
    return "\n".join([*lines, result["page"]])


def headline(row: dict[str, Any]) -> str:
    """Return a row of the results as a line: AUC with its spread and interval, and accuracy."""
    auc, name = ("auc", "AUC") if "auc" in row else (MACRO_AUC, "macro AUC")
    spread = "" if row[f"{auc}_sd"] is None else f" ± {row[f'{auc}_sd']:.3f}"
    of_seeds = ""
    if row[f"{auc}_sd_seeds"] is not None:
        spread += f" (SD of {len(row['seeds'].split())} seeds {row[f'{auc}_sd_seeds']:.3f})"
        of_seeds = f" (SD of seeds {row['accuracy_sd_seeds']:.3f})"
    pooled = row[f"pooled_{auc}"]
    interval = ""
    if row["low"] is not None:
        agree = row["low"] == row["high"]
        limits = ALL_AGREE if agree else f"{row['low']:.3f} to {row['high']:.3f}"
        interval = f", pooled {pooled:.3f} ({limits})"
    area = "undefined" if row[auc] is None else f"{row[auc]:.3f}{spread}{interval}"
    return f"{row['label']} on {row['data']}: {name} {area}, accuracy {row['accuracy']:.3f}{of_seeds}"


def _of_search(row: dict[str, Any]) -> str:
    found = "" if row["percentile"] is None else f", ENAS's at percentile {row['percentile']:.0f}"
    bound = ""
    if row["reliability"] is not None:
        bound = (
            f"; a ranking of reliability {row['reliability']:.2f} allows a tau of {row['tau_ceiling']:.2f}"
        )
    tau = f"{row['tau']:.2f} ({row['low']:.2f} to {row['high']:.2f}) over {row['n']} architectures"
    place = f"{row['layout']}, fold {row['fold']}, seed {row['seed']}"
    return f"search of {place}: Kendall's tau {tau}{found}{bound}"
