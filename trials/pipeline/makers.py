"""How each method of the registry is made: by name, a function of its task and of the task's folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from torch import nn

from trials.data.task import Task
from trials.methods.base import Method
from trials.methods.classical import ClassicalMethod, logistic_regression, support_vectors
from trials.methods.features import (
    STATISTICS,
    geometry,
    geometry_and_gradients,
    gradients,
    statistics,
)
from trials.methods.networks import BoostedMethod, NetworkMethod
from trials.methods.registry import METHODS
from trials.models.zoo import KnownNetwork, load_imagenet_lite0, start_classifier
from trials.pipeline.cells import enas_b, from_search, random_cells
from trials.pipeline.ensemble import MeanMethod

Maker = Callable[[Task, Path | None], Method]


def _known(kind: str, start: Callable[[nn.Module], None] | None = None) -> Maker:
    network = KnownNetwork.model_validate({"kind": kind})
    return lambda task, home: NetworkMethod(task, network, start=start)


def _classical(*parts: Callable[..., object]) -> Maker:
    return lambda task, home: ClassicalMethod(task, *parts)  # type: ignore[arg-type]


def _mean(*names: str) -> Maker:
    """Make the mean of entries that differ from the others in no setting, as all have the mean's own."""

    def make(task: Task, home: Path | None) -> Method:
        entries = [METHODS[name] for name in names]
        return MeanMethod(task, [(entry.title, entry.make(task, home)) for entry in entries], home)

    return make


def _boosted(task: Task, home: Path | None) -> Method:
    return BoostedMethod(task)


MAKERS: Mapping[str, Maker] = {
    "geometry": _classical(geometry, logistic_regression),
    "hog": _classical(gradients, support_vectors),
    "hog_geometry": _classical(geometry_and_gradients, partial(support_vectors, standardised=3)),
    "statistics": _classical(statistics, partial(support_vectors, standardised=STATISTICS)),
    "enas7": partial(from_search, layout="enas7"),
    "enas17": partial(from_search, layout="enas17"),
    "enas_b": enas_b,
    "random7": partial(from_search, layout="enas7"),
    "random17": partial(from_search, layout="enas17"),
    "cells7": partial(random_cells, layout="enas7"),
    "cells17": partial(random_cells, layout="enas17"),
    "enas7_hog_geometry": _mean("enas7", "hog_geometry"),
    "cells7_hog_geometry": _mean("cells7", "hog_geometry"),
    "cnn3": _known("cnn3"),
    "resnet18": _known("resnet18"),
    "efficientnet_b0": _known("efficientnet_b0", start_classifier),
    **dict.fromkeys((name for name in METHODS if name.startswith("boosted")), _boosted),
    "alexnet": _known("alexnet"),
    "efficientnet_lite0": _known("efficientnet_lite0", load_imagenet_lite0),
}
