"""Where a model comes from: what lies beside it in the folder of the run that trained it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trials.errors import EvaluationError
from trials.report.class_summaries import ClassSummary, summarise_classes
from trials.report.comparison import read_comparison
from trials.report.methods import MethodRuns
from trials.report.summaries import Summary, summarise
from trials.runs.collection import Predictions
from trials.runs.folder import read_json
from trials.runs.layout import METRICS, RECORD

Figures = Sequence[tuple[str, Summary[Any]]]  # by images; of more classes `ClassSummary`
MEASURES = {
    "auc": "AUC",
    "accuracy": "accuracy",
    "tpr": "TPR (sensitivity)",
    "tnr": "TNR (specificity)",
    "precision": "precision",
    "brier": "Brier score",
}

CLASS_MEASURES = {  # of more than two classes
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "auc_macro": "AUC, each class against the others, mean over classes",
    "auc_weighted": "AUC, each class against the others, mean over images",
    "auc_one_vs_one": "AUC, mean over pairs of classes (Hand and Till)",
    "kappa": "kappa (Cohen)",
    "macro_f1": "F1, mean over classes",
    "log_loss": "log loss",
    "brier": "Brier score",
    "calibration_error": "expected calibration error",
    "quadratic_kappa": "quadratic weighted kappa",
    "mean_absolute_error": "mean absolute error, grades",
}
OF_A_CLASS = {
    "auc": "AUC",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "ppv": "PPV",
    "f1": "F1",
}


@dataclass(frozen=True)
class Origin:
    """The run that trained a model: its `metrics.json` and `retrain.json`, each empty where it is missing."""

    metrics: dict[str, Any]
    record: dict[str, Any]

    @property
    def data(self) -> dict[str, Any]:
        """The data that the run found."""
        return dict(self.record.get("data") or {})

    @property
    def frames(self) -> bool:
        """Whether it learned from whole frames where masks mark lesions."""
        return bool(((self.record.get("settings") or {}).get("data") or {}).get("frames"))

    @property
    def training(self) -> dict[str, Any]:
        """The settings of the training."""
        return dict((self.record.get("settings") or {}).get("retrain") or {})


def read_origin(model: Path) -> Origin:
    """Read what lies beside the model."""
    return Origin(
        *(read_json(model / name) if (model / name).is_file() else {} for name in (METRICS, RECORD))
    )


def figures(model: Path) -> Figures:
    """Return a run's figures on test and external images; none for an unfinished run."""
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
        (name, _summary(method, found, ordered=bool(run.metrics.get("ordered"))))
        for name, found in tested.items()
        if found is not None and len(found.files)
    ]


def _summary(method: MethodRuns, found: Predictions, *, ordered: bool) -> Summary[Any]:
    if found.classes.are_two:
        return summarise(method, found.binary)
    return summarise_classes(method, found, ordered=ordered)


def measures_in(measured: Figures) -> dict[str, str]:
    """Return the measures that the figures have, with their names in words."""
    known = CLASS_MEASURES if any(isinstance(one, ClassSummary) for _, one in measured) else MEASURES
    return {key: name for key, name in known.items() if all(key in one.measures for _, one in measured)}
