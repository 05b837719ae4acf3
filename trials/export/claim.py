"""The items of CLAIM that are about a model, and what the run that trained it knows of each.

Numbers and subjects are those of the report's checklist, the 2024 update. Items 1 to 4 are about the text of
an article.
"""

from __future__ import annotations

from typing import NamedTuple

from trials.export.contents import Contents
from trials.export.origin import Figures, Origin, measures_in
from trials.models.description import ModelDescription
from trials.models.network import NetworkDescription
from trials.report.checklists import CLAIM

ABOUT_MODEL = {int(number): subject for number, subject in CLAIM.items() if int(number) > 4}


class Item(NamedTuple):
    """An item of the checklist; `known` is None where the run does not know."""

    number: int
    subject: str
    known: str | None


def claim(about: Contents, origin: Origin, measured: Figures) -> list[Item]:
    """Return all items in order, with what is known of each."""
    known = _of_data(about, origin) | _of_model(about, origin) | _of_evaluation(about.card, measured)
    return [Item(number, subject, known.get(number)) for number, subject in ABOUT_MODEL.items()]


def _of_data(about: Contents, origin: Origin) -> dict[int, str | None]:
    data, card = origin.data, about.card
    found: dict[int, str | None] = {
        9: _preprocessing(about),
        14: f"labels as the data name them: {', '.join(card.classes)}",
    }
    if not data:
        return found
    if data.get("left_out"):
        found[35] = f"{len(data['left_out'])} images left out, see the run"
    if counts := data.get("images"):
        found[21] = f"{sum(counts.values())} images in {data['groups']} groups; no size was planned"
    return found | {
        5: "retrospective: images that were there already",
        7: f"{data['name']}, digest {data['digest']}",
        19: f"training {data['training']}, validation {data['validation']}, test {data['test']} images"
        + _refit(origin),
        20: f"groups of images ({data['group_source']})",
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
    networks = [isinstance(one.card, NetworkDescription) for one in about.members]
    trained = all(networks)  # by epochs
    if training and trained:
        found[25] = (
            f"{training['optimizer']}, {training['epochs']} epochs, batch {training['batch_size']}, "
            f"learning rate {training['learning_rate']}, weight decay {training['weight_decay']}"
        )
    if metrics:
        start = f"random, seed {metrics['seed']}" if any(networks) else "none: nothing begins at random"
        found[24] = "weights trained on other images" if metrics.get("saw_other_data") else start
        chosen = f"{_RULES[card.decision]} temperature by validation{_refit(origin)}"
        found[26] = f"weights of the last epoch; {chosen}" if trained else chosen
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
    found: dict[int, str | None] = {41: f"none: not for {card.not_for}"}
    if measured:
        found[28] = ", ".join(measures_in(measured).values())
        found[29] = "95 % intervals by bootstrap over groups"
        found[37] = found[38] = "see the figures"
    for name, _ in measured:
        found[33 if name.startswith("external") else 32] = "see the figures"
    return found
