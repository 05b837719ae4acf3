"""The data set itself beside the figures: pictures of mistakes, geometry of boxes, subgroups."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trials.data.dataset import LesionData
from trials.data.findings import ACCEPTABLE
from trials.data.load import load
from trials.data.tables.csv_rows import read_rows
from trials.errors import EvaluationError
from trials.evaluation.bootstrap import GroupBootstrap, Interval
from trials.evaluation.measures import auc, decision, spearman
from trials.evaluation.shortcuts import (
    GEOMETRY,
    BeyondGeometry,
    Third,
    auc_by_thirds,
    beyond_geometry,
    correlations,
)
from trials.report.comparison import Comparison
from trials.runs.collection import BinaryPredictions

SUBGROUPS = ("device", "birads", "histology")
_SMALLEST_SUBGROUP = 10  # images; smaller ones are put together


@dataclass(frozen=True, eq=False)
class DataSet:
    """The images that runs were tested on, by file, and their manifest's columns, if there is one."""

    data: LesionData
    images: Mapping[str, np.ndarray]
    rows: Mapping[str, Mapping[str, str]]

    def column(self, name: str, files: np.ndarray) -> np.ndarray | None:
        """Return a column's values for these files [n]; None where the manifest has no such column."""
        if not all(name in self.rows.get(file, {}) for file in files):
            return None
        return np.array([self.rows[file][name] for file in files], dtype=str)

    def cells(self, files: Sequence[str]) -> dict[str, list[str]]:
        """Return the covariates of these files by column, as models take them beside the images."""
        place = {file: index for index, file in enumerate(self.data.files)}
        return self.data.cells(np.array([place[file] for file in files], dtype=np.int64))

    def geometry(self, files: np.ndarray) -> np.ndarray | None:
        """Return the boxes' width, height (pixels of the source) and ratio [n, 3]; None: not known."""
        size = [self.column(name, files) for name in ("width", "height")]
        if any(values is None for values in size):
            return None
        try:
            width, height = (np.asarray(values, dtype=float) for values in size)
        except ValueError:
            return None
        known = (np.minimum(width, height) > 0).all()
        return np.column_stack([width, height, width / height]) if known else None


def read_data(path: Path, comparison: Comparison, group_column: str | None = None) -> DataSet:
    """Read the data set of the runs; raises `EvaluationError` where `path` holds another."""
    metrics, record = comparison.first.metrics, comparison.first.record
    settings = (record.get("settings") or {}).get("data") or {}
    data = load(
        path,
        positive=metrics["positive"],
        group_column=group_column or settings.get("group_column"),
        classes=settings.get("classes"),
        duplicates=settings.get("duplicates", "near"),
        frames=settings.get("frames", False),
        ordered=settings.get("ordered"),
        accept=ACCEPTABLE,
        covariates=settings.get("covariates") or (),
    )
    if data.digest != metrics["data_digest"]:
        raise EvaluationError(
            f"{path}: is not the data of the runs (digest {data.digest}, theirs {metrics['data_digest']}, of "
            f"{metrics['data']}); name theirs, or leave --data out"
        )
    manifest = data.root / "manifest.csv"
    rows = read_rows(manifest, ("file",)) if manifest.is_file() else []
    return DataSet(data, dict(zip(data.files, data.images, strict=True)), {row["file"]: row for row in rows})


@dataclass(frozen=True)
class Shortcuts:
    """How a method's score depends on the box; `beyond` is None where it cannot be computed."""

    label: str
    thirds: Sequence[Third]
    correlations: Mapping[str, Interval]
    beyond: BeyondGeometry | None


def shortcuts(label: str, predictions: BinaryPredictions, geometry: np.ndarray) -> Shortcuts:
    """Measure how a method's score depends on the geometry of the boxes [n, 3]."""
    truth, given = predictions.positive, predictions.log_odds
    bootstrap = GroupBootstrap(truth, predictions.groups)
    try:
        beyond = beyond_geometry(bootstrap, truth, given, geometry, predictions.folds)
    except ValueError:  # one class only in the other folds
        beyond = None
    return Shortcuts(
        label,
        auc_by_thirds(truth, given, predictions.groups, geometry[:, 1]),
        correlations(bootstrap, given, geometry),
        beyond,
    )


def truth_and_geometry(predictions: BinaryPredictions, geometry: np.ndarray) -> dict[str, Interval]:
    """Return the correlation of the labels with the box: that of a perfect score."""
    bootstrap = GroupBootstrap(predictions.positive, predictions.groups)
    return {
        name: bootstrap.interval(spearman(predictions.positive, geometry[:, column]))
        for column, name in enumerate(GEOMETRY)
    }


@dataclass(frozen=True)
class Subgroup:
    """A method on the images that share a value of the manifest."""

    value: str
    n: int
    positives: int
    auc: Interval
    accuracy: Interval
    tpr: Interval
    tnr: Interval


def subgroups(predictions: BinaryPredictions, values: np.ndarray) -> list[Subgroup]:
    """Return a method's measures for each value [n], the most frequent first; rare values are merged."""
    counts = Counter(values.tolist())
    rare = [value for value, count in counts.items() if count < _SMALLEST_SUBGROUP]
    named = np.array(["rarer values" if value in rare else value or "not given" for value in values.tolist()])
    return [
        _subgroup(str(value), predictions.at(named == value)) for value, _ in Counter(named).most_common()
    ]


def _subgroup(value: str, part: BinaryPredictions) -> Subgroup:
    bootstrap = GroupBootstrap(part.positive, part.groups)
    decisions = {name: decision(name, part.positive, part.called) for name in ("accuracy", "tpr", "tnr")}
    measures = bootstrap.intervals({"auc": auc(part.positive, part.log_odds), **decisions})
    return Subgroup(
        value,
        len(part.files),
        int(part.positive.sum()),
        **measures,
    )
