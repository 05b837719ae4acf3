"""ENAS's final network of one architecture, in plain PyTorch.

It is that of ENAS (Pham et al. 2018, arXiv 1802.03268, and the code its authors released): a stem, the
layout's cells, a head. `network.EnasSpace` has the same stem and head around cells to be searched. Every
tensor is [batch, channels, height, width].
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from search_space.enas.architecture import Architecture, CellArchitecture
from search_space.enas.layouts import Position, check_sizes, check_stem_stride, parse_layout
from search_space.enas.operations import (
    AuxiliaryHead,
    Calibration,
    DropPath,
    FactorizedReduction,
    Stem,
    initialise,
    operation,
)

Channels = tuple[int, int]


class CellModule(nn.Module):
    """A cell: maps the outputs of the last two cells to those that the next one reads."""

    out_channels: Channels


class FinalCell(CellModule):
    """A cell of ENAS's final network.

    Both inputs are brought to the cell's width, the first also to the size of the second. A reduction cell
    halves the size in the operations that read an input, and where an input is a loose end.
    """

    def __init__(
        self, cell: CellArchitecture, position: Position, in_channels: Channels, drop_path: float
    ) -> None:
        super().__init__()
        width = position.filters
        self.nodes = cell.nodes
        self.loose_ends = cell.loose_ends
        self.out_channels = (in_channels[1], len(cell.loose_ends) * width)
        self.enter_before_last = _entry(in_channels[0], width, reduce=position.after_reduction)
        self.enter_last = nn.Sequential(_entry(in_channels[1], width), Calibration(width, width))
        self.slots = nn.ModuleList()
        for edge in cell.edges:
            stride = 2 if position.reduction and edge.input < 2 else 1
            chosen = operation(edge.operation, width, width, stride)
            dropped = 0.0 if edge.operation == "skip_connect" else drop_path
            self.slots.append(nn.Sequential(chosen, DropPath(dropped)))
        self.ends = nn.ModuleList(
            FactorizedReduction(width, width) if position.reduction and state < 2 else nn.Identity()
            for state in cell.loose_ends
        )

    def forward(self, before_last: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
        """Map the outputs of the last two cells to what the next cell reads: the last one's and its own."""
        states = [self.enter_before_last(before_last), self.enter_last(last)]
        slots = iter(self.slots)
        for first, second in self.nodes:
            states.append(next(slots)(states[first.input]) + next(slots)(states[second.input]))
        ends = [end(states[state]) for state, end in zip(self.loose_ends, self.ends, strict=True)]
        return last, torch.cat(ends, dim=1)


