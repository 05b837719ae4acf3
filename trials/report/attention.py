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

AnyCase = Case | ClassCase
METHOD = "grad_cam"  # occlusion takes a hundred times as long


@dataclass(frozen=True)
class Shown:
    """A case, its picture and Grad-CAM map as data URIs, and the map's sanity; None: not there."""

    case: AnyCase
    picture: str | None = None
    map: str | None = None
    sanity: float | None = None


@dataclass(frozen=True)
class SurestCases:
    """The most confident mistakes and correct cases, and why there are no maps, if there are none."""

    mistakes: Sequence[Shown]
    certain: Sequence[Shown]
    no_maps: str | None


def surest_cases(summary: Summary[BinaryPredictions], data: DataSet | None, positive: str) -> SurestCases:
    """Return the most confident cases of the test folds; pictures and maps, of `positive`, need `data`."""
    mistakes, certain = worst_mistakes(summary.predictions), most_certain(summary.predictions, 3)
    return _surest(summary.method, mistakes, certain, data, positive)


def surest_class_cases(summary: ClassSummary, data: DataSet | None) -> SurestCases:
    """As `surest_cases`, of all classes; the maps are of the class that an image is called."""
    mistakes = worst_class_mistakes(summary.predictions)
    return _surest(summary.method, mistakes, most_certain_of_classes(summary.predictions), data, None)


def _surest(
    method: MethodRuns,
    mistakes: Sequence[AnyCase],
    certain: Sequence[AnyCase],
    data: DataSet | None,
    of: str | None,
) -> SurestCases:
    explained: dict[str, Explanation] = {}
    no_maps = None
    try:
        explained = _explain(method, [*mistakes, *certain], data, of) if data else {}
    except (ModelError, ExplainError) as error:
        no_maps = str(error)

    def shown(cases: Sequence[AnyCase]) -> list[Shown]:
        return [_shown(case, data, explained.get(case.file)) for case in cases]

    return SurestCases(shown(mistakes), shown(certain), no_maps)


def _explain(
    method: MethodRuns, cases: Sequence[AnyCase], data: DataSet, of: str | None
) -> dict[str, Explanation]:
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
        images = [data.images[file] for file in files]
        explained = explain(load_model(folders[fold]), images, [METHOD], of)
        found |= dict(zip(files, explained, strict=True))
    return found


def _shown(case: AnyCase, data: DataSet | None, explained: Explanation | None) -> Shown:
    picture = thumbnail(data.images[case.file]) if data and case.file in data.images else None
    if explained is None:
        return Shown(case, picture)
    return Shown(
        case, picture, thumbnail(overlay(explained.seen, explained.maps[METHOD])), explained.sanity[METHOD]
    )
