"""The comparison protocol: what every method goes through, and the files that it leaves.

The inner validation images choose the rule by which an image is called, and the temperature (`freeze`); both
are frozen before any test image is looked at. A refit then learns from the validation images too; it is what
is tested and saved, with the same rule and temperature. All work on logits in their canonical form
(`evaluation.decisions`). The files hold them and probabilities as the method gave them; logits divided by the
temperature are calibrated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from trials.data.checks import smallest_difference
from trials.data.task import Images, Task
from trials.evaluation.decisions import Decision, canonical, log_odds_of
from trials.evaluation.metrics import doubts
from trials.methods.base import Method
from trials.methods.registry import Title
from trials.nni_host.paths import on_another_host
from trials.pipeline.freeze import check_rule, freeze
from trials.pipeline.scores import headline_of, likeliest, rates_of, score_logits
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
from trials.runs.predictions import Frozen, classes_of, read_predictions
from trials.runs.provenance import provenance
from trials.runs.reporter import Reporter
from trials.settings.schema import ProtocolSettings

TABLES = {  # by part of the task
    **{"validation": VALIDATION_PREDICTIONS, "test": PREDICTIONS},
    "external": EXTERNAL_PREDICTIONS,
}


@dataclass(frozen=True, eq=False)
class Trained:
    """What a training has left: the content of `metrics.json`, and the method's logits by part of the task.

    None: the run had been finished before, and the method is not fitted; `read_logits` has them.
    """

    metrics: dict[str, Any]
    logits: Mapping[str, np.ndarray] | None


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
    protocol = task.settings.protocol
    check_rule(protocol, task.data.known)
    sections = {*method.sections, *(["protocol"] if protocol != ProtocolSettings() else [])}
    settings = task.settings.model_dump(mode="json", include=sections)
    identity = {"verb": verb, "method": title.name, **task.identity, **method.identity}
    logits = None
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
            logits = _fit_and_test(task, method, title, folder, reporter, facts)
            folder.finish(CHECKPOINT, REFIT_CHECKPOINT)
        metrics: dict[str, Any] = read_json(out / METRICS)
        for warning in metrics.get("warnings", []):
            reporter.say(f"warning: {warning}")
        reporter.final(_headline(metrics))
    return Trained(metrics, logits)


def read_logits(folder: Path, task: Task) -> dict[str, np.ndarray]:
    """Return the logits [n, k] that the finished run in `folder` of this task gave, by part of the task."""
    classes = task.data.known
    return {part: read_predictions(folder / TABLES[part], classes).logits for part in task.parts}


def plan(task: Task, method: Method) -> dict[str, Any]:
    """Return the settings in force, the data found, what they can show and an estimate of the cost.

    Nothing is written.
    """
    return {
        "settings": task.settings.model_dump(mode="json", include={"profile", "protocol", *method.sections}),
        "data": task.describe(),
        "smallest_auc_difference": smallest_difference(task.data),
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
    """Fit, freeze, test, and write everything; return the logits by part of the task."""
    parts = task.parts
    seconds = method.fit(folder, reporter)
    logits = {"validation": _logits(method, parts["validation"])}  # before a refit learns from these images
    if task.refit:
        seconds += method.fit(folder, reporter, refit=True)
    frozen = _freeze(task, method, folder, logits["validation"])
    logits |= {name: _logits(method, images) for name, images in parts.items() if name not in logits}
    for name, images in parts.items():
        _write_predictions(folder, name, images, logits[name], task.split.fold)
    folder.write_json(RECORD, _record(task, method, folder))
    told = {**_names(task, title), **_scores(task, logits, frozen), "seconds": round(seconds, 3)}
    folder.write_json(METRICS, {**told, **facts, **method.facts, **provenance()})
    return logits


def _freeze(task: Task, method: Method, folder: RunFolder, logits: np.ndarray) -> Frozen:
    """Choose rule and temperature by the logits of the validation images; save the model with them."""
    classes, labels = task.data.known, task.data.labels[task.split.validation]
    chosen = freeze(task.settings.protocol, classes, labels, logits)
    positive = classes.index if classes.are_two else None
    known = (labels, logits) if positive is None else (labels == positive, log_odds_of(logits, positive))
    warnings = (*method.warnings(folder.path), *doubts(*known), *chosen.warnings)
    frozen = replace(chosen, warnings=warnings)
    method.save(folder, frozen)
    return frozen


def _scores(task: Task, logits: Mapping[str, np.ndarray], frozen: Frozen) -> dict[str, Any]:
    """Return what the method scores on test and validation images by its rule, and by the likeliest class."""
    parts, decision, classes = task.parts, frozen.decision, task.data.known
    half = likeliest(classes)

    def scored(part: str, rule: Decision) -> dict[str, Any] | None:
        labels = task.data.labels[parts[part][1]]
        return (
            score_logits(classes, labels, logits[part], rule, ordered=task.data.ordered)
            if len(labels)
            else None
        )

    return {
        "test": scored("test", decision),
        "test_at_0.5": scored("test", half),
        "validation": scored("validation", decision),
        **frozen.to_dict(classes),
        "warnings": [*frozen.warnings, *task.warnings],
        "refit": task.refit,
    }


def _logits(method: Method, images: Images) -> np.ndarray:
    """Return the canonical logits [n, k] of images, which may be none."""
    data, indices = images
    if not len(indices):
        return np.empty((0, len(data.classes)))
    return canonical(method.logits(data, indices), data.positive_index)


def _record(task: Task, method: Method, folder: RunFolder) -> dict[str, Any]:
    return {
        **folder.identity,
        "data": task.describe(),
        "external_data": task.external.found() if task.external else None,
        "seen": task.split.seen | ({"seen_before": [*method.seen_before]} if method.seen_before else {}),
        "search_seen": method.search_seen,
        "predictors": list(method.predictors),
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
        "classes": list(task.data.classes),
        "positive": task.data.positive,
        **({"ordered": True} if task.data.ordered else {}),
    }


def _write_predictions(
    folder: RunFolder, part: str, images: Images, logits: np.ndarray, fold: int | None
) -> None:
    data, indices = images
    folds = {} if part == "external" else {"fold": fold}
    rows = (
        (data.files[i], data.classes[data.labels[i]], data.groups[i], *folds.values(), *cells)
        for i, cells in zip(indices, data.known.cells(logits), strict=True)
    )
    folder.write_csv(TABLES[part], ("file", "label", "group", *folds, *data.known.columns), rows)


def _headline(metrics: dict[str, Any]) -> dict[str, float]:
    """Pick what NNI's web UI shows of a finished run, the area under the curve first.

    It shows numbers alone: of warnings it tells how many there are, which are in the trial's log.
    """
    chosen = metrics["test"] or metrics["validation"]
    classes = classes_of(metrics)
    shown = {name: chosen[name] for name in (headline_of(classes), *rates_of(classes))}
    shown |= {"parameters": metrics["parameters"], "warnings": len(metrics.get("warnings", []))}
    return {name: value for name, value in shown.items() if value is not None}
