"""Published runs: a comparison in two small tables, from which a report is made without training.

`runs.jsonl.bz2` has a line of JSON for each run (its `metrics.json` and `retrain.json`), each search and each
decision on external images. `predictions.csv.bz2` has a row for each image, by part, outer fold and file, and
a column of log odds for each method and seed, or of more than two classes a column of log probability for
each method, seed and class:

- part `test`: by the model that did not see the image's fold,
- part `validation`: by the fold's model, which did not learn from the image but chose its threshold by it,
- part `external`: by the fold's models together, by their mean probability; `external, calibrated`: the same
  after temperature scaling.

Log odds and log probabilities are rounded to `DIGITS`, and finer where a model says nearly the same of all
images, other measured numbers to six digits. Weights, the groups that were seen and the candidates of a
search are left out. Both tables are read by pandas as they are.
"""

from __future__ import annotations

import bz2
import csv
import io
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from search_space.regular_files import read_file
from search_space.strict_json import dump_json, parse_json
from trials.errors import EvaluationError, reason
from trials.evaluation.calibration import log_odds
from trials.evaluation.decisions import Decision, canonical, log_odds_of, of_two, probabilities
from trials.runs.collection import Collection, Predictions, Search
from trials.runs.finished import Run
from trials.runs.layout import PUBLISHED_PREDICTIONS, PUBLISHED_RUNS
from trials.runs.predictions import Classes, Predicted, classes_of, frozen

TEST, VALIDATION, EXTERNAL, CALIBRATED = "test", "validation", "external", "external, calibrated"
DIGITS = {TEST: 5, VALIDATION: 2, EXTERNAL: 5, CALIBRATED: 2}
FINEST = 1e-9  # what differs by less is the same, but for rounding
_KEYS = ("part", "fold", "file", "group")
_TRUTH = {True: "positive", False: "label"}  # the next column: of two classes, of more
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
        names = {"external": external.data, "column": _column(method, seed), "method": method, "seed": seed}
        yield names | _decision(external)


def _decision(external: Predictions) -> dict[str, Any]:
    """Return how external images are decided, the same for all of them."""
    found = external.decision
    if external.classes.are_two:
        return {"cutoff": float(found.cutoff) if len(external.files) else None}
    costs = None if found.costs is None else found.costs.tolist()
    return {
        "first": found.first,
        "cutoff": float(found.cutoff),
        "costs": costs,
        "temperature": float(found.temperature),
    }


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
    two = all(run.classes.are_two for run in found.runs)
    for column, part, fold, images, logits in _said(found):
        named = _columns(column, images.classes)
        columns |= dict.fromkeys(named)
        values, truth = _cells(images, logits) if two else (logits, _names(images))
        digits = DIGITS[part] + _finer(values)
        for file, group, label, row in zip(images.files, images.groups, truth, values, strict=True):
            said = (f"{value:.{digits}f}" for value in row)
            cells[part, fold, file, group, label] |= dict(zip(named, said, strict=True))
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow([*_KEYS, _TRUTH[two], *columns])
    order = sorted(cells, key=lambda row: (list(DIGITS).index(row[0]), row[1]))
    writer.writerows([*row, *(cells[row].get(column, "") for column in columns)] for row in order)
    return table.getvalue()


def _finer(values: np.ndarray) -> int:
    """Return how many more digits keep the order of values [n, k] that differ by less than 1."""
    spread = float(values.std()) if values.size else 0.0
    return max(0, -math.floor(math.log10(spread))) if spread > FINEST else 0


