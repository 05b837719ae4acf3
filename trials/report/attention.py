"""The most confident cases of a method with pictures and, if its weights are there, Grad-CAM maps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

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
LARGEST = 320  # pixels of the longer side of an image beside its map; larger ones are made smaller


@dataclass(frozen=True)
class Shown:
    """A case, its picture and Grad-CAM map as data URIs, and the map's sanity; None: not there.

    Both are of the image's own size and proportions, `LARGEST` pixels at most.
    """

    case: AnyCase
    picture: str | None = None
    map: str | None = None
    sanity: float | None = None


@dataclass(frozen=True)
class Mapped:
    """A Grad-CAM map over its image as a data URI, and its sanity."""

    map: str
    sanity: float


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
    mapped: dict[str, Mapped] = {}
    no_maps = None
    try:
        mapped = _maps(method, [*mistakes, *certain], data, of) if data else {}
    except (ModelError, ExplainError) as error:
        no_maps = str(error)

    def shown(cases: Sequence[AnyCase]) -> list[Shown]:
        return [_shown(case, data, mapped.get(case.file)) for case in cases]

    return SurestCases(shown(mistakes), shown(certain), no_maps)


def _maps(method: MethodRuns, cases: Sequence[AnyCase], data: DataSet, of: str | None) -> dict[str, Mapped]:
    """Map by the model that tested the case's fold; of several seeds by the first one's."""
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
    found: dict[str, Mapped] = {}
    for fold, files in of_folds.items():
        model = load_model(folders[fold])
        images = [data.images[file] for file in files]
        explained = explain(model, images, [METHOD], of, data.cells(files))
        for file, image, one in zip(files, images, explained, strict=True):
            found[file] = _mapped(image, one)
    return found


def _mapped(image: np.ndarray, explained: Explanation) -> Mapped:
    height, width = image.shape[:2]
    drawn = overlay(image, explained.own_size(METHOD, (height, width)))
    return Mapped(thumbnail(drawn, LARGEST), explained.sanity[METHOD])


def _shown(case: AnyCase, data: DataSet | None, mapped: Mapped | None) -> Shown:
    if data is None or case.file not in data.images:
        return Shown(case)
    if mapped is None:
        return Shown(case, thumbnail(data.images[case.file]))
    return Shown(case, thumbnail(data.images[case.file], LARGEST), mapped.map, mapped.sanity)


def colour_bar() -> str:
    """Return the colours of a map as a data URI, over a grey image: from all against to all for."""
    strength = np.tile(np.linspace(-1, 1, 161), (12, 1))
    return thumbnail(overlay(np.full(strength.shape, 128, dtype=np.uint8), strength), len(strength[0]))
