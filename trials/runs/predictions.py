"""Tables of what a run says of each image: the probability of the positive class, and its log odds.

The log odds rank and decide, as they tell images apart whose probabilities round to the same number.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from scipy.special import expit

from trials.errors import PredictionsError
from trials.evaluation.calibration import apply_temperature, cutoff
from trials.runs.folder import read_csv

SAID = ("probability", "log_odds")  # the columns of what is said of an image
_WAY_OUT = "put back the file that the run has left, or repeat the run in a new folder"


@dataclass(frozen=True, eq=False)
class Predicted:
    """Images with their truth and the log odds of the positive class by a model, one entry each [n]."""

    files: np.ndarray
    groups: np.ndarray
    positive: np.ndarray
    log_odds: np.ndarray

    def calibrated(self, temperature: float) -> np.ndarray:
        """Return the probabilities [n] after temperature scaling."""
        return apply_temperature(self.log_odds, temperature)


def said(odds: Iterable[float]) -> list[tuple[str, str]]:
    """Return the cells of `SAID` for log odds [n]; raises `PredictionsError` for one that is not finite."""
    found = []
    for value in map(float, odds):
        if not math.isfinite(value):
            raise PredictionsError(f"a prediction of log odds {value}: expected a finite number")
        found.append((repr(float(expit(value))), repr(value)))
    return found


def read_predictions(path: Path, positive: str) -> Predicted:
    """Read a table of predictions, whose probabilities and log odds are of the class `positive`.

    Raises `PredictionsError` for cells that are missing, no finite numbers or contradict each other and for
    a file named twice; and as `read` does.
    """
    rows = read_csv(path, "file", "label", "group", *SAID)
    _refuse_twice(path, rows)
    probabilities = [_number(path, line, row, "probability") for line, row in enumerate(rows, start=2)]
    for line, p in enumerate(probabilities, start=2):
        if not 0 <= p <= 1:
            raise PredictionsError(f"{path}, line {line}: probability = {p}: expected 0 to 1; {_WAY_OUT}")
    return Predicted(
        np.array([row["file"] for row in rows], dtype=object),
        np.array([row["group"] for row in rows], dtype=str),
        np.array([row["label"] == positive for row in rows], dtype=bool),
        _log_odds(path, rows, np.array(probabilities, dtype=float)),
    )


def _log_odds(path: Path, rows: Sequence[Mapping[str, str]], probabilities: np.ndarray) -> np.ndarray:
    odds = np.array([_number(path, line, row, "log_odds") for line, row in enumerate(rows, start=2)])
    off = np.flatnonzero(np.abs(expit(odds) - probabilities) > 1e-6)
    if len(off):
        raise PredictionsError(
            f"{path}, line {off[0] + 2}: log_odds = {odds[off[0]]} are of the probability "
            f"{expit(odds[off[0]]):.6f}, not of {probabilities[off[0]]}; {_WAY_OUT}"
        )
    return odds


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


def frozen(metrics: Mapping[str, Any], path: Path) -> tuple[float, float | None]:
    """Return a run's frozen cutoff, in log odds, and its temperature, None where it has none.

    Raises `PredictionsError`, naming `path`, for a threshold outside of 0 to 1, a temperature not above 0 and
    a threshold that contradicts its log odds.
    """
    threshold, temperature = metrics.get("threshold"), metrics.get("temperature")
    if not (_is_number(threshold) and 0 <= threshold <= 1):
        raise PredictionsError(
            f"{path}: threshold = {threshold!r}: expected a number from 0 to 1; {_WAY_OUT}"
        )
    if temperature is not None and (not _is_number(temperature) or temperature <= 0):
        raise PredictionsError(f"{path}: temperature = {temperature!r}: expected above 0; {_WAY_OUT}")
    odds = metrics.get("threshold_log_odds")
    if odds is None:
        return cutoff(threshold), temperature
    if not _is_number(odds) or not agree(threshold, odds):
        raise PredictionsError(
            f"{path}: threshold_log_odds = {odds!r} are not of the threshold {threshold}; {_WAY_OUT}"
        )
    return float(odds), temperature


def agree(threshold: float, odds: float) -> bool:
    """Whether a threshold and its log odds say the same."""
    return abs(float(expit(odds)) - threshold) <= 1e-9


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
