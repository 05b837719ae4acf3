"""The most confident cases of a method with pictures and, if its weights are there, Grad-CAM maps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trials.errors import ExplainError, ModelError
from trials.inference.map_pictures import overlay
from trials.report.class_summaries import ClassSummary
from trials.report.data_set import DataSet
from trials.report.figures import thumbnail
from trials.report.methods import MethodRuns
from trials.report.mistakes import (
    Case,
    ClassCase,
    most_certain,
    most_certain_of_classes,
    worst_class_mistakes,
    worst_mistakes,
)
from trials.report.summaries import Summary
from trials.runs.collection import BinaryPredictions
from trials.runs.layout import MODEL_FILE

if TYPE_CHECKING:
    from trials.inference.explain import Explanation

METHOD = "grad_cam"  # occlusion takes a hundred times as long


@dataclass(frozen=True)
class Shown:
    """A case, its picture and Grad-CAM map as data URIs, and the map's sanity; None: not there."""

    case: Case | ClassCase
    picture: str | None = None
    map: str | None = None
    sanity: float | None = None


@dataclass(frozen=True)
class SurestCases:
    """The most confident mistakes and correct cases, and why there are no maps, if there are none."""

    mistakes: Sequence[Shown]
    certain: Sequence[Shown]
    no_maps: str | None


def surest_cases(summary: Summary[BinaryPredictions], data: DataSet | None) -> SurestCases:
    """Return the most confident cases of the test folds; pictures and maps need `data`."""
    mistakes, certain = worst_mistakes(summary.predictions), most_certain(summary.predictions, 3)
    explained: dict[str, Explanation] = {}
    no_maps = None
    try:
        explained = _explain(summary.method, [*mistakes, *certain], data) if data else {}
    except (ModelError, ExplainError) as error:
        no_maps = str(error)

    def shown(cases: Sequence[Case]) -> list[Shown]:
        return [_shown(case, data, explained.get(case.file)) for case in cases]

    return SurestCases(shown(mistakes), shown(certain), no_maps)


def surest_class_cases(summary: ClassSummary, data: DataSet | None) -> SurestCases:
    """Return the most confident cases of the test folds, of all classes, with pictures of `data`."""
    mistakes, certain = (
        [_shown(case, data, None) for case in cases(summary.predictions)]
        for cases in (worst_class_mistakes, most_certain_of_classes)
    )
    return SurestCases(mistakes, certain, None)


def _explain(method: MethodRuns, cases: Sequence[Case], data: DataSet) -> dict[str, Explanation]:
    """Explain by the model that tested the case's fold; of several seeds by the first one's."""
    folders = {run.fold: run.folder for run in reversed(method.runs)}
    if not all((folder / MODEL_FILE).is_file() for folder in folders.values()):
        raise ModelError(
            "no weights lie beside these runs: published ones come without, some methods have none"
        )
    from trials.inference.explain import explain  # late, as PyTorch takes seconds
    from trials.models.model_file import load_model

    of_folds: dict[int, list[str]] = defaultdict(list)
    for case in cases:
        if case.file in data.images:
            of_folds[case.fold].append(case.file)
    found: dict[str, Explanation] = {}
    for fold, files in of_folds.items():
        explained = explain(load_model(folders[fold]), [data.images[file] for file in files], [METHOD])
        found |= dict(zip(files, explained, strict=True))
    return found


def _shown(case: Case | ClassCase, data: DataSet | None, explained: Explanation | None) -> Shown:
    picture = thumbnail(data.images[case.file]) if data and case.file in data.images else None
    if explained is None:
        return Shown(case, picture)
    return Shown(
        case, picture, thumbnail(overlay(explained.seen, explained.maps[METHOD])), explained.sanity[METHOD]
    )
