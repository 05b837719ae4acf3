"""The report as tables: a row a method and data set, a row a measure, a row a test.

Cells of numbers that are not defined are empty.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from trials.evaluation.bootstrap import Interval
from trials.report.page import Page
from trials.report.paired_tests import PairedTest
from trials.report.search_quality import QUALITY
from trials.report.summaries import Summary
from trials.runs.layout import MEASURES_TABLE, RESULTS_TABLE, SEARCH_QUALITY_TABLE, TESTS_TABLE

RESULTS = (
    *("method", "label", "saw_other_data", "trained_on", "data", "n", "positives", "groups"),
    *("folds", "seeds", "auc", "auc_sd", "auc_sd_seeds", "auc_together"),
    *("pooled_auc", "low", "high"),
    *(
        "accuracy",
        "accuracy_sd_seeds",
        "accuracy_low",
        "accuracy_high",
        "tpr",
        "tnr",
        "precision",
        "accuracy_at_half",
    ),
    *("parameters", "macs", "seconds", "device", "threads", "profile", "commit"),
)
"""`auc`: mean of the folds' (external: of all images), `auc_sd` over folds; `low` and `high` are of
`pooled_auc`. Accuracy, TPR, TNR and precision: of all images at the frozen thresholds; `accuracy_at_half`
where a probability of 0.5 decides. Of several `seeds` all of these are means over the seeds, and
`auc_sd_seeds` and `accuracy_sd_seeds` the standard deviations of `auc` and `accuracy` over them;
`auc_together` is, as `auc`, of the mean of what the seeds' models say. `folds` is empty outside of folds: for
external images, and for data with a split of their own. `seconds`: of training, mean of the runs, on
`device`, a processor's architecture or a GPU's name."""
MEASURES = ("method", "data", "measure", "estimate", "low", "high")
TESTS = (
    *("table", "first", "second", "n", "auc_difference", "low", "high", "p", "p_holm", "p_of_images"),
    *("accuracy_difference", "accuracy_low", "accuracy_high", "only_first", "only_second"),
    *("mcnemar_p", "mcnemar_p_holm"),
)


@dataclass(frozen=True)
class Table:
    """A table of the report: its columns and rows, None where a cell is not defined."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]

    def as_dicts(self) -> list[dict[str, Any]]:
        """Return the rows by column."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


def tables_of(page: Page) -> dict[str, Table]:
    """Return the tables beside a page by the names of their files."""
    summaries = (*page.tested, *page.external)
    results = map(_result_row, summaries)
    tests = [_test_row(name, test) for name, tests in page.tests.items() for test in tests]
    return {
        RESULTS_TABLE: Table(RESULTS, [[row[name] for name in RESULTS] for row in results]),
        MEASURES_TABLE: Table(MEASURES, [row for one in summaries for row in _measure_rows(one)]),
        TESTS_TABLE: Table(TESTS, [[row[name] for name in TESTS] for row in tests]),
        SEARCH_QUALITY_TABLE: Table(QUALITY, [one.row() for one in page.qualities]),
    }


def _result_row(summary: Summary) -> dict[str, Any]:
    """Return the row of `results.csv`."""
    method, measures = summary.method, summary.measures
    runs = method.runs
    return {
        "method": method.name,
        "label": method.label,
        "saw_other_data": "yes" if method.saw_other_data else "no",
        "trained_on": runs[0].metrics["data"],
        "data": summary.predictions.data,
        "n": summary.n,
        "positives": summary.positives,
        "groups": summary.groups,
        "folds": None if method.runs[0].own_split else len(summary.fold_aucs) or None,
        "seeds": " ".join(map(str, method.seeds)),
        "auc": _cell(summary.auc),
        "auc_sd": _cell(summary.auc_sd),
        "auc_sd_seeds": _cell(summary.auc_sd_seeds),
        "auc_together": _cell(summary.auc_together),
        "pooled_auc": _cell(measures["auc"].estimate),
        **_limits(measures["auc"]),
        "accuracy": _cell(measures["accuracy"].estimate),
        "accuracy_sd_seeds": _cell(summary.accuracy_sd_seeds),
        **_limits(measures["accuracy"], "accuracy_"),
        **{name: _cell(measures[name].estimate) for name in ("tpr", "tnr", "precision", "accuracy_at_half")},
        "parameters": _whole(summary.mean_of("parameters")),
        "macs": _whole(summary.mean_of("macs")),
        "seconds": _cell(summary.mean_of("seconds"), digits=1),
        "device": _all_of(summary, "device", between="; "),
        **{name: _all_of(summary, name) for name in ("threads", "profile", "commit")},
    }


def _measure_rows(summary: Summary) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of `measures.csv`: every measure with its interval, and each fold's AUC."""
    start = (summary.method.name, summary.predictions.data)
    for name, interval in summary.measures.items():
        yield (*start, name, *map(_cell, (interval.estimate, interval.low, interval.high)))
    for fold, area in summary.fold_aucs.items():
        yield (*start, f"auc_of_fold_{fold}", _cell(area), None, None)


def _test_row(table: str, test: PairedTest) -> dict[str, Any]:
    """Return the row of `tests.csv`."""
    return {
        "table": table,
        "first": test.first.name,
        "second": test.second.name,
        "n": test.n,
        "auc_difference": _cell(test.auc.difference.estimate),
        **_limits(test.auc.difference),
        "p": _cell(test.auc.p),
        "p_holm": _cell(test.auc_p_holm),
        "p_of_images": _cell(test.p_of_images),
        "accuracy_difference": _cell(test.accuracy.estimate),
        **_limits(test.accuracy, "accuracy_"),
        "only_first": test.mcnemar.only_first,
        "only_second": test.mcnemar.only_second,
        "mcnemar_p": _cell(test.mcnemar.p),
        "mcnemar_p_holm": _cell(test.accuracy_p_holm),
    }


def _limits(interval: Interval, prefix: str = "") -> dict[str, Any]:
    return {f"{prefix}low": _cell(interval.low), f"{prefix}high": _cell(interval.high)}


def _cell(value: float | None, digits: int = 6) -> float | None:
    return None if value is None or not np.isfinite(value) else round(float(value), digits)


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)


def _all_of(summary: Summary, key: str, between: str = " ") -> str:
    """Return the values that the runs record under `key`, each once."""
    values: Sequence[Any] = [run.metrics.get(key) for run in summary.method.runs]
    return between.join(dict.fromkeys(str(value) for value in values if value is not None))
