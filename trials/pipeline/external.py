"""The external test: the models of all folds, frozen, on a data set that none of them has seen.

They decide together (`MeanOfModels`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trials.data.dataset import LesionData
from trials.data.findings import findings
from trials.data.leaks import refuse_overlap
from trials.data.load import load
from trials.data.readers.medmnist import classes_elsewhere
from trials.errors import EvaluationError
from trials.evaluation.calibration import MeanOfModels
from trials.evaluation.metrics import score
from trials.models.model_file import load_description, load_model
from trials.runs.finished import Run
from trials.runs.folder import RunFolder
from trials.runs.layout import EXTERNAL_PREDICTIONS
from trials.runs.predictions import SAID, said


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
        positive=runs[0].metrics["positive"],
        classes=classes_elsewhere(Path(path), settings.get("classes")),
        duplicates=settings.get("duplicates", "near"),
        group_column=group_column,
        accept=accept,
        grey_range=ranges.pop(),
    )
    for run in runs:
        known = load_description(run.folder).classes
        if unknown := sorted(set(external.classes) - set(known)):
            raise EvaluationError(
                f"{path}: holds {unknown[0]!r}, but the model in {run.folder} tells {' from '.join(known)}"
            )
        for record in filter(None, (run.record["seen"], run.record["search_seen"])):
            everything = np.arange(len(external.files))
            refuse_overlap(
                record, external, everything, str(run.folder), "take those out of the external data"
            )
    return external


def evaluate_external(
    data: LesionData, methods: Mapping[str, Sequence[Run]], folder: RunFolder
) -> dict[str, Any]:
    """Score each method's models together, and write `external_predictions.csv`."""
    positive = data.labels == data.classes.index(data.positive)
    results, rows = {}, []
    for name, runs in methods.items():
        models = [load_model(run.folder) for run in runs]
        together = MeanOfModels([model.description.cutoff for model in models])
        mean = together.log_odds([model.log_odds(data.images) for model in models])
        results[name] = {
            "models": len(models),
            "threshold": float(together.threshold),
            "frozen": score(positive, mean, together.cutoff).to_dict(),
            "at_0.5": score(positive, mean, 0.0).to_dict(),
        }
        columns = zip(data.files, data.labels, data.groups, said(mean), strict=True)
        rows += [(name, file, data.classes[label], group, *cells) for file, label, group, cells in columns]
    folder.write_csv(EXTERNAL_PREDICTIONS, ("method", "file", "label", "group", *SAID), rows)
    return {
        "data": data.name,
        "digest": data.digest,
        "left_out": len(data.left_out),
        "findings": findings(data.left_out, data.notes),
        "methods": results,
    }
