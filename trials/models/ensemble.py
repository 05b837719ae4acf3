"""Several models as one: the weighted mean of their probabilities, kept as logits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from trials.data.covariates import CovariateCoding, Table
from trials.evaluation.decisions import mean_logits
from trials.models.description import ModelDescription
from trials.models.model import Model
from trials.runs.layout import MEMBERS
from trials.settings.section import Section

if TYPE_CHECKING:
    from trials.data.augment import Policy


class Member(Section):
    """A model in a folder of its own inside the ensemble's, and its share of the mean probability."""

    folder: str = Field(pattern=rf"^{MEMBERS}/[0-9]+$")
    weight: float = Field(gt=0, le=1)


class EnsembleDescription(ModelDescription):
    """What `model.json` holds of an ensemble: its members' folders and weights, and what they have in common.

    `covariates` has all columns of the members; each codes the cells by its own.
    """

    kind: Literal["ensemble"] = "ensemble"
    members: tuple[Member, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _weighs_in_shares(self) -> Self:
        total = math.fsum(self.weights)
        if not math.isclose(total, 1.0, abs_tol=1e-6):
            raise ValueError(f"the members' weights sum to {total:g}, expected 1")
        if len({member.folder for member in self.members}) < len(self.members):
            raise ValueError("two members lie in one folder, expected one for each")
        return self

    @property
    def weights(self) -> tuple[float, ...]:
        """The members' shares."""
        return tuple(member.weight for member in self.members)


@dataclass(frozen=True, eq=False)
class EnsembleModel(Model):
    """Members in the order of the description, which may be ensembles themselves."""

    members: Sequence[Model]
    description: EnsembleDescription
    name: str = "the ensemble"  # in errors

    def logits(
        self, images: Sequence[np.ndarray], view: Policy | None = None, covariates: Table | None = None
    ) -> np.ndarray:
        """As `Model.logits`, of the members' mean probability."""
        said = [member.logits(images, view, covariates) for member in self.members]
        return mean_logits(said, self.description.known.index, self.description.weights)


def joined_coding(descriptions: Sequence[ModelDescription]) -> CovariateCoding | None:
    """Return all columns that some of the models take, each coding once; None: they take none."""
    codings = [one.covariates for one in descriptions if one.covariates]
    columns = [column for coding in codings for column in coding.columns]
    distinct = tuple(column for i, column in enumerate(columns) if column not in columns[:i])
    return CovariateCoding(columns=distinct) if distinct else None
