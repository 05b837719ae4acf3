"""Cells and entries of NNI's hub spaces, with shared weights.

NNI's own supernet searches one network of these spaces and exports another, and slices the weights of every
module at each call. This one runs the network that is built later.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from copy import deepcopy
from functools import cached_property
from typing import Any

import torch
from nni.mutable import Sample
from nni.nas.hub.pytorch.nasnet import FactorizedReduce, ReLUConvBN
from nni.nas.nn.pytorch import Cell as NniCell
from nni.nas.nn.pytorch import ParametrizedModule
from nni.nas.nn.pytorch.cell import create_cell_op_candidates, preprocess_cell_inputs
from nni.nas.oneshot.pytorch.supermodule.base import BaseSuperNetModule
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._pytree import tree_map

from search_space.enas.operations import even_and_odd
from strategies.supernet.enas_cells import SampledCell


class SharedNniCell(SampledCell):
    """NNI's ``Cell`` with loose ends or with operations from factories: the hub's ENAS and DARTS spaces.

    NNI's sampling cell concatenates all nodes even if the built network concatenates loose ends only, so that
    it searches one network and exports another. Here the nodes that are read inside the cell become zeros in
    the concatenation. The next layers are linear in each slice, so that the shapes stay fixed and the network
    is the one that is built later. The hub's own modules skip the zeros (``LooseEnds``).
    """

    def __init__(self, cell: NniCell) -> None:
        first = cell.num_predecessors
        make: Any = cell.op_candidates_factory or _copies(cell)
        names = list(create_cell_op_candidates(make, first, 0, 0)[0])
        super().__init__(cell.label, range(first, first + cell.num_nodes), cell.num_ops_per_node, names)
        self.num_predecessors, self.concat_dim = first, cell.concat_dim
        self.loose_end = cell.merge_op == "loose_end"
        self.preprocessor, self.postprocessor = cell.preprocessor, cell.postprocessor
        self.build_edges(lambda node, slot, state: create_cell_op_candidates(make, node, slot, state)[0])

    def forward(self, *inputs: Any) -> Any:
        """Map the cell's inputs to its postprocessor's output for the concatenated nodes."""
        given = preprocess_cell_inputs(self.num_predecessors, *inputs)
        states = list(self.preprocessor(given))
        self.run_nodes(states)
        used = self.used_states() if self.loose_end else set()
        zeros = [index for index, node in enumerate(self.nodes) if node in used]
        nodes = LooseEnds.join(states[self.num_predecessors :], zeros, self.concat_dim)
        return self.postprocessor(nodes, given)

    @classmethod
    def mutate(cls, module: nn.Module, name: str, memo: dict[str, Any], mutate_kwargs: dict[str, Any]) -> Any:
        """NNI's mutation hook; the hooks of its choices take a plain cell that keeps all nodes."""
        if type(module) is not NniCell:
            return None
        cell: Any = module
        shared = cell.op_candidates_factory is not None or cell.merge_op == "loose_end"
        return cls(cell) if shared else None


def _copies(cell: NniCell) -> dict[str, Callable[[int, int, int | None], nn.Module]]:
    """Return factories that copy a cell's operations for each edge."""

    def copier(module: nn.Module) -> Callable[[int, int, int | None], nn.Module]:
        return lambda node, slot, state: deepcopy(module)

    return {name: copier(module) for name, module in cell.ops[-1][-1].candidates.items()}


def keep_fixed_operation(
    module: nn.Module, name: str, memo: dict[str, Any], mutate_kwargs: dict[str, Any]
) -> bool | None:
    """NNI's mutation hook: leave an operation without choices among its arguments as it is.

    NNI turns every convolution, norm and linear layer of its hub into one whose arguments are sampled and
    whose weights are sliced at each call. In the hub's ENAS space these are 3,500 modules to set for each
    architecture (11 ms).
    """
    return True if _is_fixed(module) else None


def _is_fixed(module: nn.Module) -> bool:
    return isinstance(module, ParametrizedModule) and not module.simplify()


