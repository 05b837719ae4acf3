"""ENAS's cells with shared weights.

Source: ENAS (arXiv 1802.03268) and its released code. In a search every node, slot, predecessor and operation
of every cell has its own weights; an architecture runs the few that it names. ENAS's shared cells differ from
its final cells, here ``search_space.enas.final_network.FinalCell``, in two ways. A reduction cell runs at
stride 1 on two factorized reductions of the previous output. The loose ends go through one shared 1x1
convolution, of which only their slices are used, so that the output's width does not depend on the
architecture.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from nni.mutable import Categorical, CategoricalMultiple, Sample, label_scope
from nni.nas.oneshot.pytorch.supermodule.base import BaseSuperNetModule
from torch import Tensor, nn
from torch.nn import functional

from search_space.enas.network import Cell
from search_space.enas.operations import Calibration, FactorizedReduction, initialise, operation


class SampledCell(BaseSuperNetModule):
    """Base of shared cells: has the choices, takes a sample, and runs the nodes as the sample wires them."""

    def __init__(self, label: str, nodes: range, slots: int, operations: Sequence[str]) -> None:
        super().__init__()
        self.nodes, self.slots = nodes, slots
        with label_scope(label) as self.label_scope:
            for node in nodes:
                for slot in range(slots):
                    self.add_mutable(Categorical(list(operations), label=f"op_{node}_{slot}"))
                    self.add_mutable(
                        CategoricalMultiple(range(node), n_chosen=1, label=f"input_{node}_{slot}")
                    )
        self.wiring: list[list[tuple[int, str]]] = []

    def build_edges(self, make: Callable[[int, int, int], dict[str, nn.Module]]) -> None:
        """Create the operations of each edge; ``make(node, slot, predecessor)`` returns them by name."""
        self.edges: Any = nn.ModuleList(
            nn.ModuleList(
                nn.ModuleList(nn.ModuleDict(make(node, slot, state)) for state in range(node))
                for slot in range(self.slots)
            )
            for node in self.nodes
        )

    def resample(self, memo: Sample) -> Sample:
        """Take this cell's part of the sample; weights that it does not name stay untouched."""
        name = self.label_scope.name
        self.wiring = [
            [
                (memo[f"{name}/input_{node}_{slot}"][0], memo[f"{name}/op_{node}_{slot}"])
                for slot in range(self.slots)
            ]
            for node in self.nodes
        ]
        return {}

    def run_nodes(self, states: list[Tensor]) -> None:
        """Append the output of each node to ``states``."""
        if not self.wiring:
            raise RuntimeError(
                "no architecture is set: a strategy calls resample(sample) before a forward pass"
            )
        for edges, inputs in zip(self.edges, self.wiring, strict=True):
            slots = zip(edges, inputs, strict=True)
            states.append(sum(edge[source][name](states[source]) for edge, (source, name) in slots))

    def used_states(self) -> set[int]:
        """Return the states that some node reads."""
        return {source for inputs in self.wiring for source, _ in inputs}


class SharedCell(SampledCell):
    """ENAS's cell of the search; it replaces the ``search_space.enas.network.Cell`` that it is made from.

    Maps (s0, s1), the outputs of the two cells before, to the pair that the next cell reads; each is
    [batch, channels, height, width]. The output has ``cell.filters`` channels whatever the architecture.
    """

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell.label, range(2, cell.nodes + 2), 2, cell.operations)
        filters = cell.filters
        self.reduction = cell.reduction
        if cell.reduction:
            previous = cell.in_channels[1]
            self.behind_relu = nn.Sequential(nn.ReLU(), FactorizedReduction(previous, filters))
            self.plain = FactorizedReduction(previous, filters)
        else:
            self.entries = nn.ModuleList(
                nn.Identity() if channels == filters else Calibration(channels, filters)
                for channels in cell.in_channels
            )
        self.build_edges(
            lambda node, slot, state: {name: operation(name, filters, filters, 1) for name in cell.operations}
        )
        self.norm = nn.BatchNorm2d(filters)
        # ENAS draws shared weights with the number of inputs as fan-in, a side effect of how it stores them;
        # here they start as the final network's do. Each is followed by batch normalisation, so that only the
        # first steps differ.
        self.apply(initialise)
        # [states, out, in]; scaled as for two loose ends. Batch normalisation follows, so the scale hardly
        # matters; our choice.
        self.merge = nn.Parameter(torch.randn(cell.nodes + 2, filters, filters) / filters**0.5)

    def forward(self, s0: Tensor, s1: Tensor) -> tuple[Tensor, Tensor]:
        """Return the state that the next cell reads as its first input, and this cell's output."""
        if self.reduction:
            states = [self.behind_relu(s1), self.plain(s1)]
            carried = states[1]
        else:
            states = [entry(state) for entry, state in zip(self.entries, (s0, s1), strict=True)]
            carried = s1
        self.run_nodes(states)
        loose = [index for index in range(len(states)) if index not in self.used_states()]
        weight = self.merge[loose].transpose(0, 1).flatten(1)  # [out, loose * in]
        joined = functional.relu(torch.cat([states[index] for index in loose], 1))
        return carried, self.norm(functional.conv2d(joined, weight[:, :, None, None]))

    @classmethod
    def mutate(cls, module: nn.Module, name: str, memo: dict[str, Any], mutate_kwargs: dict[str, Any]) -> Any:
        """NNI's mutation hook: replace each cell of an ``EnasSpace``."""
        return cls(module) if isinstance(module, Cell) else None
