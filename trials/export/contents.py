"""What an exported model is made of: its members and inputs, in words and as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from trials.models.classical import ClassicalDescription
from trials.models.description import ModelDescription
from trials.models.inference_ensemble import inference_of, leaf_members
from trials.models.model import Model
from trials.models.network import NetworkDescription
from trials.models.square import Square, input_names

_IN_COMMON = set(ModelDescription.model_fields) - {"kind", "covariates"}


@dataclass(frozen=True)
class Member:
    """A model and its share of the mean probability: all of it, unless there are others."""

    card: ModelDescription
    share: float
    squares: tuple[Square, ...]

    @property
    def kind(self) -> str:
        """What it is."""
        card = self.card
        if isinstance(card, NetworkDescription):
            return card.network.kind
        if isinstance(card, ClassicalDescription):
            deep = [f"frozen features of {card.backbone.network.title}"] if card.backbone else []
            beside = ["covariates"] if card.covariates else []
            return f"{card.classifier} of {' and '.join([*card.features, *deep, *beside])}"
        return card.kind

    @property
    def mirror(self) -> bool:
        """Whether it is asked about the mirror image too."""
        return bool(getattr(self.card, "mirror", False))

    @property
    def preparation(self) -> str:
        """How images are prepared for it."""
        squares = "; ".join(f"{square.words} (pixels)" for square in self.squares) or "no pixels"
        if isinstance(self.card, ClassicalDescription) and self.card.backbone:
            return f"{squares}; standardised as for the network's own training"
        if not isinstance(self.card, NetworkDescription):
            return squares
        each = ", then each by itself" if self.card.per_image else ""
        return f"{squares}; standardised by training images{each}"


@dataclass(frozen=True)
class Contents:
    """A model's description, its members, heaviest first, and its squares by the names of its inputs."""

    card: ModelDescription
    members: tuple[Member, ...]
    squares: Mapping[str, Square]

    @classmethod
    def of(cls, model: Model) -> Self:
        """Return those of a model."""
        members = [
            Member(one.description, share, inference_of(one).squares) for one, share in leaf_members(model)
        ]
        squares = list(dict.fromkeys(square for member in members for square in member.squares))
        return cls(model.description, tuple(sorted(members, key=lambda one: -one.share)), _named(squares))

    @property
    def together(self) -> bool:
        """Whether it is an ensemble, even one of a single member."""
        return self.card.kind == "ensemble"

    @property
    def kind(self) -> str:
        """What the model is, in a word or two."""
        return f"ensemble of {len(self.members)}" if self.together else self.members[0].kind

    @property
    def words(self) -> str:
        """What the model is, as a sentence begins."""
        if self.together:
            return f"The mean of the probabilities of {len(self.members)} models"
        network = isinstance(self.card, NetworkDescription)
        return "A small convolutional network" if network else "A classical classifier"

    @property
    def fit(self) -> str:
        """How images become square."""
        if len(self.squares) == 1:
            return next(iter(self.squares.values())).words
        return "; ".join(f"{name}: {square.words}" for name, square in self.squares.items())

    @property
    def mirror(self) -> bool:
        """Whether some member is asked about the mirror image too."""
        return any(member.mirror for member in self.members)

    @property
    def ensembling(self) -> str:
        """What is averaged."""
        models = f"weighted mean of the probabilities of {len(self.members)} models"
        both = f"; {'in some ' if self.together else ''}the mean over the image and its mirror image"
        return (models if self.together else "none") + both * self.mirror

    def names(self, member: Member) -> list[str]:
        """Return the names of the inputs that a member sees."""
        return [name for name, square in self.squares.items() if square in member.squares]

    @property
    def facts(self) -> dict[str, Any]:
        """What `load_model.py` reads of `metadata.json`."""
        known = self.card.model_dump(mode="json") | {"threshold_log_odds": self.card.cutoff}
        if isinstance(self.card, NetworkDescription):  # its own square is the only one
            return {name: value for name, value in known.items() if name != "kind"}
        known["squares"] = {name: square._asdict() for name, square in self.squares.items()}
        if self.together:
            known["members"] = [self._facts(member) for member in self.members]
        return known

    def _facts(self, member: Member) -> dict[str, Any]:
        own = member.card.model_dump(mode="json", exclude=_IN_COMMON)
        return {"weight": member.share, "inputs": self.names(member), **own}


def _named(squares: Sequence[Square]) -> dict[str, Square]:
    return dict(zip(input_names(squares), squares, strict=True))
