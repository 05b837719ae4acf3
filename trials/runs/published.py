"""Published runs: a comparison in two small tables, from which a report is made without training.

`runs.jsonl.bz2` has a line of JSON for each run (its `metrics.json` and `retrain.json`), each search and each
decision on external images. `predictions.csv.bz2` has a row for each image, by part, outer fold and file, and
a column of log odds for each method and seed:

- part `test`: by the model that did not see the image's fold,
- part `validation`: by the fold's model, which did not learn from the image but chose its threshold by it,
- part `external`: by the fold's models together, by their mean probability; `external, calibrated`: the same
  after temperature scaling.

Log odds are rounded to `DIGITS`, other measured numbers to six digits. Weights, the groups that were seen and
the candidates of a search are left out. Both tables are read by pandas as they are.
"""

from __future__ import annotations

import bz2
import csv
import io
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from search_space.regular_files import read_file
from search_space.strict_json import dump_json, parse_json
from trials.errors import EvaluationError, reason
from trials.evaluation.calibration import log_odds
from trials.runs.collection import Collection, Predictions, Search
from trials.runs.finished import Run
from trials.runs.layout import PUBLISHED_PREDICTIONS, PUBLISHED_RUNS
from trials.runs.predictions import Predicted, frozen

TEST, VALIDATION, EXTERNAL, CALIBRATED = "test", "validation", "external", "external, calibrated"
DIGITS = {TEST: 5, VALIDATION: 2, EXTERNAL: 5, CALIBRATED: 2}
_KEYS = ("part", "fold", "file", "group", "positive")
_EXACT = ("threshold", "threshold_log_odds", "temperature")  # what decides
_UNPUBLISHED = ("seen", "search_seen")  # the groups of every training image
_HISTORY = ("epoch", "reward", "reward_best", "entropy")

Row = tuple[str, str, str, str, str]


def tables_of(found: Collection, root: Path) -> dict[str, bytes]:
    """Return the content of both tables by their file's name; the same runs give the same bytes.

    Runs and searches are named by their place below `root`.
    """
    lines = "".join(dump_json(line, indent=None) + "\n" for line in _lines(found, root))
    return {
        PUBLISHED_RUNS: bz2.compress(lines.encode()),
        PUBLISHED_PREDICTIONS: bz2.compress(_predictions(found).encode()),
    }


def _lines(found: Collection, root: Path) -> Iterator[dict[str, Any]]:
    for run in found.runs:
        exact = {name: run.metrics[name] for name in _EXACT if name in run.metrics}
        metrics = _rounded(run.metrics) | exact
        yield {
            "run": _place(run.folder, root),
            "column": None if run.for_tuning else _column(run.method, run.seed),
            "metrics": metrics,
            "record": _rounded(_without(run.record)),
        }
    for search in found.searches:
        record = _rounded(_without(search.record))
        history = [{name: entry.get(name) for name in _HISTORY} for entry in record.get("history", [])]
        yield {
            "search": _place(search.folder, root),
            "record": record | {"history": history},
            "architecture": search.architecture,
        }
    for (method, seed), external in found.external.items():
        cutoff = float(external.cutoffs[0]) if len(external.cutoffs) else None
        column = _column(method, seed)
        yield {"external": external.data, "column": column, "method": method, "seed": seed, "cutoff": cutoff}


def _place(folder: Path, root: Path) -> str:
    return folder.name if folder == root else folder.relative_to(root).as_posix()


