"""Networks of cells as methods: of an architecture that was found, or of random cells, the control."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from search_space import Architecture
from trials.data.task import Task
from trials.methods.networks import EnasBMethod, NetworkMethod
from trials.models.specs import CellNetwork


@dataclass(frozen=True)
class Found:
    """An architecture, what its search has `seen` (None: no search, or an unknown one), and `facts` about it.

    The facts go into `metrics.json`.
    """

    architecture: Architecture
    seen: Mapping[str, Any] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


def random_cells(task: Task, number: int = 0) -> Found:
    """Draw random cells: other ones in every fold, for every seed and number, the same for every layout."""
    fold = task.split.fold
    seeds = np.random.SeedSequence([task.seed, 0 if fold is None else 1 + fold])
    seed = int(seeds.generate_state(number + 1)[number])
    return Found(Architecture.random(seed, nodes=task.settings.search.nodes))


def cell_network(
    task: Task, found: Found, layout: str, kind: type[NetworkMethod] = NetworkMethod
) -> NetworkMethod:
    """Return the network of the cells in `layout`; raises ValueError for a layout that is none."""
    settings = task.settings.retrain
    network = CellNetwork(
        architecture=found.architecture.to_sample(),
        layout=layout,
        filters=settings.filters,
        stem_stride=settings.stem_stride,
        output_norm=settings.output_norm,
    )
    return kind(task, network, search_seen=found.seen, facts=found.facts)


def enas_b(task: Task, found: Found) -> NetworkMethod:
    """Return the network of the cells, as deep and wide as the settings choose."""
    return cell_network(task, found, f"enas{task.settings.enas_b.cells}", EnasBMethod)