def _cells(images: Predicted, logits: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Return the log odds [n, 1] of two classes' logits, and whether each image is positive."""
    positive = images.positive.astype(int)
    return log_odds_of(logits, images.classes.positive_of_two)[:, None], list(map(str, positive))


def _names(images: Predicted) -> list[str]:
    return [images.classes.names[label] for label in images.labels]


def _columns(column: str, classes: Classes) -> list[str]:
    """Return the columns of what a method and seed say."""
    return [column] if classes.are_two else [f"{column}:{name}" for name in classes.names]


def _said(found: Collection) -> Iterator[tuple[str, str, str, Predicted, np.ndarray]]:
    """Yield column, part, fold, images and logits [n, k] of everything that is published."""
    for run in found.runs:
        if not run.for_tuning:
            column, fold = _column(run.method, run.seed), _fold(run.fold)
            yield column, TEST, fold, run.tested, run.tested.logits
            if run.validation is not None:
                yield column, VALIDATION, fold, run.validation, run.validation.logits
    for (method, seed), external in found.external.items():
        column = _column(method, seed)
        images = Predicted(
            external.files, external.groups, external.labels, external.logits, external.classes
        )
        yield column, EXTERNAL, "", images, external.logits
        if external.calibrated is not None:
            yield column, CALIBRATED, "", images, _logits_of(external.calibrated, external.classes)


def _logits_of(calibrated: np.ndarray, classes: Classes) -> np.ndarray:
    """Return canonical logits [n, k] of probabilities [n, k]."""
    if classes.are_two and classes.index is not None:
        return of_two(log_odds(calibrated[:, classes.index]), classes.index)
    return np.log(calibrated)


def _column(method: str, seed: int) -> str:
    return f"{method}:{seed}"


def _fold(fold: int | None) -> str:
    return "" if fold is None else str(fold)


@dataclass(frozen=True, eq=False)
class _Table:
    """The published predictions: by part and fold the rows' keys, and their cells [n, columns]."""

    columns: Mapping[str, int]
    rows: Mapping[tuple[str, str], tuple[np.ndarray, np.ndarray]]

    def said(self, part: str, fold: str, column: str | None, classes: Classes) -> Predicted:
        """Return what a method and seed said of a part's images; none where it was not asked."""
        keys, cells = self.rows.get((part, fold), (np.empty((0, 5), str), np.empty((0, 0))))
        asked = [self.columns[name] for name in _columns(column, classes)] if len(cells) and column else []
        given = cells[:, asked]
        there = np.flatnonzero(~np.isnan(given).any(1)) if asked else np.arange(0)
        keys, given = keys[there], given[there]
        labels, logits = (_two if classes.are_two else _more)(keys[:, 4], given, classes)
        return Predicted(keys[:, 2].astype(object), keys[:, 3], labels, logits, classes)


def _two(truth: np.ndarray, given: np.ndarray, classes: Classes) -> tuple[np.ndarray, np.ndarray]:
    positive = classes.positive_of_two
    labels = np.where(truth == "1", positive, 1 - positive)
    return labels, of_two(given.sum(1), positive)


def _more(truth: np.ndarray, given: np.ndarray, classes: Classes) -> tuple[np.ndarray, np.ndarray]:
    labels = np.array([classes.names.index(name) for name in truth], dtype=np.int64)
    return labels, canonical(given.reshape(-1, len(classes.names)), None)


def read_published(folder: Path) -> Collection:
    """Read what `tables_of` has made; raises `EvaluationError` for a table that is damaged."""
    try:
        lines = [parse_json(line) for line in _text(folder / PUBLISHED_RUNS).splitlines()]
        table = _table_in(_text(folder / PUBLISHED_PREDICTIONS))
        runs = tuple(_run(folder, line, table) for line in lines if "run" in line)
        of = runs[0].classes
        return Collection(
            runs,
            tuple(_search(folder, line) for line in lines if "search" in line),
            {
                (line["method"], line["seed"]): _external(line, table, of)
                for line in lines
                if "external" in line
            },
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
    keys, truth, names = tuple(header[: len(_KEYS)]), header[len(_KEYS)], header[len(_KEYS) + 1 :]
    if keys != _KEYS or truth not in _TRUTH.values():
        raise ValueError(f"expected the columns {', '.join(_KEYS)}, positive, found {', '.join(header[:5])}")
    parts: dict[tuple[str, str], list[list[str]]] = defaultdict(list)
    for row in rows:
        parts[row[0], row[1]].append(row)
    columns = {name: index for index, name in enumerate(names)}
    return _Table(columns, {key: _split(part) for key, part in parts.items()})


def _split(rows: Sequence[Sequence[str]]) -> tuple[np.ndarray, np.ndarray]:
    keys, width = [row[: len(_KEYS) + 1] for row in rows], len(_KEYS) + 1
    return np.array(keys), np.array([[float(cell or "nan") for cell in row[width:]] for row in rows])


def _run(folder: Path, line: Mapping[str, Any], table: _Table) -> Run:
    metrics, fold = line["metrics"], _fold(line["metrics"]["fold"])
    classes, chosen = classes_of(metrics), frozen(metrics, folder / PUBLISHED_RUNS)
    tested, validation = (table.said(part, fold, line["column"], classes) for part in (TEST, VALIDATION))
    return Run(
        folder / line["run"],
        metrics,
        line["record"],
        tested,
        validation if len(validation.files) else None,
        chosen.decision,
        chosen.temperature,
    )


def _external(line: Mapping[str, Any], table: _Table, classes: Classes) -> Predictions:
    said, calibrated = (table.said(part, "", line["column"], classes) for part in (EXTERNAL, CALIBRATED))
    first, costs = line.get("first", classes.index), line.get("costs")
    return Predictions(
        line["external"],
        classes,
        said.files,
        said.groups,
        np.full(len(said.files), -1),
        said.labels,
        said.logits,
        Decision(
            first, line["cutoff"], None if costs is None else np.array(costs), line.get("temperature", 1.0)
        ),
        probabilities(calibrated.logits) if len(calibrated.files) else None,
    )
