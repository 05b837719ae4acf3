"""ENAS's network as a space of NNI's (Pham et al. 2018, arXiv 1802.03268, and the code its authors released).

Inside `with nni.nas.space.model_context(sample)` the constructor builds the final network of an architecture,
an `EnasNetwork`. Outside, it builds the space: the same stem and head around cells made of NNI's
`LayerChoice` and `InputChoice`. Every tensor is [batch, channels, height, width].
"""

import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from nni.mutable import label_scope
from nni.nas.space import current_model, model_context
from torch import Tensor, nn

from search_space.enas.architecture import OPERATIONS, Architecture, choice_slots
from search_space.enas.final_network import CellModule, Channels, EnasNetwork
from search_space.enas.layouts import Position, check_sizes

with warnings.catch_warnings():
    # NNI 3.0 looks through torch's names for modules, and warns of two that came after it. Harmless.
    for name in ("parameter.Buffer", "modules.linear_cross_entropy_options.LinearCrossEntropyOptions"):
        warnings.filterwarnings("ignore", re.escape(f"<class 'torch.nn.{name}'> is found"), RuntimeWarning)
    from nni.nas.nn.pytorch import InputChoice, LayerChoice, ModelSpace


class Placeholder(nn.Module):
    """Stands for an operation that may be chosen; it has no weights.

    ENAS's shared weights belong to a slot, the state it reads and the operation. The options of a
    `LayerChoice` do not know the state and so cannot hold them; a strategy's cell does.
    """


class Cell(CellModule):
    """A cell of the space: NNI choices of an operation and of an input for each slot; it cannot run.

    A one-shot strategy replaces it by a cell with shared weights, built from the attributes here.
    `in_channels` are those of the two inputs in ENAS's shared network, where every cell ends in a convolution
    to `filters` channels, and a reduction cell passes on its reduced input in place of the input itself.
    """

    operations = OPERATIONS

    def __init__(self, position: Position, in_channels: Channels, nodes: int) -> None:
        super().__init__()
        self.label = position.kind
        self.layer = position.layer
        self.reduction = position.reduction
        self.filters = position.filters
        self.in_channels = in_channels
        self.out_channels = (self.filters if self.reduction else in_channels[1], self.filters)
        self.nodes = nodes
        self.choices = nn.ModuleList()
        with label_scope(self.label):
            for state, operation_label, input_label in choice_slots(nodes):
                candidates = {name: Placeholder() for name in self.operations}
                self.choices.append(LayerChoice(candidates, label=operation_label))
                self.choices.append(InputChoice(state, n_chosen=1, label=input_label))

    def forward(self, before_last: Tensor, last: Tensor) -> NoReturn:
        """Raise RuntimeError."""
        raise RuntimeError(
            "a search space has no weights and cannot run: build one architecture's network inside `with "
            "nni.nas.space.model_context(sample):`, or search the space with a strategy (strategies.ENAS)"
        )


class EnasSpace(EnasNetwork, ModelSpace):
    """ENAS's micro space, and inside `model_context` the final network of one architecture.

    `nodes` are those of a cell; ENAS has 5. `layout` and all other `options` are `EnasNetwork`'s.

    Raises ValueError for values out of range, and inside `model_context` for a sample that is no architecture
    of this many nodes.
    """

    trace_args: tuple[Any, ...]  # those of the constructor, as NNI keeps them
    trace_kwargs: dict[str, Any]

    def __init__(self, layout: str | Sequence[str] = "enas7", *, nodes: int = 5, **options: Any) -> None:
        check_sizes(nodes=nodes)
        self._nodes = nodes
        super().__init__(_architecture_in_context(nodes), layout, **options)
        self._keep_layout(layout)

    def make_cell(self, position: Position, in_channels: Channels, drop_path: float) -> CellModule:
        """Return a cell to be searched, inside `model_context` the architecture's."""
        if self.architecture is None:
            return Cell(position, in_channels, self._nodes)
        return super().make_cell(position, in_channels, drop_path)

    def _keep_layout(self, given: object) -> None:
        """Keep a copy of the layout for `freeze`: NNI keeps the caller's own list, which may change."""
        if isinstance(given, str):
            return
        kept = tuple(self.layout)
        self.trace_args = tuple(kept if value is given else value for value in self.trace_args)
        self.trace_kwargs = {
            name: kept if value is given else value for name, value in self.trace_kwargs.items()
        }

    def freeze(self, sample: Mapping[str, Any]) -> "EnasSpace":
        """Build the final network of a sample from this space's own arguments, with new weights.

        Freezing each choice in its place, as NNI does, cannot work: the loose ends of a cell decide the
        channels of the next, and a strategy may have replaced the cells.
        """
        with model_context(sample):
            return type(self)(*self.trace_args, **self.trace_kwargs)


def _architecture_in_context(nodes: int) -> Architecture | None:
    sample = current_model()
    if sample is None:
        return None
    architecture = Architecture.from_sample(sample)
    if architecture.nodes != nodes:
        raise ValueError(
            f"the sample has {architecture.nodes} nodes a cell, the network {nodes}; "
            f"pass nodes={architecture.nodes}"
        )
    return architecture
