"""The external test: the models of all folds, frozen, on a data set that none of them has seen.

They decide together (`evaluation.decisions.together`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from search_space.progress import progress
from trials.data.dataset import LesionData
from trials.data.findings import findings
from trials.data.leaks import refuse_overlap
from trials.data.load import load
from trials.data.readers.medmnist import classes_elsewhere
from trials.errors import EvaluationError
from trials.evaluation.decisions import mean_logits, together
from trials.evaluation.multiclass import absent
from trials.models.model_file import load_description, load_model
from trials.pipeline.scores import likeliest, score_logits
from trials.runs.finished import Run
from trials.runs.folder import RunFolder
from trials.runs.layout import EXTERNAL_PREDICTIONS


def load_for_models(
    path: str | Path, runs: Sequence[Run], group_column: str | None = None, accept: Sequence[str] = ()
) -> LesionData:
    """Load external data; raises ValueError for classes unknown to a model, and for images it has seen."""
    ranges = {load_description(run.folder).grey_range for run in runs}
    if len(ranges) > 1:
        raise EvaluationError(
            f"{path}: the models in {', '.join(str(run.folder) for run in runs)} were trained on different "
            "ranges of grey; evaluate those of one range at a time"
        )
    settings = (runs[0].record.get("settings") or {}).get("data") or {}
    external = load(
        path,
        positive=runs[0].classes.positive,
        known=load_description(runs[0].folder).classes,
        classes=classes_elsewhere(Path(path), settings.get("classes")),
        duplicates=settings.get("duplicates", "near"),
        frames=settings.get("frames", False),
        group_column=group_column,
        accept=accept,
        grey_range=ranges.pop(),
        covariates=_covariates_of(runs),
    )
    for run in runs:
        known = load_description(run.folder).classes
        if known != external.classes:
            raise EvaluationError(
                f"{path}: was read as {', '.join(external.classes)}, but the model in {run.folder} tells "
                f"{' from '.join(known)}; evaluate models of the same classes"
            )
        for record in filter(None, (run.record["seen"], run.record["search_seen"])):
            everything = np.arange(len(external.files))
            refuse_overlap(
                record, external, everything, str(run.folder), "take those out of the external data"
            )
    return external


def _covariates_of(runs: Sequence[Run]) -> list[str]:
    """Return the columns that some of the models take."""
    codings = filter(None, (load_description(run.folder).covariates for run in runs))
    return list(dict.fromkeys(name for coding in codings for name in coding.names))


def evaluate_external(
    data: LesionData, methods: Mapping[str, Sequence[Run]], folder: RunFolder
) -> dict[str, Any]:
    """Score each method's models together, and write `external_predictions.csv`."""
    classes, everything = data.known, np.arange(len(data.files))
    results, rows = {}, []
    for name, runs in progress(methods.items(), "methods tested on external images"):
        models = [load_model(run.folder) for run in runs]
        decision = together([model.description.frozen.decision for model in models])
        score = partial(
            score_logits, classes, data.labels, ordered=models[0].description.ordered
        )  # the external data do not say that their classes are grades
        given = [model.logits_of(data, everything) for model in models]
        mean = mean_logits(given, data.positive_index)
        results[name] = {
            "models": len(models),
            "threshold": None if decision.first is None else float(expit(decision.cutoff)),
            "frozen": score(mean, decision),
            "at_0.5": score(mean, likeliest(classes)),
        }
        columns = zip(data.files, data.labels, data.groups, classes.cells(mean), strict=True)
        rows += [(name, file, data.classes[label], group, *cells) for file, label, group, cells in columns]
    folder.write_csv(EXTERNAL_PREDICTIONS, ("method", "file", "label", "group", *classes.columns), rows)
    return {
        "data": data.name,
        "digest": data.digest,
        "left_out": len(data.left_out),
        "findings": [*findings(data.left_out, data.notes), *absent(data.labels, data.classes, "external")],
        "methods": results,
    }
