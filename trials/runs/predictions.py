"""Tables of what a run says of each image.

Of two classes: the probability of the positive one and its log odds, which rank and decide, as they tell
images apart whose probabilities round to the same number. Of more classes: a column of log probability for
each, named `log_probability:CLASS`, after a column of probability for each, `probability:CLASS`, for the
reader.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from scipy.special import expit, logsumexp

from trials.errors import PredictionsError
from trials.evaluation.calibration import cutoff
from trials.evaluation.decisions import Decision, log_odds_of, of_two, probabilities
from trials.runs.folder import read_csv

_PROBABILITY, _LOG_PROBABILITY = "probability", "log_probability"
SAID = (_PROBABILITY, "log_odds")  # the columns of what is said of an image of two classes
_WAY_OUT = "put back the file that the run has left, or repeat the run in a new folder"


@dataclass(frozen=True)
class Classes:
    """The names of the classes in the order of the logits, and which of them is positive.

    Of two classes one is; of more classes, one or none (None) is read against all others.
    """

    names: tuple[str, ...]
    positive: str | None

    @property
    def index(self) -> int | None:
        """The index of the positive class; None: no class is positive."""
        return None if self.positive is None else self.names.index(self.positive)

    @property
    def are_two(self) -> bool:
        """Whether there are two classes, of which the positive one says all."""
        return len(self.names) == 2

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of what is said of an image."""
        if self.are_two:
            return SAID
        return tuple(f"{kind}:{name}" for kind in (_PROBABILITY, _LOG_PROBABILITY) for name in self.names)

    def cells(self, logits: np.ndarray) -> list[tuple[str, ...]]:
        """Return the cells of `columns` for canonical logits [n, k]; raises `PredictionsError` for others."""
        given = np.asarray(logits, dtype=float)
        if not np.isfinite(given).all():
            value = given[~np.isfinite(given)][0]
            raise PredictionsError(f"a prediction of logits {value}: expected finite numbers")
        if self.are_two:
            odds = log_odds_of(given, self.positive_of_two).tolist()
            return [(repr(float(expit(value))), repr(value)) for value in odds]
        shares = probabilities(given)
        return [tuple(map(repr, row)) for row in np.concatenate([shares, given], axis=1).tolist()]

    @property
    def positive_of_two(self) -> int:
        """The index of the positive one of two classes; raises `PredictionsError` where none is."""
        if self.index is None or not self.are_two:
            raise PredictionsError(f"classes {', '.join(self.names)}: expected two, and one of them positive")
        return self.index


def classes_of(metrics: Mapping[str, Any]) -> Classes:
    """Return the classes in a run's `metrics.json`; runs before 0.3 name the positive of two alone."""
    positive = metrics.get("positive")
    names = metrics.get("classes") or (f"not {positive}", positive)
    return Classes(tuple(map(str, names)), None if positive is None else str(positive))


@dataclass(frozen=True, eq=False)
class Predicted:
    """Images with the indices of their classes and canonical logits by a model, one entry each [n]."""

    files: np.ndarray
    groups: np.ndarray
    labels: np.ndarray
    logits: np.ndarray
    classes: Classes

    @property
    def positive(self) -> np.ndarray:
        """Which images are of the positive class: bool [n]."""
        positive: np.ndarray = self.labels == self.classes.index
        return positive

    @property
    def log_odds(self) -> np.ndarray:
        """The log odds of the positive class against all others [n]; raises ValueError without one."""
        if self.classes.index is None:
            raise ValueError(f"no class of {', '.join(self.classes.names)} is positive; name one")
        return log_odds_of(self.logits, self.classes.index)


def read_predictions(path: Path, classes: Classes) -> Predicted:
    """Read a table of predictions about these classes.

    Raises `PredictionsError` for cells that are missing, no finite numbers or contradict each other, for an
    unknown label and for a file named twice; and as `read` does.
    """
    rows = read_csv(path, "file", "label", "group", *classes.columns)
    _refuse_twice(path, rows)
    said = _read_two if classes.are_two else _read_more
    return Predicted(
        np.array([row["file"] for row in rows], dtype=object),
        np.array([row["group"] for row in rows], dtype=str),
        _labels(path, rows, classes),
        said(path, rows, classes),
        classes,
    )


def _labels(path: Path, rows: Sequence[Mapping[str, str]], classes: Classes) -> np.ndarray:
    number = {name: index for index, name in enumerate(classes.names)}
    if classes.are_two and classes.index is not None:  # where only the positive class is known by its name
        return np.array(
            [classes.index if row["label"] == classes.positive else 1 - classes.index for row in rows],
            dtype=np.int64,
        )
    for line, row in enumerate(rows, start=2):
        if row["label"] not in number:
            raise PredictionsError(
                f"{path}, line {line}: label = {row['label']!r}: expected one of {', '.join(number)}; "
                f"{_WAY_OUT}"
            )
    return np.array([number[row["label"]] for row in rows], dtype=np.int64)


def _read_two(path: Path, rows: Sequence[Mapping[str, str]], classes: Classes) -> np.ndarray:
    shares, odds = (_numbers(path, rows, column) for column in SAID)
    for line, share in enumerate(shares, start=2):
        if not 0 <= share <= 1:
            raise PredictionsError(f"{path}, line {line}: probability = {share}: expected 0 to 1; {_WAY_OUT}")
    off = np.flatnonzero(np.abs(expit(odds) - shares) > 1e-6)
    if len(off):
        raise PredictionsError(
            f"{path}, line {off[0] + 2}: log_odds = {odds[off[0]]} are of the probability "
            f"{expit(odds[off[0]]):.6f}, not of {shares[off[0]]}; {_WAY_OUT}"
        )
    return of_two(odds, classes.positive_of_two)


