"""Networks as methods whose architecture was found by a search, or is of random cells, the control."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from search_space import Architecture, BoostedArchitecture
from trials.data.leaks import other_data
from trials.data.task import Task
from trials.methods.networks import BoostedMethod, EnasBMethod, NetworkMethod
from trials.models.shared_weights import SharedWeights
from trials.models.specs import CellNetwork
from trials.settings.search import SearchSettings

SPACES: Mapping[str, type[Architecture] | type[BoostedArchitecture]] = {  # by search.space
    "cells": Architecture,
    "boosted": BoostedArchitecture,
}


@dataclass(frozen=True)
class Found:
    """An architecture, what its search has `seen` (None: no search, or an unknown one), and `facts` about it.

    The facts go into `metrics.json`.
    """

    architecture: Architecture | BoostedArchitecture
    seen: Mapping[str, Any] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


def random_architecture(settings: SearchSettings, seed: int) -> Architecture | BoostedArchitecture:
    """Draw an architecture of the space that the settings search."""
    if settings.space == "cells":
        return Architecture.random(seed, nodes=settings.nodes)
    return BoostedArchitecture.random(seed)


def random_cells(task: Task, number: int = 0) -> Found:
    """Draw random cells: other ones in every fold, for every seed and number, the same for every layout.

    Where the settings search another space, an architecture of that one.
    """
    fold = task.split.fold
    seeds = np.random.SeedSequence([task.seed, 0 if fold is None else 1 + fold])
    seed = int(seeds.generate_state(number + 1)[number])
    return Found(random_architecture(task.settings.search, seed))


def cell_network(
    task: Task, found: Found, layout: str, kind: type[NetworkMethod] = NetworkMethod
) -> NetworkMethod:
    """Return the network of the cells in `layout`, from the shared weights that `retrain.start` names.

    Raises ValueError for a layout that is none, and for weights that do not fit or that have seen images to
    choose by or to test on.
    """
    settings = task.settings.retrain
    if not isinstance(found.architecture, Architecture):
        raise ValueError(f"{layout}: expected an architecture of cells, not {found.architecture}")
    network = CellNetwork(
        architecture=found.architecture.to_sample(),
        layout=layout,
        filters=settings.filters,
        stem_stride=settings.stem_stride,
        output_norm=settings.output_norm,
    )
    shared = _shared_weights(task, found.architecture.nodes)
    before = [shared.seen] if shared else []
    names = other_data([*(found.seen or {}).get("seen_before", ()), *before], task.data)
    facts = {**found.facts, **({"saw_other_data": True, "other_data": names} if names else {})}
    start = shared.into_network if shared else None
    method = kind(task, network, start=start, search_seen=found.seen, facts=facts)
    if shared:
        method.seen_before = before
        method.identity = {**method.identity, "starts_from": shared.known}
    return method


def check_starts(task: Task, network: Callable[[Found], object]) -> None:
    """Raise ValueError where a search, or the `network` of its cells, cannot or may not start as set.

    To be called before the search.
    """
    if folder := task.settings.search.start:
        SharedWeights.read(folder, "search.start").refuse_seen(task.split, task.external)
    if task.settings.retrain.start:
        network(random_cells(task))


def _shared_weights(task: Task, nodes: int) -> SharedWeights | None:
    if (folder := task.settings.retrain.start) is None:
        return None
    shared = SharedWeights.read(folder, "retrain.start")
    shared.check_network(task.settings, nodes)
    shared.refuse_seen(task.split, task.external)
    return shared


def boosted_network(task: Task, found: Found) -> NetworkMethod:
    """Return EfficientNet with the changes that a search has found, from ImageNet weights."""
    if not isinstance(found.architecture, BoostedArchitecture):
        raise ValueError(
            f"expected an architecture of Boosted EfficientNet's space, not {found.architecture}"
        )
    return BoostedMethod(task, found.architecture.chosen, search_seen=found.seen, facts=found.facts)


def enas_b(task: Task, found: Found) -> NetworkMethod:
    """Return the network of the cells, as deep and wide as the settings choose."""
    return cell_network(task, found, f"enas{task.settings.enas_b.cells}", EnasBMethod)
