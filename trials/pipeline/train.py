"""What every method goes through, and the files that it leaves.

The threshold is Youden's on the inner validation images, the temperature the one of their lowest log loss;
both are frozen before any test image is looked at. A refit then learns from those images too, and is what is
tested and saved; threshold and temperature stay. All are of log odds, which tell images apart whose
probabilities round to the same number. Probabilities and log odds in the files are as the method gave
them: whoever wants calibrated ones divides the log odds by the temperature.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from scipy.special import expit

from trials.data.dataset import LesionData
from trials.data.inputs import describe_found
from trials.data.task import Task
from trials.evaluation.metrics import RATES, doubts, fit_temperature, score, youden_threshold
from trials.evaluation.power import outlook
from trials.evaluation.two_classes import as_two
from trials.methods.base import Method
from trials.methods.registry import Title
from trials.nni_host.paths import on_another_host
from trials.runs.folder import RunFolder, read_json
from trials.runs.layout import (
    CHECKPOINT,
    EXTERNAL_PREDICTIONS,
    METRICS,
    PREDICTIONS,
    RECORD,
    REFIT_CHECKPOINT,
    VALIDATION_PREDICTIONS,
)
from trials.runs.predictions import SAID, said
from trials.runs.provenance import provenance
from trials.runs.reporter import Reporter
from trials.settings.schema import Settings

PREDICTION_COLUMNS = ("file", "label", "group", "fold", *SAID)
Answers = tuple[np.ndarray, np.ndarray]  # truth, bool [n], and log odds [n]
EXTERNAL_COLUMNS = ("file", "label", "group", *SAID)


def train_and_test(
    task: Task,
    method: Method,
    title: Title,
    out: Path,
    verb: str,
    facts: Mapping[str, Any] = MappingProxyType({}),
    *,
    nested: bool = False,
) -> dict[str, Any]:
    """Let a method learn, choose its threshold, test it; return the content of `metrics.json`.

    Writes to `out` what the module's constants name, and what the method saves; `facts` are known of how
    it came to be, and go into `metrics.json`. `nested` in another run it waits for whoever is writing to
    `out`, and reports nothing to NNI. The same arguments again resume an interrupted run, or report a
    finished one. Raises `RunFolderError` for a folder of another run.
    """
    sections = {*method.sections, *(["protocol"] if task.refit else [])}
    settings, defaults = (
        values.model_dump(mode="json", include=sections) for values in (task.settings, Settings())
    )
    identity = {"verb": verb, "method": title.name, **task.identity, **method.identity}
    with (
        RunFolder(
            out,
            identity | {"settings": settings},
            defaults={"settings": defaults},
            needed_bytes=method.disk_bytes,
            wait=nested or on_another_host(),
        ) as folder,
        Reporter(out, to_nni=not nested) as reporter,
    ):
        if folder.done:
            reporter.say(f"{out}: this run is done already")
        else:
            seconds = method.fit(folder, reporter)
            chosen_by = _answers(task, method, task.data, task.split.validation)
            if task.refit:
                seconds += method.fit(folder, reporter, refit=True)
            _write(task, method, title, folder, chosen_by, {"seconds": round(seconds, 3), **facts})
            folder.finish(CHECKPOINT, REFIT_CHECKPOINT)
        metrics: dict[str, Any] = read_json(out / METRICS)
        for warning in metrics.get("warnings", []):
            reporter.say(f"warning: {warning}")
        reporter.final(_headline(metrics))
    return metrics


def plan(task: Task, method: Method) -> dict[str, Any]:
    """Return the settings in force, the data found, what they can show and an estimate of the cost.

    Nothing is written.
    """
    data = task.data
    return {
        "settings": task.settings.model_dump(mode="json", include={"profile", "protocol", *method.sections}),
        "data": task.describe(),
        "smallest_auc_difference": outlook(
            data.labels[data.tested] == task.positive, np.array(data.groups)[data.tested]
        ),
        "estimate": method.estimate(),
    }


def _write(
    task: Task,
    method: Method,
    title: Title,
    folder: RunFolder,
    chosen_by: Answers,
    facts: Mapping[str, Any],
) -> None:
    data, split = task.data, task.split
    threshold, temperature = youden_threshold(*chosen_by), fit_temperature(*chosen_by)
    of_classes = as_two(data.classes, data.positive)
    warnings = (*of_classes, *method.warnings(folder.path), *doubts(*chosen_by))
    method.save(folder, threshold, temperature, warnings)
    _write_predictions(folder, VALIDATION_PREDICTIONS, data, split.validation, chosen_by[1], task.fold)
    tested = _answers(task, method, data, split.test)
    _write_predictions(folder, PREDICTIONS, data, split.test, tested[1], task.fold)
    if task.external:
        _write_external(task.external, method, folder)
    record = {
        **folder.identity,
        "data": task.describe(),
        "external_data": describe_found(task.external) if task.external else None,
        "seen": task.seen,
        "search_seen": method.search_seen,
    }
    folder.write_json(RECORD, record)
    scores = {
        "test": score(*tested, threshold).to_dict() if len(split.test) else None,
        "test_at_0.5": score(*tested, 0.0).to_dict() if len(split.test) else None,
        "validation": score(*chosen_by, threshold).to_dict(),
        "threshold": float(expit(threshold)),
        "threshold_log_odds": threshold,
        "temperature": temperature,
        "warnings": list(warnings),
        "refit": task.refit,
    }
    folder.write_json(METRICS, {**_names(task, title), **scores, **facts, **method.facts, **provenance()})


def _answers(task: Task, method: Method, data: LesionData, indices: np.ndarray) -> Answers:
    """Return the truth, bool [n], and the method's log odds [n] for the images at `indices`."""
    given = method.log_odds(data, indices) if len(indices) else np.empty(0)
    return data.labels[indices] == task.positive, given


