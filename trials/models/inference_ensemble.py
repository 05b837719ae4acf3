"""An ensemble in use, as one module: all its members in one graph, and their mean probability."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from trials.data.covariates import CovariateCoding
from trials.models.classical import ClassicalModel
from trials.models.ensemble import EnsembleModel
from trials.models.inference import Inference, InferenceModel
from trials.models.inference_classical import InferenceClassical
from trials.models.model import Model
from trials.models.network import TrainedModel


class InferenceEnsemble(Inference):
    """The log odds of the weighted mean probability of members, in float64.

    An ensemble within the ensemble counts as its members, each with its share of the share: the mean of means
    is their weighted mean. Squares that several members take are given once.
    """

    def __init__(self, model: EnsembleModel) -> None:
        super().__init__(model.description)
        leaves = list(leaf_members(model))
        members = [inference_of(leaf) for leaf, _ in leaves]
        self.members = nn.ModuleList(members)
        self.squares = tuple(dict.fromkeys(square for one in members for square in one.squares))
        self.register_buffer("shares", torch.tensor([share for _, share in leaves], dtype=torch.float64))
        self._squares = [[self.squares.index(square) for square in one.squares] for one in members]
        coding = model.description.covariates
        for number, (leaf, _) in enumerate(leaves):
            self.register_buffer(f"columns{number}", _columns(coding, leaf.description.covariates))

    def logits(self, *inputs: Tensor) -> Tensor:
        """Map squares [b, channels, side, side], and covariates [b, d], to logits, float64 [b, classes]."""
        said = torch.stack([self._member(number, inputs) for number in range(len(self.members))])
        shares = self.get_buffer("shares").log().view(-1, 1, 1)
        return (said.double().log_softmax(2) + shares).logsumexp(0)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return `said` of the inputs, in float32."""
        return tuple(one.float() for one in self.said(self.logits(*inputs)))

    def _member(self, number: int, inputs: tuple[Tensor, ...]) -> Tensor:
        member = self.members[number]
        assert isinstance(member, Inference)
        images = [inputs[place] for place in self._squares[number]]
        if member.covariates:
            images.append(inputs[-1].index_select(1, self.get_buffer(f"columns{number}")))
        return member.logits(*images).double()


def inference_of(model: Model) -> Inference:
    """Return a model of any kind as a module."""
    if isinstance(model, TrainedModel):
        return InferenceModel(model)
    if isinstance(model, ClassicalModel):
        return InferenceClassical(model)
    if isinstance(model, EnsembleModel):
        return InferenceEnsemble(model)
    raise TypeError(f"{model.name}: nothing makes a {type(model).__name__} a module")


def leaf_members(model: Model, share: float = 1.0) -> Iterator[tuple[Model, float]]:
    """Yield the models that an ensemble, or ensembles in it, take the mean of, with their shares."""
    if not isinstance(model, EnsembleModel):
        yield model, share
        return
    for member, weight in zip(model.members, model.description.weights, strict=True):
        yield from leaf_members(member, share * weight)


def _columns(joined: CovariateCoding | None, own: CovariateCoding | None) -> Tensor:
    """Return at which of the ensemble's inputs those of a member lie [d]."""
    places: list[int] = []
    columns = joined.columns if joined else ()
    starts = [sum(len(one.inputs) for one in columns[:index]) for index in range(len(columns))]
    for column in own.columns if own else ():
        start = starts[columns.index(column)]
        places += range(start, start + len(column.inputs))
    return torch.tensor(places, dtype=torch.long)
