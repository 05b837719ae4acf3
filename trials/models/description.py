"""What `model.json` says of any model: its classes, how an image is called, and what a user must know."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from trials.data.covariates import CovariateCoding
from trials.data.dataset import LesionData
from trials.data.files.grey_range import BYTES, GreyRange
from trials.files import write_atomically
from trials.models.specs import NOT_FOR
from trials.runs.layout import MODEL_FILE
from trials.runs.predictions import Classes, Frozen, agree, frozen
from trials.settings.section import Section


class ModelDescription(Section):
    """What all kinds of models have in common; each kind has a subclass and a `kind` of its own.

    `decision` names the rule by which an image is called. `threshold` is where the probability of `positive`,
    of more than two classes of `threshold_of`, becomes that diagnosis, and `threshold_log_odds` the same in
    log odds, which decide; without those, as where a user sets another threshold, the threshold does. Without
    a threshold the likeliest class is called, or with `costs` [called what is] that of least expected cost.
    Logits divided by `temperature` are those of calibrated probabilities. All are frozen after training.
    `warnings` are doubts about the model that a user must know. `grey_range` are the values that become black
    and white of images that store more than 8 bits. `covariates` says how what is known beside the images
    becomes inputs; None: the model takes images alone.
    """

    kind: str
    classes: tuple[str, ...]  # in the order of the logits
    positive: str | None = None
    ordered: bool = False
    grey_range: GreyRange = BYTES
    covariates: CovariateCoding | None = None
    decision: Literal["", "youden", "argmax", "sensitivity", "costs"] = ""
    threshold: float | None = Field(default=None, ge=0, le=1)
    threshold_log_odds: float | None = None
    threshold_of: str | None = None
    costs: tuple[tuple[Annotated[float, Field(ge=0)], ...], ...] | None = None
    temperature: float = Field(default=1.0, ge=1e-3)  # logits over less than that may overflow
    warnings: tuple[str, ...] = ()
    not_for: str = NOT_FOR

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        named = {self.positive, self.threshold_of} - {None}
        if len(self.classes) < 2 or not named <= set(self.classes):
            raise ValueError(f"{sorted(map(str, named))}: expected two classes or more, {self.classes}")
        if len(self.classes) == 2 and (self.positive is None or self.threshold is None):
            raise ValueError("two classes need the positive one, and its threshold")
        if not self.grey_range.black < self.grey_range.white:
            raise ValueError(f"grey_range {list(self.grey_range)}: expected black below white")
        odds = self.threshold_log_odds
        if odds is not None and (self.threshold is None or not agree(self.threshold, odds)):
            raise ValueError(
                f"threshold {self.threshold} and threshold_log_odds {odds} contradict each other; change "
                "both, or leave out threshold_log_odds"
            )
        return self

    @model_validator(mode="after")
    def _has_one_rule(self) -> Self:
        for problem in _rule_problems(self):
            raise ValueError(problem)
        return self

    @property
    def known(self) -> Classes:
        """The classes, of which one may be positive."""
        return Classes(self.classes, self.positive)

    @property
    def frozen(self) -> Frozen:
        """How an image is called, and the temperature."""
        return frozen(self.model_dump(), Path(MODEL_FILE))

    @property
    def cutoff(self) -> float | None:
        """The log odds of the threshold; None: the rule has none."""
        return None if self.threshold is None else float(self.frozen.decision.cutoff)

    def with_frozen(self, chosen: Frozen) -> Self:
        """Return the description with what was frozen after training, and its doubts."""
        changes = chosen.to_dict(self.known) | {"warnings": chosen.warnings}
        return self.model_validate(self.model_dump() | changes)


def _rule_problems(card: ModelDescription) -> Iterator[str]:
    """Yield what contradicts itself in the rule by which images are called."""
    k, costs, of = len(card.classes), card.costs, card.threshold_of or card.positive
    if len(set(card.classes)) < k:
        yield f"classes {list(card.classes)}: expected each name once"
    if costs is not None and {k} != {len(costs), *map(len, costs)}:
        yield f"costs {costs}: expected a row and a column for each of {k} classes"
    if costs is not None and card.threshold is not None:
        yield f"costs beside the threshold {card.threshold}: images are called by one rule; leave out one"
    if card.threshold is None and card.threshold_of is not None:
        yield f"threshold_of {card.threshold_of!r}: expected a threshold of that class"
    if card.threshold is not None and (of is None or (k == 2 and of != card.positive)):
        yield f"threshold {card.threshold} is of {of}: expected the positive class, or of more than two any"
    rule = "costs" if costs is not None else "argmax" if card.threshold is None else "sensitivity"
    if k > 2 and card.decision not in ("", rule):
        yield f"decision {card.decision!r}: threshold and costs are those of {rule!r}; change one of them"


def of_data(data: LesionData) -> dict[str, Any]:
    """Return what a description says of the data that a model was trained on, its rule not chosen yet."""
    return {
        "classes": data.classes,
        "positive": data.positive,
        "ordered": data.ordered,
        "grey_range": data.grey_range,
        "threshold": 0.5 if data.known.are_two else None,
    }


def write_description(folder: Path, description: ModelDescription) -> None:
    """Write `model.json`, of a model whose other files are there."""
    write_atomically(folder / MODEL_FILE, (description.model_dump_json(indent=2) + "\n").encode())