def _names(task: Task, title: Title) -> dict[str, Any]:
    return {
        "method": title.name,
        "label": title.label,
        "saw_other_data": title.saw_other_data,
        "layout": title.layout,
        "folds": task.folds,
        "fold": task.fold,
        "seed": task.seed,
        "profile": task.settings.profile,
        "data": task.data.name,
        "data_digest": task.data.digest,
        "external": task.external.name if task.external else None,
        "external_digest": task.external.digest if task.external else None,
        "positive": task.data.positive,
    }


def _write_predictions(
    folder: RunFolder,
    name: str,
    data: LesionData,
    indices: np.ndarray,
    odds: np.ndarray,
    fold: int | None,
) -> None:
    rows = (
        (data.files[i], data.classes[data.labels[i]], data.groups[i], fold, *cells)
        for i, cells in zip(indices, said(odds), strict=True)
    )
    folder.write_csv(name, PREDICTION_COLUMNS, rows)


def _write_external(data: LesionData, method: Method, folder: RunFolder) -> None:
    odds = method.log_odds(data, np.arange(len(data.files)))
    rows = (
        (file, data.classes[label], group, *cells)
        for file, label, group, cells in zip(data.files, data.labels, data.groups, said(odds), strict=True)
    )
    folder.write_csv(EXTERNAL_PREDICTIONS, EXTERNAL_COLUMNS, rows)


def _headline(metrics: dict[str, Any]) -> dict[str, float]:
    """Pick what NNI's web UI shows of a finished run, the area under the curve first.

    It shows numbers alone: of warnings it tells how many there are, which are in the trial's log.
    """
    chosen = metrics["test"] or metrics["validation"]
    shown = {name: chosen[name] for name in ("auc", *RATES)}
    shown |= {"parameters": metrics["parameters"], "warnings": len(metrics.get("warnings", []))}
    return {name: value for name, value in shown.items() if value is not None}