class EnasNetwork(nn.Module):
    """The final network of one architecture.

    Args:
        architecture: both cells; None in a subclass whose `make_cell` makes others.
        layout: "enas7", "enas17", any other "enasN", or the kinds of all cells.
        filters: width of the first cell, 36 in ENAS's final network; doubled at each reduction cell.
        channels: channels of the images.
        classes: number of logits.
        image_size: side of the images in pixels; only the auxiliary head depends on it.
        stem_stride: 1 as in ENAS, 2 or 4: the side of the first cell's maps is that of the images over it.
        dropout: probability before the classifier; 0.2 in ENAS's final network, 0.1 in its search.
        drop_path: probability at the last cell when training ends, 0.4 in ENAS. It grows linearly with the
            depth of a cell and with `drop_path_progress`, and concerns every operation but the identity. In
            ENAS's search it has no effect; the cells of the space have none.
        output_norm: normalise the last cell's output by batch norm without weights, so that the number of
            parameters stays. Ours: nothing normalises the sums, pools and identities of ENAS's cells, and in
            some wirings activations grow from cell to cell until training diverges. False is ENAS's own.
        auxiliary: add ENAS's auxiliary head. ENAS has it; here it is off by default, because at 100x100
            pixels one convolution in it has 4.8 million weights, more than all of ENAS-17. ENAS's own
            code never trained them.

    Raises ValueError for values out of range.
    """

    def __init__(
        self,
        architecture: Architecture | None,
        layout: str | Sequence[str] = "enas7",
        *,
        filters: int = 36,
        channels: int = 3,
        classes: int = 2,
        image_size: int = 100,
        stem_stride: int = 1,
        dropout: float = 0.2,
        drop_path: float = 0.4,
        output_norm: bool = True,
        auxiliary: bool = False,
    ) -> None:
        super().__init__()
        check_sizes(filters=filters, channels=channels, classes=classes, image_size=image_size)
        check_stem_stride(stem_stride)
        _check_probabilities(dropout=dropout, drop_path=drop_path)
        self.layout = parse_layout(layout)
        self.architecture = architecture
        self._drop_path_progress = 0.0
        self._auxiliary_layer = self.layout.auxiliary_layer if auxiliary else None
        if auxiliary and self._auxiliary_layer is None:
            raise ValueError(
                f"layout {layout!r} has no cell after a second reduction cell; use auxiliary=False"
            )

        self.stem = Stem(channels, 3 * filters, stem_stride)
        self.cells = nn.ModuleList()
        carried = (3 * filters, 3 * filters)  # channels of the pair that the next cell reads
        for position in self.layout.positions(filters):
            cell = self.make_cell(position, carried, drop_path * (position.layer + 1) / len(self.layout))
            carried = cell.out_channels
            self.cells.append(cell)
            if position.layer == self._auxiliary_layer:
                side = -(-image_size // (4 * stem_stride))  # halved twice more, rounding up
                self.auxiliary_head = AuxiliaryHead(carried[1], side, classes)
        # The cells of the search end in a convolution and batch norm by themselves.
        normed = output_norm and self.architecture is not None
        self.output_norm = nn.BatchNorm2d(carried[1], affine=False) if normed else None
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(carried[1], classes, bias=False)
        self.apply(initialise)
        # Looked up once: a supernet has thousands of modules, and the progress is set before every step.
        self._drop_paths = [module for module in self.modules() if isinstance(module, DropPath)]

    def make_cell(self, position: Position, in_channels: Channels, drop_path: float) -> CellModule:
        """Return the cell at a position, whose two inputs have `in_channels`; called while building."""
        if self.architecture is None:
            raise ValueError("a final network needs an architecture")
        return FinalCell(self.architecture.cells[position.kind], position, in_channels, drop_path)

    @property
    def drop_path_progress(self) -> float:
        """The fraction of the training that is done, set by the trainer; drop path grows with it."""
        return self._drop_path_progress

    @drop_path_progress.setter
    def drop_path_progress(self, progress: float) -> None:
        if not 0 <= progress <= 1:
            raise ValueError(f"drop_path_progress runs from 0 to 1, not {progress!r}")
        self._drop_path_progress = progress
        for drop_path in self._drop_paths:
            drop_path.progress = progress

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Map images [b, channels, h, w] to logits [b, classes].

        In training with an auxiliary head, return the pair of logits and auxiliary logits.
        """
        before_last = last = self.stem(images)
        auxiliary = None
        for layer, cell in enumerate(self.cells):
            before_last, last = cell(before_last, last)
            if layer == self._auxiliary_layer and self.training:
                auxiliary = self.auxiliary_head(last)
        if self.output_norm is not None:
            last = self.output_norm(last)
        pooled = last.relu().mean(dim=(2, 3))
        logits = self.classifier(self.dropout(pooled))
        return logits if auxiliary is None else (logits, auxiliary)


def _check_probabilities(**probabilities: float) -> None:
    for name, probability in probabilities.items():
        if not 0 <= probability < 1:
            raise ValueError(f"{name} is a probability from 0 to less than 1, not {probability!r}")


def _entry(inputs: int, width: int, reduce: bool = False) -> nn.Module:
    """Bring an input of a cell to the cell's width, and if told to half the size."""
    if reduce:
        return nn.Sequential(nn.ReLU(), FactorizedReduction(inputs, width))
    return nn.Identity() if inputs == width else Calibration(inputs, width)
