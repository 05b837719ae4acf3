"""The report as tables: a row a method and data set, a row a measure, a row a test.

Cells of numbers that are not defined are empty.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from itertools import chain
from typing import Any

import numpy as np

from trials.evaluation.bootstrap import Interval
from trials.report.checklists import CHECKLIST
from trials.report.class_summaries import MACRO_AUC, ClassSummary
from trials.report.page import Page
from trials.report.paired_tests import PairedTest
from trials.report.readings import BinaryReading, Reading
from trials.report.search_quality import QUALITY, SEARCH_CONTROLS
from trials.report.summaries import Summary
from trials.runs.collection import BinaryPredictions
from trials.runs.layout import (
    AGAINST_REST,
    CHECKLISTS_TABLE,
    CLASS_MEASURES_TABLE,
    CONFUSION_TABLE,
    MEASURES_TABLE,
    RESULTS_TABLE,
    SEARCH_CONTROLS_TABLE,
    SEARCH_QUALITY_TABLE,
    TESTS_TABLE,
)

_WHOSE = ("method", "label", "saw_other_data", "trained_on", "data", "n")
_AUC = ("auc", "auc_sd", "auc_sd_seeds", "auc_together", "pooled_auc", "low", "high")
_ACCURACY = ("accuracy", "accuracy_sd_seeds", "accuracy_low", "accuracy_high")
_COST = ("parameters", "macs", "seconds", "device", "threads", "profile", "commit")
_OF_DECISIONS = ("tpr", "tnr", "precision", "accuracy_at_half")
_OF_CLASSES = (
    *("balanced_accuracy", "kappa", "macro_f1", "brier", "calibration_error", "calibration_error_scaled"),
    *("quadratic_kappa", "mean_absolute_error"),
)
RESULTS = (*_WHOSE, "positives", "groups", "folds", "seeds", *_AUC, *_ACCURACY, *_OF_DECISIONS, *_COST)
"""`auc`: mean of the folds' (external: of all images), `auc_sd` over folds; `low` and `high` are of
`pooled_auc`. Accuracy, TPR, TNR and precision: of all images at the frozen thresholds; `accuracy_at_half`
where a probability of 0.5 decides. Of several `seeds` all of these are means over the seeds, and
`auc_sd_seeds` and `accuracy_sd_seeds` the standard deviations of `auc` and `accuracy` over them;
`auc_together` is, as `auc`, of the mean of what the seeds' models say. `folds` is empty outside of folds: for
external images, and for data with a split of their own. `seconds`: of training, mean of the runs, on
`device`, a processor's architecture or a GPU's name."""
CLASS_RESULTS = (
    *(*_WHOSE, "classes", "groups", "folds", "seeds"),
    *(name.replace("auc", MACRO_AUC) for name in _AUC),
    *(*_ACCURACY, *_OF_CLASSES, *_COST),
)
"""As `RESULTS`, of more than two classes: `auc_macro` takes the place of `auc`. The last two measures are of
ordered classes."""
MEASURES = ("method", "data", "measure", "estimate", "low", "high")
CLASS_MEASURES = ("method", "data", "class", "n", "measure", "estimate", "low", "high")
CONFUSION = ("method", "data", "truth", "called", "n", "share")
"""`n` images of the class `truth` were called `called`, mean over the seeds, which is this share of them."""
TESTS = (
    *("table", "first", "second", "n", "auc_difference", "low", "high", "p", "p_holm", "p_of_images"),
    *("accuracy_difference", "accuracy_low", "accuracy_high", "only_first", "only_second"),
    *("mcnemar_p", "mcnemar_p_holm"),
)
"""`auc_difference` is of the AUC, of more than two classes of the macro AUC."""


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
    of_all = {
        SEARCH_QUALITY_TABLE: Table(QUALITY, [one.row() for one in page.qualities]),
        SEARCH_CONTROLS_TABLE: Table(
            SEARCH_CONTROLS, [*chain(*(one.control_rows() for one in page.qualities))]
        ),
        CHECKLISTS_TABLE: Table(CHECKLIST, [astuple(item) for item in page.checklists]),
    }
    if page.classes is None:
        return _binary_tables(page.binary) | of_all if page.binary else of_all
    return _class_tables(page.classes) | (_against_rest(page.binary) if page.binary else {}) | of_all


def _binary_tables(reading: BinaryReading) -> dict[str, Table]:
    rows = [_result_row(one) | _decisions_in(one) for one in reading.everything]
    return _tables(reading, Table(RESULTS, [[row[name] for name in RESULTS] for row in rows]))


def _class_tables(reading: Reading[ClassSummary]) -> dict[str, Table]:
    found = [_result_row(one) | _classes_in(one) for one in reading.everything]
    rows = [{name.replace("auc", MACRO_AUC): cell for name, cell in row.items()} for row in found]
    results = Table(CLASS_RESULTS, [[row[name] for name in CLASS_RESULTS] for row in rows])
    return _tables(reading, results) | {
        CLASS_MEASURES_TABLE: Table(CLASS_MEASURES, list(chain(*map(_class_rows, reading.everything)))),
        CONFUSION_TABLE: Table(CONFUSION, list(chain(*map(_confusion_rows, reading.everything)))),
    }


def _against_rest(reading: BinaryReading) -> dict[str, Table]:
    """Return the tables of one class against all others, named first in every row."""
    return {
        f"{AGAINST_REST}{name}": Table(
            ("positive", *table.columns), [(reading.positive, *row) for row in table.rows]
        )
        for name, table in _binary_tables(reading).items()
    }


def _tables(reading: Reading[Any], results: Table) -> dict[str, Table]:
    tests = [_test_row(name, test) for name, tests in reading.tests.items() for test in tests]
    return {
        RESULTS_TABLE: results,
        MEASURES_TABLE: Table(MEASURES, list(chain(*map(_measure_rows, reading.everything)))),
        TESTS_TABLE: Table(TESTS, [[row[name] for name in TESTS] for row in tests]),
    }


def _result_row(summary: Summary[Any]) -> dict[str, Any]:
    """Return what the rows of `results.csv` have in common."""
    method, measures, runs = summary.method, summary.measures, summary.runs
    return {
        "method": method.name,
        "label": method.label,
        "saw_other_data": "yes" if method.saw_other_data else "no",
        "trained_on": runs[0].metrics["data"],
        "data": summary.predictions.data,
        "n": summary.n,
        "groups": summary.groups,
        "folds": None if runs[0].own_split else len(summary.fold_aucs) or None,
        "seeds": " ".join(map(str, sorted({run.seed for run in runs}))),
        "auc": _cell(summary.auc),
        "auc_sd": _cell(summary.auc_sd),
        "auc_sd_seeds": _cell(summary.auc_sd_seeds),
        "auc_together": _cell(summary.auc_together),
        "pooled_auc": _cell(summary.pooled_auc.estimate),
        **_limits(summary.pooled_auc),
        "accuracy": _cell(measures["accuracy"].estimate),
        "accuracy_sd_seeds": _cell(summary.accuracy_sd_seeds),
        **_limits(measures["accuracy"], "accuracy_"),
        "parameters": _whole(summary.mean_of("parameters")),
        "macs": _whole(summary.mean_of("macs")),
        "seconds": _cell(summary.mean_of("seconds"), digits=1),
        "device": _all_of(summary, "device", between="; "),
        **{name: _all_of(summary, name) for name in ("threads", "profile", "commit")},
    }


def _decisions_in(summary: Summary[BinaryPredictions]) -> dict[str, Any]:
    cells = {name: _cell(summary.measures[name].estimate) for name in _OF_DECISIONS}
    return {"positives": int(summary.predictions.positive.sum()), **cells}


def _classes_in(summary: ClassSummary) -> dict[str, Any]:
    known = {name: _cell(found.estimate) for name, found in summary.measures.items()}
    return {"classes": len(summary.images), **{name: known.get(name) for name in _OF_CLASSES}}


def _measure_rows(summary: Summary[Any]) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of `measures.csv`: every measure with its interval, and each fold's AUC."""
    start = (summary.method.name, summary.predictions.data)
    for name, interval in summary.measures.items():
        yield (*start, name, *map(_cell, (interval.estimate, interval.low, interval.high)))
    for fold, area in summary.fold_aucs.items():
        yield (*start, f"{summary.headline}_of_fold_{fold}", _cell(area), None, None)


def _class_rows(summary: ClassSummary) -> Iterator[tuple[Any, ...]]:
    start = (summary.method.name, summary.predictions.data)
    for name, measures in summary.of_class.items():
        for of, found in measures.items():
            cells = map(_cell, (found.estimate, found.low, found.high))
            yield (*start, name, summary.images[name], of, *cells)


def _confusion_rows(summary: ClassSummary) -> Iterator[tuple[Any, ...]]:
    start = (summary.method.name, summary.predictions.data)
    for truth, counts, shares in zip(summary.images, summary.confusion, summary.shares, strict=True):
        for called, count, share in zip(summary.images, counts, shares, strict=True):
            yield (*start, truth, called, _cell(count), _cell(share))


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


def _all_of(summary: Summary[Any], key: str, between: str = " ") -> str:
    """Return the values that the runs record under `key`, each once."""
    values: Sequence[Any] = [run.metrics.get(key) for run in summary.runs]
    return between.join(dict.fromkeys(str(value) for value in values if value is not None))
