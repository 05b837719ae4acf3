"""The comparison protocol: what every method goes through, and the files that it leaves.

The threshold is Youden's on the inner validation images, the temperature that of their lowest log loss; both
are frozen before any test image is looked at. A refit then learns from the validation images too; it is what
is tested and saved, with the same threshold and temperature. All work on log odds, which tell images apart
whose probabilities round to the same number. The files hold log odds and probabilities as the method gave
them; log odds divided by the temperature are calibrated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from scipy.special import expit

from trials.data.task import Images, Task
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
from trials.runs.predictions import SAID, read_predictions, said
from trials.runs.provenance import provenance
from trials.runs.reporter import Reporter

PREDICTION_COLUMNS = ("file", "label", "group", "fold", *SAID)
EXTERNAL_COLUMNS = ("file", "label", "group", *SAID)
TABLES = {  # by part of the task
    **{"validation": VALIDATION_PREDICTIONS, "test": PREDICTIONS},
    "external": EXTERNAL_PREDICTIONS,
}


@dataclass(frozen=True, eq=False)
class Trained:
    """What a training has left: the content of `metrics.json`, and the method's log odds by part of the task.

    None: the run had been finished before, and the method is not fitted; `read_log_odds` has them.
    """

    metrics: dict[str, Any]
    log_odds: Mapping[str, np.ndarray] | None


class _Frozen(NamedTuple):
    """What the validation images have chosen, the threshold in log odds, and doubts about it."""

    threshold: float
    temperature: float
    warnings: Sequence[str]


def train_and_test(
    task: Task,
    method: Method,
    title: Title,
    out: Path,
    verb: str,
    facts: Mapping[str, Any] = MappingProxyType({}),
    *,
    nested: bool = False,
) -> Trained:
    """Fit a method, choose its threshold, test it.

    Writes to `out` what the module's constants name, and what the method saves; `facts` are known of how
    it came to be, and go into `metrics.json`. `nested` in another run it waits for whoever is writing to
    `out`, and reports nothing to NNI. The same arguments again resume an interrupted run, or report a
    finished one. Raises `RunFolderError` for a folder of another run.
    """
    sections = {*method.sections, *(["protocol"] if task.refit else [])}
    settings = task.settings.model_dump(mode="json", include=sections)
    identity = {"verb": verb, "method": title.name, **task.identity, **method.identity}
    odds = None
    with (
        RunFolder(
            out,
            identity | {"settings": settings},
            needed_bytes=method.disk_bytes,
            wait=nested or on_another_host(),
        ) as folder,
        Reporter(out, to_nni=not nested) as reporter,
    ):
        if folder.done:
            reporter.say(f"{out}: this run is done already")
        else:
            odds = _fit_and_test(task, method, title, folder, reporter, facts)
            folder.finish(CHECKPOINT, REFIT_CHECKPOINT)
        metrics: dict[str, Any] = read_json(out / METRICS)
        for warning in metrics.get("warnings", []):
            reporter.say(f"warning: {warning}")
        reporter.final(_headline(metrics))
    return Trained(metrics, odds)


def read_log_odds(folder: Path, task: Task) -> dict[str, np.ndarray]:
    """Return the log odds [n] that the finished run in `folder` of this task gave, by part of the task."""
    positive = task.data.positive
    return {part: read_predictions(folder / TABLES[part], positive).log_odds for part in task.parts}


def plan(task: Task, method: Method) -> dict[str, Any]:
    """Return the settings in force, the data found, what they can show and an estimate of the cost.

    Nothing is written.
    """
    data = task.data
    return {
        "settings": task.settings.model_dump(mode="json", include={"profile", "protocol", *method.sections}),
        "data": task.describe(),
        "smallest_auc_difference": outlook(
            data.labels[data.tested] == data.positive_index, np.array(data.groups)[data.tested]
        ),
        "estimate": method.estimate(),
    }


def _fit_and_test(
    task: Task,
    method: Method,
    title: Title,
    folder: RunFolder,
    reporter: Reporter,
    facts: Mapping[str, Any],
) -> dict[str, np.ndarray]:
    """Fit, freeze, test, and write everything; return the log odds by part of the task."""
    parts = task.parts
    seconds = method.fit(folder, reporter)
    odds = {"validation": _log_odds(method, parts["validation"])}  # before a refit learns from these images
    if task.refit:
        seconds += method.fit(folder, reporter, refit=True)
    frozen = _freeze(task, method, folder, odds["validation"])
    odds |= {name: _log_odds(method, images) for name, images in parts.items() if name not in odds}
    for name, images in parts.items():
        _write_predictions(folder, name, images, odds[name], task.split.fold)
    folder.write_json(RECORD, _record(task, method, folder))
    told = {**_names(task, title), **_scores(task, odds, frozen), "seconds": round(seconds, 3)}
    folder.write_json(METRICS, {**told, **facts, **method.facts, **provenance()})
    return odds


def _freeze(task: Task, method: Method, folder: RunFolder, odds: np.ndarray) -> _Frozen:
    """Choose threshold and temperature by the log odds of the validation images; save the model with them."""
    chosen_by = _truth(task.parts["validation"]), odds
    threshold, temperature = youden_threshold(*chosen_by), fit_temperature(*chosen_by)
    of_classes = as_two(task.data.classes, task.data.positive)
    warnings = (*of_classes, *method.warnings(folder.path), *doubts(*chosen_by))
    method.save(folder, threshold, temperature, warnings)
    return _Frozen(threshold, temperature, warnings)


def _scores(task: Task, odds: Mapping[str, np.ndarray], frozen: _Frozen) -> dict[str, Any]:
    """Return what the method scores on the test and validation images at its frozen threshold, and at 0.5."""
    parts = task.parts
    tested, chosen_by = ((_truth(parts[part]), odds[part]) for part in ("test", "validation"))
    threshold, any_test = frozen.threshold, len(task.test) > 0
    return {
        "test": score(*tested, threshold).to_dict() if any_test else None,
        "test_at_0.5": score(*tested, 0.0).to_dict() if any_test else None,
        "validation": score(*chosen_by, threshold).to_dict(),
        "threshold": float(expit(threshold)),
        "threshold_log_odds": threshold,
        "temperature": frozen.temperature,
        "warnings": list(frozen.warnings),
        "refit": task.refit,
    }


def _log_odds(method: Method, images: Images) -> np.ndarray:
    return method.log_odds(*images) if len(images[1]) else np.empty(0)


def _truth(images: Images) -> np.ndarray:
    """Return whether each image is of the positive class: bool [n]."""
    data, indices = images
    truth: np.ndarray = data.labels[indices] == data.positive_index
    return truth


def _record(task: Task, method: Method, folder: RunFolder) -> dict[str, Any]:
    return {
        **folder.identity,
        "data": task.describe(),
        "external_data": task.external.found() if task.external else None,
        "seen": task.split.seen,
        "search_seen": method.search_seen,
    }


def _names(task: Task, title: Title) -> dict[str, Any]:
    return {
        "method": title.name,
        "label": title.label,
        "saw_other_data": title.saw_other_data,
        "layout": title.layout,
        **task.split.place,
        "profile": task.settings.profile,
        "data": task.data.name,
        "data_digest": task.data.digest,
        "external": task.external.name if task.external else None,
        "external_digest": task.external.digest if task.external else None,
        "positive": task.data.positive,
    }


def _write_predictions(
    folder: RunFolder, part: str, images: Images, odds: np.ndarray, fold: int | None
) -> None:
    data, indices = images
    columns, folds = (EXTERNAL_COLUMNS, ()) if part == "external" else (PREDICTION_COLUMNS, (fold,))
    rows = (
        (data.files[i], data.classes[data.labels[i]], data.groups[i], *folds, *cells)
        for i, cells in zip(indices, said(odds), strict=True)
    )
    folder.write_csv(TABLES[part], columns, rows)


def _headline(metrics: dict[str, Any]) -> dict[str, float]:
    """Pick what NNI's web UI shows of a finished run, the area under the curve first.

    It shows numbers alone: of warnings it tells how many there are, which are in the trial's log.
    """
    chosen = metrics["test"] or metrics["validation"]
    shown = {name: chosen[name] for name in ("auc", *RATES)}
    shown |= {"parameters": metrics["parameters"], "warnings": len(metrics.get("warnings", []))}
    return {name: value for name, value in shown.items() if value is not None}