def _read_more(path: Path, rows: Sequence[Mapping[str, str]], classes: Classes) -> np.ndarray:
    k = len(classes.names)
    columns = [_numbers(path, rows, column) for column in classes.columns]
    shares, logits = (np.column_stack(part).reshape(-1, k) for part in (columns[:k], columns[k:]))
    off = np.flatnonzero(
        (np.abs(np.exp(logits) - shares) > 1e-6).any(1) | (np.abs(logsumexp(logits, axis=1)) > 1e-6)
    )
    if len(off):
        raise PredictionsError(
            f"{path}, line {off[0] + 2}: the log probabilities are not those of the probabilities, or do not "
            f"sum to 1; {_WAY_OUT}"
        )
    return logits


def _numbers(path: Path, rows: Sequence[Mapping[str, str]], column: str) -> np.ndarray:
    found = [_number(path, line, row, column) for line, row in enumerate(rows, start=2)]
    return np.array(found, dtype=float)


def _number(path: Path, line: int, row: Mapping[str, str], column: str) -> float:
    try:
        value = float(row[column])
    except (KeyError, TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise PredictionsError(
            f"{path}, line {line}: {column} = {row.get(column)!r}: expected a finite number; {_WAY_OUT}"
        )
    return value


def _refuse_twice(path: Path, rows: Sequence[Mapping[str, str]]) -> None:
    met: set[str] = set()
    for line, row in enumerate(rows, start=2):
        if row["file"] in met:
            raise PredictionsError(f"{path}, line {line}: {row['file']} stands there twice; {_WAY_OUT}")
        met.add(row["file"])


@dataclass(frozen=True, eq=False)
class Frozen:
    """What a run's validation images have chosen: the decision, by a rule, and the temperature; and doubts.

    Runs may lack a temperature (None), and where they are read the doubts are left to their `metrics.json`.
    """

    decision: Decision
    temperature: float | None
    rule: str = ""
    warnings: tuple[str, ...] = ()

    def to_dict(self, classes: Classes) -> dict[str, Any]:
        """Return it, but for the doubts, as the JSON values that `frozen` reads."""
        first, costs = self.decision.first, self.decision.costs
        cutoff = None if first is None else float(self.decision.cutoff)
        of = {} if first is None or first == classes.index else {"threshold_of": classes.names[first]}
        return {
            "decision": self.rule,
            "threshold": None if cutoff is None else float(expit(cutoff)),
            "threshold_log_odds": cutoff,
            **of,
            **({} if costs is None else {"costs": costs.tolist()}),
            "temperature": self.temperature,
        }


def in_words(decision: Decision, classes: Classes) -> str:
    """Return how one decision about all images calls them."""
    if decision.costs is not None:
        return "the class of least expected cost, by calibrated probabilities"
    if decision.first is None:
        return "the likeliest class"
    of, other = classes.names[decision.first], "the likeliest other class"
    if classes.are_two:
        other = classes.names[1 - decision.first]
    return f"{of} from a probability of {float(expit(decision.cutoff)):.3f} up, else {other}"


def frozen(metrics: Mapping[str, Any], path: Path) -> Frozen:
    """Return what a run has frozen, by its `metrics.json`.

    Raises `PredictionsError`, naming `path`, for a threshold outside of 0 to 1, a temperature not above 0, a
    threshold that contradicts its log odds, and costs that are not of the run's classes.
    """
    temperature = metrics.get("temperature")
    if temperature is not None and (not _is_number(temperature) or temperature <= 0):
        raise PredictionsError(f"{path}: temperature = {temperature!r}: expected above 0; {_WAY_OUT}")
    classes = classes_of(metrics)
    if (costs := metrics.get("costs")) is not None:
        return Frozen(
            Decision(costs=_costs(costs, classes, path), temperature=temperature or 1.0), temperature
        )
    if metrics.get("threshold") is None and not classes.are_two:
        return Frozen(Decision(), temperature)
    of = metrics.get("threshold_of") or classes.positive
    if of not in classes.names:
        raise PredictionsError(
            f"{path}: threshold_of = {of!r}: expected one of {', '.join(classes.names)}; {_WAY_OUT}"
        )
    return Frozen(Decision(classes.names.index(of), _cutoff(metrics, path)), temperature)


def _cutoff(metrics: Mapping[str, Any], path: Path) -> float:
    """Return the log odds of the threshold, which may stand there too."""
    threshold, odds = metrics.get("threshold"), metrics.get("threshold_log_odds")
    if not (_is_number(threshold) and 0 <= threshold <= 1):
        raise PredictionsError(
            f"{path}: threshold = {threshold!r}: expected a number from 0 to 1; {_WAY_OUT}"
        )
    if odds is None:
        return cutoff(threshold)
    if not _is_number(odds) or not agree(threshold, odds):
        raise PredictionsError(
            f"{path}: threshold_log_odds = {odds!r} are not of the threshold {threshold}; {_WAY_OUT}"
        )
    return float(odds)


def _costs(costs: object, classes: Classes, path: Path) -> np.ndarray:
    """Return costs [k, k] of calling class j what is class i."""
    k = len(classes.names)
    try:
        given = np.array(costs, dtype=float)
    except (TypeError, ValueError):
        given = np.empty(0)
    if given.shape != (k, k) or not np.isfinite(given).all():
        raise PredictionsError(f"{path}: costs = {costs!r}: expected {k} rows of {k} numbers; {_WAY_OUT}")
    return given


def agree(threshold: float, odds: float) -> bool:
    """Whether a threshold and its log odds say the same."""
    return abs(float(expit(odds)) - threshold) <= 1e-9


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