class LooseEnds(Tensor):
    """Maps joined along one dimension, some of them zeros that are not written before they are read.

    Every reader gets the joined tensor, made when first read, except :func:`rectified`, which skips the
    zeros. Most nodes of the hub's ENAS cells are zeros, which would be written, rectified and multiplied by
    weights at each step, and their gradients as well. Not to be changed in place.
    """

    maps: Sequence[Tensor]
    zeros: Collection[int]
    along: int

    @staticmethod
    def join(maps: Sequence[Tensor], zeros: Collection[int], along: int = 1) -> LooseEnds:
        """Join maps, for instance [b, channels, h, w]; those at the indices ``zeros`` count as zeros."""
        ends = maps[-1].as_subclass(LooseEnds)  # its own numbers are never read; any tensor would serve
        ends.maps, ends.zeros, ends.along = maps, zeros, along
        return ends

    @cached_property
    def whole(self) -> Tensor:
        """The joined tensor, zeros included."""
        filled = [torch.zeros_like(m) if index in self.zeros else m for index, m in enumerate(self.maps)]
        return torch.cat(filled, self.along)

    @cached_property
    def active(self) -> Tensor:
        """The ReLU of the maps that are not zeros, joined along the channels; computed once."""
        return self._join_kept(self.maps).relu_()

    def reading(self, weight: Tensor) -> Tensor:
        """Return the part of a convolution's weight [out, in, ...] that reads maps that are not zeros."""
        return self._join_kept(weight.split([m.shape[1] for m in self.maps], 1))

    def _join_kept(self, parts: Iterable[Tensor]) -> Tensor:
        return torch.cat([part for index, part in enumerate(parts) if index not in self.zeros], 1)

    @classmethod
    def __torch_function__(
        cls, function: Any, types: Any, arguments: Any = (), keywords: dict[str, Any] | None = None
    ) -> Any:
        def plain(value: Any) -> Any:
            return value.whole if isinstance(value, LooseEnds) else value

        return function(*tree_map(plain, arguments), **tree_map(plain, keywords or {}))


def rectified(images: Tensor, *weights: Tensor) -> tuple[Tensor, ...]:
    """Return the ReLU of images [b, c, h, w] and the weights [out, c, ...] of convolutions that read it.

    All are without the channels that are zeros in :class:`LooseEnds`.
    """
    if isinstance(images, LooseEnds) and images.along == 1:
        return images.active, *(images.reading(weight) for weight in weights)
    return functional.relu(images), *weights


class QuickEntry(nn.Sequential, BaseSuperNetModule):
    """The hub's ``ReLUConvBN`` without the channels that are zeros by construction."""

    def forward(self, images: Tensor) -> Tensor:
        """Map [b, c, h, w] to [b, outputs, h, w]."""
        layers: Any = self
        _, convolution, norm = layers
        positive, weight = rectified(images, convolution.weight)
        result: Tensor = norm(
            functional.conv2d(positive, weight, None, convolution.stride, convolution.padding)
        )
        return result

    def resample(self, memo: Sample) -> Sample:
        """Do nothing: there is nothing to choose."""
        return {}

    @classmethod
    def mutate(cls, module: nn.Module, name: str, memo: dict[str, Any], mutate_kwargs: dict[str, Any]) -> Any:
        """NNI's mutation hook; NNI keeps an entry whose width is a choice."""
        return cls(*module) if isinstance(module, ReLUConvBN) and _is_fixed(module[1]) else None


class QuickReduction(BaseSuperNetModule):
    """The hub's ``FactorizedReduce`` without the channels that are zeros by construction.

    It applies its stride before the ReLU, so that only what is read is computed; the gradient is one pass
    over the map, not five.
    """

    def __init__(self, module: Any) -> None:
        super().__init__()
        self.conv_1, self.conv_2, self.bn = module.conv_1, module.conv_2, module.bn
        self.conv_1.stride = self.conv_2.stride = (1, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Map [b, c, h, w] to [b, outputs, ceil(h / 2), ceil(w / 2)]."""
        first, second = self.conv_1.weight, self.conv_2.weight
        if isinstance(images, LooseEnds):  # their ReLU serves both readers; another one changes nothing
            images, first, second = rectified(images, first, second)
        even, odd = even_and_odd(images)
        halves = functional.conv2d(even.relu(), first), functional.conv2d(odd.relu(), second)
        joined: Tensor = self.bn(torch.cat(halves, 1))
        return joined

    def resample(self, memo: Sample) -> Sample:
        """Do nothing: there is nothing to choose."""
        return {}

    @classmethod
    def mutate(cls, module: nn.Module, name: str, memo: dict[str, Any], mutate_kwargs: dict[str, Any]) -> Any:
        """NNI's mutation hook; NNI keeps a reduction whose width is a choice."""
        fixed = isinstance(module, FactorizedReduce) and _is_fixed(module.conv_1)
        return cls(module) if fixed else None
