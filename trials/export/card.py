"""The model card of an export: what the model is for, what it was made of, how good it is, what is not known.

Of the data only name, digest, counts and the classes' names leave; no file, group or place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from trials.errors import EvaluationError
from trials.evaluation.bootstrap import Interval
from trials.files import write_atomically
from trials.models.model_file import ModelDescription
from trials.report.comparison import read_comparison
from trials.report.summaries import Summary, summarise
from trials.runs.folder import read_json
from trials.runs.layout import CARD, METRICS, RECORD

MEASURES = {
    "auc": "AUC",
    "accuracy": "accuracy",
    "tpr": "TPR (sensitivity)",
    "tnr": "TNR (specificity)",
    "precision": "precision",
    "brier": "Brier score",
}


@dataclass(frozen=True)
class Origin:
    """What the run that trained a model says of it: `metrics.json`, `retrain.json`; empty where not there."""

    metrics: dict[str, Any]
    record: dict[str, Any]

    @property
    def data(self) -> dict[str, Any]:
        """What the run found as data."""
        return dict(self.record.get("data") or {})

    @property
    def training(self) -> dict[str, Any]:
        """The settings of the training."""
        return dict((self.record.get("settings") or {}).get("retrain") or {})


def read_origin(model: Path) -> Origin:
    """Read what lies beside the model."""
    return Origin(
        *(read_json(model / name) if (model / name).is_file() else {} for name in (METRICS, RECORD))
    )


def figures(model: Path) -> list[tuple[str, Summary]]:
    """Return the run's figures on images that it was tested on, and whose; none for an unfinished run."""
    try:
        methods = read_comparison([model]).methods
    except EvaluationError:
        return []
    if len(methods) != 1:  # a folder that holds other runs too: whose figures?
        return []
    method = methods[0]
    run = method.runs[0]
    part = "test split" if run.own_split else "outer test fold"
    tested = {
        f"the {part} of {run.metrics['data']}": method.tested,
        f"external images, {run.metrics.get('external')}": method.external,
    }
    return [
        (name, summarise(method, found))
        for name, found in tested.items()
        if found is not None and len(found.files)
    ]


def write_card(
    folder: Path,
    card: ModelDescription,
    origin: Origin,
    measured: Sequence[tuple[str, Summary]],
    differences: Mapping[str, float],
) -> None:
    """Write `README.md`."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,  # names are the data's
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["interval"] = _interval
    page = environment.get_template("card.md.j2").render(
        card=card,
        metrics=origin.metrics,
        data=origin.data,
        measured=measured,
        measures=MEASURES,
        differences=differences,
        claim=claim(card, origin, measured),
    )
    write_atomically(folder / CARD, page.encode())


def _interval(value: Interval) -> str:
    limits = f" ({value.low:.3f} to {value.high:.3f})" if value.known and value.low == value.low else ""
    return f"{value.estimate:.3f}{limits}" if value.known else "not defined"


def claim(
    card: ModelDescription, origin: Origin, measured: Sequence[tuple[str, Summary]]
) -> list[tuple[int, str, str | None]]:
    """Return the items of CLAIM that are about a model: number, subject, and what the run knows; None: open.

    Numbers and subjects, abridged, after Mongan, Moy and Kahn, Radiology: Artificial Intelligence 2(2), 2020,
    e200029. Items 1 to 4 are about the text of an article.
    """
    metrics, data, training = origin.metrics, origin.data, origin.training
    counts = data.get("images") or {}
    standardised = "by training images" + (", then each by itself" if card.per_image else "")
    deep = f"; grey of more than 8 bits from {card.grey_range}"
    optimiser = (
        f"{training['optimizer']}, {training['epochs']} epochs, batch {training['batch_size']}, "
        f"learning rate {training['learning_rate']}, weight decay {training['weight_decay']}"
        if training
        else None
    )
    then = "; then trained once more, from the validation images too" if metrics.get("refit") else ""
    has_external = any(name.startswith("external") for name, _ in measured)
    known: dict[int, str | None] = {
        5: "retrospective: images that were there already" if data else None,
        6: "model creation, for research",
        7: f"{data['name']}, digest {data['digest']}" if data else None,
        9: f"{card.squares} (pixels); standardised {standardised}{deep}",
        10: f"{len(data['left_out'])} images left out, see the run" if data.get("left_out") else None,
        14: f"labels as the data name them: {', '.join(card.classes)}",
        19: f"{sum(counts.values())} images in {data['groups']} groups; no size was planned"
        if counts
        else None,
        20: f"training {data['training']}, validation {data['validation']}, test {data['test']} images{then}"
        if data
        else None,
        21: f"groups of images ({data['group_source']})" if data else None,
        22: "`network.py`, step by step",
        23: ", ".join(f"{name} {version}" for name, version in (metrics.get("versions") or {}).items())
        or None,
        24: f"random, seed {metrics['seed']}"
        if metrics and not metrics.get("saw_other_data")
        else ("weights trained on other images" if metrics else None),
        25: optimiser,
        26: "weights of the last epoch; threshold (largest TPR + TNR - 1) and temperature by validation"
        + then
        if metrics
        else None,
        27: "none; the mean over the image and its mirror image" if card.mirror else "none",
        28: ", ".join(MEASURES.values()) if measured else None,
        29: "95 % intervals by bootstrap over groups" if measured else None,
        32: "see the figures" if has_external else None,
        36: "see the figures" if measured else None,
        39: f"none: not for {card.not_for}",
    }
    return [(number, subject, known.get(number)) for number, subject in _CLAIM.items()]


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