def _without(record: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in _UNPUBLISHED}


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, Mapping):
        return {name: _rounded(item) for name, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value


def _predictions(found: Collection) -> str:
    cells: dict[Row, dict[str, str]] = defaultdict(dict)
    columns: dict[str, None] = {}
    for column, part, fold, images, odds in _said(found):
        columns[column] = None
        said = (f"{value:.{DIGITS[part]}f}" for value in odds)
        for file, group, positive, cell in zip(
            images.files, images.groups, images.positive, said, strict=True
        ):
            cells[part, fold, file, group, str(int(positive))][column] = cell
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow([*_KEYS, *columns])
    order = sorted(cells, key=lambda row: (list(DIGITS).index(row[0]), row[1]))
    writer.writerows([*row, *(cells[row].get(column, "") for column in columns)] for row in order)
    return table.getvalue()


def _said(found: Collection) -> Iterator[tuple[str, str, str, Predicted | Predictions, np.ndarray]]:
    """Yield column, part, fold, images and log odds [n] of everything that is published."""
    for run in found.runs:
        if not run.for_tuning:
            column, fold = _column(run.method, run.seed), _fold(run.fold)
            yield column, TEST, fold, run.tested, run.tested.log_odds
            if run.validation is not None:
                yield column, VALIDATION, fold, run.validation, run.validation.log_odds
    for (method, seed), external in found.external.items():
        column = _column(method, seed)
        yield column, EXTERNAL, "", external, external.log_odds
        if external.calibrated is not None:
            yield column, CALIBRATED, "", external, log_odds(external.calibrated)


def _column(method: str, seed: int) -> str:
    return f"{method}:{seed}"


def _fold(fold: int | None) -> str:
    return "" if fold is None else str(fold)


@dataclass(frozen=True, eq=False)
class _Table:
    """The published predictions: by part and fold the rows' keys, and their cells [n, columns]."""

    columns: Mapping[str, int]
    rows: Mapping[tuple[str, str], tuple[np.ndarray, np.ndarray]]

    def said(self, part: str, fold: str, column: str | None) -> Predicted:
        """Return what a method and seed said of a part's images; none where it was not asked."""
        keys, cells = self.rows.get((part, fold), (np.empty((0, 5), str), np.empty((0, 0))))
        given = cells[:, self.columns[column]] if len(cells) and column else np.empty(0)
        there = np.flatnonzero(~np.isnan(given))
        keys, odds = keys[there], given[there]
        files, groups, positive = keys[:, 2].astype(object), keys[:, 3], keys[:, 4] == "1"
        return Predicted(files, groups, positive, odds)


def read_published(folder: Path) -> Collection:
    """Read what `tables_of` has made; raises `EvaluationError` for a table that is damaged."""
    try:
        lines = [parse_json(line) for line in _text(folder / PUBLISHED_RUNS).splitlines()]
        table = _table_in(_text(folder / PUBLISHED_PREDICTIONS))
        return Collection(
            tuple(_run(folder, line, table) for line in lines if "run" in line),
            tuple(_search(folder, line) for line in lines if "search" in line),
            {(line["method"], line["seed"]): _external(line, table) for line in lines if "external" in line},
        )
    except EvaluationError:
        raise
    except (OSError, ValueError, TypeError, LookupError) as error:
        raise EvaluationError(
            f"{folder}: {PUBLISHED_RUNS} or {PUBLISHED_PREDICTIONS} cannot be read ({reason(error)}); put "
            "back what lesion-nas publish wrote, or publish the runs again"
        ) from None


def _text(path: Path) -> str:
    return bz2.decompress(read_file(path)).decode()


def _search(folder: Path, line: Mapping[str, Any]) -> Search:
    return Search(folder / line["search"], line["record"], line["architecture"])


def _table_in(text: str) -> _Table:
    header, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    if tuple(header[: len(_KEYS)]) != _KEYS:
        raise ValueError(f"expected the columns {', '.join(_KEYS)}, found {', '.join(header[:5])}")
    parts: dict[tuple[str, str], list[list[str]]] = defaultdict(list)
    for row in rows:
        parts[row[0], row[1]].append(row)
    columns = {name: index for index, name in enumerate(header[len(_KEYS) :])}
    return _Table(columns, {key: _split(part) for key, part in parts.items()})


def _split(rows: Sequence[Sequence[str]]) -> tuple[np.ndarray, np.ndarray]:
    keys = np.array([row[: len(_KEYS)] for row in rows])
    return keys, np.array([[float(cell or "nan") for cell in row[len(_KEYS) :]] for row in rows])


def _run(folder: Path, line: Mapping[str, Any], table: _Table) -> Run:
    metrics, fold = line["metrics"], _fold(line["metrics"]["fold"])
    tested, validation = (table.said(part, fold, line["column"]) for part in (TEST, VALIDATION))
    return Run(
        folder / line["run"],
        metrics,
        line["record"],
        tested,
        validation if len(validation.files) else None,
        *frozen(metrics, folder / PUBLISHED_RUNS),
    )


def _external(line: Mapping[str, Any], table: _Table) -> Predictions:
    said, calibrated = (table.said(part, "", line["column"]) for part in (EXTERNAL, CALIBRATED))
    n = len(said.files)
    return Predictions(
        line["external"],
        said.files,
        said.groups,
        np.full(n, -1),
        said.positive,
        said.log_odds,
        np.full(n, line["cutoff"]),
        expit(calibrated.log_odds) if len(calibrated.files) else None,
    )
