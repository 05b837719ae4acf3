"""How each method of the registry is built: of its task and, where it has cells, of the found ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pkgutil import resolve_name

from torch import nn

from trials.data.task import Task
from trials.methods.base import Method
from trials.methods.cells import Found, cell_network, enas_b
from trials.methods.classical import ClassicalMethod, logistic_regression, support_vectors
from trials.methods.features import STATISTICS, geometry, geometry_and_gradients, gradients, statistics
from trials.methods.networks import BoostedMethod, NetworkMethod
from trials.methods.registry import CHOSEN, METHODS, Entry
from trials.models.specs import KnownNetwork
from trials.models.zoo import load_imagenet_lite0, start_classifier

Builder = Callable[[Task], Method]


def build(task: Task, entry: Entry, found: Found | None = None) -> Method:
    """Return the method of a registry's `entry` without members; `found` are the cells, where it has any."""
    name, layout = entry.title.name, entry.title.layout
    if entry.builder:
        method: Method = resolve_name(entry.builder)(task)
        return method
    if entry.cells is None:
        return BUILDERS[name](task)
    if found is None or layout is None:
        raise ValueError(f"{name}: a network of cells needs an architecture and a layout; search one")
    return enas_b(task, found) if layout == CHOSEN else cell_network(task, found, layout)


def _known(kind: str, start: Callable[[nn.Module], None] | None = None) -> Builder:
    network = KnownNetwork.model_validate({"kind": kind})
    return lambda task: NetworkMethod(task, network, start=start)


def _classical(*parts: Callable[..., object]) -> Builder:
    return lambda task: ClassicalMethod(task, *parts)  # type: ignore[arg-type]


BUILDERS: Mapping[str, Builder] = {  # of methods without cells or members
    "geometry": _classical(geometry, logistic_regression),
    "hog": _classical(gradients, support_vectors),
    "hog_geometry": _classical(geometry_and_gradients, partial(support_vectors, standardised=3)),
    "statistics": _classical(statistics, partial(support_vectors, standardised=STATISTICS)),
    "cnn3": _known("cnn3"),
    "resnet18": _known("resnet18"),
    "efficientnet_b0": _known("efficientnet_b0", start_classifier),
    **dict.fromkeys((name for name in METHODS if name.startswith("boosted")), BoostedMethod),
    "alexnet": _known("alexnet"),
    "efficientnet_lite0": _known("efficientnet_lite0", load_imagenet_lite0),
}
