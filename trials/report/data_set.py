"""The data set itself beside the figures: pictures of mistakes, geometry of boxes, subgroups."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from trials.data.dataset import LesionData
from trials.data.findings import ACCEPTABLE
from trials.data.load import load
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
from trials.settings.data import SIZE

SUBGROUPS = ("device", "birads", "histology")  # columns, in any case
_SMALLEST_SUBGROUP = 10  # images; smaller ones are put together


@dataclass(frozen=True, eq=False)
class DataSet:
    """The images that runs were tested on, also by file, and what is known of each beside its pixels."""

    data: LesionData
    images: Mapping[str, np.ndarray]

    @cached_property
    def _places(self) -> dict[str, int]:
        return {file: index for index, file in enumerate(self.data.files)}

    def cells(self, files: Iterable[str], names: Sequence[str] | None = None) -> dict[str, list[str]]:
        """Return cells of these files by column, as `LesionData.cells`; None: the models' covariates."""
        return self.data.cells(np.array([self._places[file] for file in files], dtype=np.int64), names)

    def column(self, name: str, files: np.ndarray) -> np.ndarray | None:
        """Return a column's values for these files [n], its heading in any case; None: there is none."""
        heading = next((own for own in self.data.table if own.casefold() == name), None)
        return None if heading is None else np.array(self.cells(files, [heading])[heading], dtype=str)

    def geometry(self, files: np.ndarray) -> np.ndarray | None:
        """Return the boxes' width, height (pixels of the source) and ratio [n, 3]; None: not known."""
        size = self.cells(files, SIZE)
        try:
            width, height = (np.array(size[name], dtype=float) for name in SIZE)
        except (KeyError, ValueError):
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
    return DataSet(data, dict(zip(data.files, data.images, strict=True)))


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
    """A method on the images that share a value of a column."""

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
