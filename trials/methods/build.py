"""How each method of the registry is built: of its task and, where it has cells, of the found ones.

Networks are imported when one is built: PyTorch and NNI take seconds, and a cheap baseline needs neither.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pkgutil import resolve_name
from typing import TYPE_CHECKING

from trials.data.task import Task
from trials.errors import SettingsError
from trials.methods.base import Method
from trials.methods.classical import ClassicalMethod, Seen
from trials.methods.learners import Learn, LogisticLearner, SVMLearner
from trials.methods.registry import CHOSEN, METHODS, Entry
from trials.models.specs import KnownNetwork

if TYPE_CHECKING:
    from trials.methods.cells import Found

Builder = Callable[[Task], Method]


def build(task: Task, entry: Entry, found: Found | None = None) -> Method:
    """Return the method of a registry's `entry` without members; `found` is its architecture, if any."""
    name, layout = entry.title.name, entry.title.layout
    if entry.builder:
        method: Method = resolve_name(entry.builder)(task)
        return method
    if entry.backbone and entry.frozen:
        from trials.methods.frozen import FrozenMethod

        return FrozenMethod(task, entry.backbone)
    if entry.backbone:
        from trials.methods.networks import BackboneMethod

        return BackboneMethod(task, entry.backbone)
    if entry.cells is None:
        return BUILDERS[name](task)
    if found is None:
        raise ValueError(f"{name}: a searched network needs an architecture; search one")
    from trials.methods.cells import boosted_network, cell_network, enas_b

    if layout is None:
        return boosted_network(task, found)
    return enas_b(task, found) if layout == CHOSEN else cell_network(task, found, layout)


def _known(kind: str, start: str | None = None) -> Builder:
    """Return what builds a network of `zoo`, whose weights the function of the name `start` sets."""

    def builder(task: Task) -> Method:
        from trials.methods.networks import NetworkMethod
        from trials.models import zoo

        network = KnownNetwork.model_validate({"kind": kind})
        return NetworkMethod(task, network, start=getattr(zoo, start) if start else None)

    return builder


def _boosted(task: Task) -> Method:
    from trials.methods.networks import BoostedMethod

    return BoostedMethod(task)


def _covariates(task: Task) -> Method:
    if task.split.coding is None:
        raise SettingsError(
            "covariates: learns from data.covariates alone, and none are set; name columns of the table "
            "beside the images: --set data.covariates=age,device"
        )
    return ClassicalMethod(task, Seen(), LogisticLearner())


def _classical(seen: Seen, learn: Learn) -> Builder:
    return lambda task: ClassicalMethod(task, seen, learn)


_CELLS = Seen(("gradient_cells",), box="log", standardised=True)
_OF_CELLS = _classical(_CELLS, SVMLearner(cs=(3.0,)))  # C by the features' first study; ours

BUILDERS: Mapping[str, Builder] = {  # of methods without cells or members
    "covariates": _covariates,
    "geometry": _classical(Seen(box="plain", covariates=False), LogisticLearner()),
    "hog": _classical(Seen(("gradients",)), SVMLearner()),
    "hog_geometry": _classical(Seen(("gradients",), box="plain"), SVMLearner()),
    "hog_cells": _OF_CELLS,
    "hog_cells_mirrored": _OF_CELLS,
    "statistics": _classical(Seen(("statistics",), standardised=True), SVMLearner()),
    "cnn3": _known("cnn3"),
    "resnet18": _known("resnet18"),
    "efficientnet_b0": _known("efficientnet_b0", "start_classifier"),
    **dict.fromkeys((name for name in METHODS if name.startswith("boosted")), _boosted),
    "alexnet": _known("alexnet"),
    "efficientnet_lite0": _known("efficientnet_lite0", "load_imagenet_lite0"),
}
