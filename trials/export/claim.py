"""The items of CLAIM that are about a model, and what the run that trained it knows of each.

Numbers and subjects, abridged, after Mongan, Moy and Kahn, Radiology: Artificial Intelligence 2(2), 2020,
e200029. Items 1 to 4 are about the text of an article.
"""

from __future__ import annotations

from typing import NamedTuple

from trials.export.contents import Contents
from trials.export.origin import Figures, Origin, measures_in
from trials.models.description import ModelDescription


class Item(NamedTuple):
    """An item of the checklist; `known` is None where the run does not know."""

    number: int
    subject: str
    known: str | None


def claim(about: Contents, origin: Origin, measured: Figures) -> list[Item]:
    """Return all items in order, with what is known of each."""
    known = _of_data(about, origin) | _of_model(about, origin) | _of_evaluation(about.card, measured)
    return [Item(number, subject, known.get(number)) for number, subject in _CLAIM.items()]


def _of_data(about: Contents, origin: Origin) -> dict[int, str | None]:
    data, card = origin.data, about.card
    found: dict[int, str | None] = {
        9: _preprocessing(about),
        14: f"labels as the data name them: {', '.join(card.classes)}",
    }
    if not data:
        return found
    if data.get("left_out"):
        found[10] = f"{len(data['left_out'])} images left out, see the run"
    if counts := data.get("images"):
        found[19] = f"{sum(counts.values())} images in {data['groups']} groups; no size was planned"
    return found | {
        5: "retrospective: images that were there already",
        7: f"{data['name']}, digest {data['digest']}",
        20: f"training {data['training']}, validation {data['validation']}, test {data['test']} images"
        + _refit(origin),
        21: f"groups of images ({data['group_source']})",
    }


def _preprocessing(about: Contents) -> str:
    known = about.card.grey_range
    deep = f"; grey of more than 8 bits from {known}" if known else ""
    each = dict.fromkeys(member.preparation for member in about.members)
    return f"{'; or '.join(each)}{deep}"


def _of_model(about: Contents, origin: Origin) -> dict[int, str | None]:
    metrics, training, card = origin.metrics, origin.training, about.card
    found: dict[int, str | None] = {
        6: "model creation, for research",
        22: "`network.py`, step by step",
        27: about.ensembling,
    }
    if versions := metrics.get("versions"):
        found[23] = ", ".join(f"{name} {version}" for name, version in versions.items())
    if training:
        found[25] = (
            f"{training['optimizer']}, {training['epochs']} epochs, batch {training['batch_size']}, "
            f"learning rate {training['learning_rate']}, weight decay {training['weight_decay']}"
        )
    if metrics:
        saw_other_data = metrics.get("saw_other_data")
        found[24] = "weights trained on other images" if saw_other_data else f"random, seed {metrics['seed']}"
        chosen = f"{_RULES[card.decision]} temperature by validation{_refit(origin)}"
        found[26] = f"weights of the last epoch; {chosen}"
    return found


_RULES = {
    "": "threshold (largest TPR + TNR - 1) and",
    "youden": "threshold (largest TPR + TNR - 1) and",
    "sensitivity": "threshold (of the sensitivity asked for) and",
    "costs": "calls of least expected cost, by costs given before training;",
    "argmax": "calls of the likeliest class;",
}


def _refit(origin: Origin) -> str:
    return "; then trained once more, from the validation images too" if origin.metrics.get("refit") else ""


def _of_evaluation(card: ModelDescription, measured: Figures) -> dict[int, str | None]:
    found: dict[int, str | None] = {39: f"none: not for {card.not_for}"}
    if measured:
        found[28] = ", ".join(measures_in(measured).values())
        found[29] = "95 % intervals by bootstrap over groups"
        found[36] = "see the figures"
    if any(name.startswith("external") for name, _ in measured):
        found[32] = "see the figures"
    return found


_CLAIM = {
    5: "prospective or retrospective",
    6: "goal of the study",
    7: "data sources",
    8: "eligibility: how, where and when cases were found",
    9: "preprocessing",
    10: "selection of subsets",
    11: "definitions of data elements",
    12: "de-identification",
    13: "missing data",
    14: "reference standard",
    15: "reason for that reference standard",
    16: "who annotated, with which qualification",
    17: "annotation tools",
    18: "variability between and within annotators",
    19: "sample size and how it was determined",
    20: "partitions and their proportions",
    21: "level at which partitions are disjoint",
    22: "model: inputs, outputs, layers",
    23: "software",
    24: "initialisation of parameters",
    25: "training",
    26: "selection of the final model",
    27: "ensembling",
    28: "metrics",
    29: "statistical uncertainty",
    30: "robustness or sensitivity analysis",
    31: "explainability",
    32: "external testing",
    33: "flow of cases",
    34: "demographic and clinical characteristics",
    35: "performance on all partitions",
    36: "diagnostic accuracy and its precision",
    37: "analysis of failures",
    38: "limitations",
    39: "implications for practice",
    40: "registration",
    41: "full protocol",
    42: "funding",
}
