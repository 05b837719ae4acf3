"""Retraining: one architecture in one layout, trained from scratch, tested on a fold that it never saw.

The training folds are split once more: most images train, the rest (whole groups) choose the decision
threshold, which is then frozen. The weights are those of the last epoch, as in the paper: nothing is chosen
by looking at the test.
"""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_lightning.callbacks import Timer

from search_space import Architecture, draw, multiply_adds, parameters
from search_space import layout as read_layout
from trials.data.sources import load
from trials.estimate import estimate, seconds_of, training_seconds
from trials.inputs import Inputs, describe_data, device, split_data
from trials.leaks import read_search_record, refuse_overlap, seen
from trials.metrics import RATES, score, youden_threshold
from trials.model_file import ModelDescription, positive_probabilities, save_model
from trials.network_view import export_onnx
from trials.nni_paths import network_view_file
from trials.provenance import provenance
from trials.reporting import ReportEachEpoch, Reporter
from trials.run_folder import RunFolder, read_json
from trials.settings import Settings
from trials.training import CHECKPOINT, LesionModule, make_trainer, resume_from, seed_everything

METRICS, RECORD, PREDICTIONS = "metrics.json", "retrain.json", "predictions.csv"
PREDICTION_COLUMNS = ("file", "label", "group", "fold", "probability")


def run_retrain(
    data_path: Path,
    architecture_path: Path,
    *,
    layout: str,
    out: Path,
    settings: Settings,
    folds: int = 5,
    fold: int | None = None,
    seed: int = 0,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Retrain an architecture; test it on outer fold `fold` of `folds`, or, without one, train on all data.

    Writes to `out` what the module's constants and `model_file` name, and returns the content of
    `metrics.json`. The same arguments again resume an interrupted run, or report a finished one. With
    `dry_run` nothing is written, and the settings in force, the data found and an estimate of the cost are
    returned. Raises ValueError (`DataError`, `LeakError`, `RunFolderError`, ...) before any work starts.
    """
    run = Retraining(data_path, architecture_path, layout, settings, folds, fold, seed)
    if dry_run:
        return run.dry_run()
    with RunFolder(out, run.identity, needed_bytes=run.disk_bytes) as folder, Reporter(out) as reporter:
        if folder.done:
            reporter.say(f"{out}: this run is done already")
        else:
            run.go(folder, reporter)
            folder.finish()
            (out / CHECKPOINT).unlink(missing_ok=True)  # nothing is left to resume
        metrics: dict[str, Any] = read_json(out / METRICS)
        reporter.final(_headline(metrics))
    return metrics


class Retraining:
    """One retraining: data and arguments are checked on construction, nothing is written before `go`."""

    def __init__(
        self,
        data_path: Path,
        architecture_path: Path,
        layout: str,
        settings: Settings,
        folds: int,
        fold: int | None,
        seed: int,
    ) -> None:
        read_layout(layout)  # raises early
        self.settings, self.layout, self.seed = settings, layout, seed
        self.folds, self.fold = None if fold is None else folds, fold
        self.architecture = Architecture.load(architecture_path)
        options = settings.data
        self.data = load(data_path, positive=options.positive, group_column=options.group_column)
        self.split = split_data(self.data, options, folds=folds, fold=fold, seed=seed)
        self.search_record = read_search_record(architecture_path)
        self._refuse_leak(architecture_path)
        self.inputs = Inputs(self.data, options, self.split.training)
        self.positive = self.data.classes.index(self.data.positive)

    def _refuse_leak(self, architecture_path: Path) -> None:
        if self.search_record is None or self.fold is None:
            return
        refuse_overlap(
            self.search_record,
            self.data,
            self.split.test,
            f"the search that found {architecture_path}",
            f"search again with --folds {self.folds} --fold {self.fold}, or test the fold that it left out",
        )

    @property
    def identity(self) -> dict[str, Any]:
        """What makes this run itself and no other."""
        return {
            "verb": "retrain",
            "data": self.data.digest,
            "test": hashlib.sha256(self.split.test.tobytes()).hexdigest()[:16],
            "architecture": self.architecture.to_sample(),
            "layout": self.layout,
            "folds": self.folds,
            "fold": self.fold,
            "seed": self.seed,
            "settings": self.settings.model_dump(mode="json", include={"data", "retrain"}),
        }

    @property
    def description(self) -> ModelDescription:
        """The model as it will be written, but for the threshold."""
        options = self.settings.data
        return ModelDescription(
            architecture=self.architecture.to_sample(),
            layout=self.layout,
            filters=self.settings.retrain.filters,
            channels=options.channels,
            classes=self.data.classes,
            positive=self.data.positive,
            image_size=options.image_size,
            fit=options.fit,
            mean=self.inputs.mean,
            std=self.inputs.std,
            threshold=0.5,
        )

    @cached_property
    def network(self) -> torch.nn.Module:
        """The network, its first weights drawn from the seed."""
        seed_everything(self.seed)
        options = self.settings.retrain
        return self.description.build(
            dropout=options.dropout, drop_path=options.drop_path, auxiliary=options.auxiliary
        )

    @property
    def disk_bytes(self) -> int:
        """About what is written: weights in two formats, two checkpoints with momentum, and the rest."""
        return 24 * sum(parameter.numel() for parameter in self.network.parameters()) + 20_000_000

    def go(self, folder: RunFolder, reporter: Reporter) -> None:
        """Train from the last epoch saved, choose the threshold, test, and write everything."""
        self._show(folder, reporter)
        timer = Timer()  # goes on counting after a resume
        settings = self.settings.retrain
        trainer = make_trainer(settings, folder.path, self.seed, ReportEachEpoch(reporter), timer)
        module = LesionModule(
            settings,
            classes=len(self.data.classes),
            positive=self.positive,
            class_weights=self.inputs.class_weights,
        )
        module.set_model(self.network)
        trainer.fit(
            module,
            self.inputs.training(settings.batch_size, self.seed),
            self.inputs.plain(self.split.validation),
            ckpt_path=resume_from(folder.path),
            weights_only=True,
        )
        self._write(folder, seconds=timer.time_elapsed("train"))

    def _show(self, folder: RunFolder, reporter: Reporter) -> None:
        for suffix in ("svg", "png"):
            draw(self.architecture, folder.path / f"cells.{suffix}")
        reporter.picture("cells", folder.path / "cells.png")
        reporter.samples("training images", self.inputs.training(16, self.seed))

    def _write(self, folder: RunFolder, seconds: float) -> None:
        validation = self._probabilities(self.split.validation)
        threshold = youden_threshold(self._truth(self.split.validation), validation)
        save_model(folder.path, self.network, self.description.model_copy(update={"threshold": threshold}))
        for path in filter(None, (folder.path / "model.onnx", network_view_file())):
            export_onnx(self.network, (self.settings.data.channels, *self.inputs.images.shape[2:]), path)
        self._write_predictions(folder, f"validation_{PREDICTIONS}", self.split.validation, validation)
        test = self._probabilities(self.split.test)
        self._write_predictions(folder, PREDICTIONS, self.split.test, test)
        folder.write_json(RECORD, self._record())
        folder.write_json(
            METRICS, self._metrics(threshold, validation, test) | {"seconds": round(seconds, 1)}
        )

    def _probabilities(self, indices: np.ndarray) -> np.ndarray:
        if not len(indices):
            return np.empty(0)
        return positive_probabilities(self.network, self.inputs.plain(indices), self.positive)

    def _truth(self, indices: np.ndarray) -> np.ndarray:
        return self.data.labels[indices] == self.positive

    def _write_predictions(
        self, folder: RunFolder, name: str, indices: np.ndarray, probabilities: np.ndarray
    ) -> None:
        data = self.data
        rows = (
            (data.files[i], data.classes[data.labels[i]], data.groups[i], self.fold, repr(float(p)))
            for i, p in zip(indices, probabilities, strict=True)
        )
        folder.write_csv(name, PREDICTION_COLUMNS, rows)

    def _metrics(self, threshold: float, validation: np.ndarray, test: np.ndarray) -> dict[str, Any]:
        size = (self.settings.retrain.filters, self.settings.data.channels, len(self.data.classes))
        scores: dict[str, Any] = {"test": None, "test_at_0.5": None}
        if len(test):
            truth = self._truth(self.split.test)
            scores = {
                "test": score(truth, test, threshold).to_dict(),
                "test_at_0.5": score(truth, test, 0.5).to_dict(),
            }
        return {
            **scores,
            "validation": score(self._truth(self.split.validation), validation, threshold).to_dict(),
            "threshold": threshold,
            "positive": self.data.positive,
            "parameters": parameters(self.architecture, self.layout, *size),
            "multiply_adds": multiply_adds(
                self.architecture, self.layout, *size, self.settings.data.image_size
            ),
            "layout": self.layout,
            "folds": self.folds,
            "fold": self.fold,
            "seed": self.seed,
            "profile": self.settings.profile,
            "data": self.data.name,
            "data_digest": self.data.digest,
            "search_overlap": "unknown" if self.search_record is None else "none",
            **provenance(),
        }

    def _record(self) -> dict[str, Any]:
        return {
            **self.identity,
            "data": describe_data(self.data, self.split),
            "seen": seen(self.data, np.concatenate([self.split.training, self.split.validation])),
            "search_seen": self.search_record,
        }

    def dry_run(self) -> dict[str, Any]:
        """Time a few steps, and return the settings, the data and the estimate."""
        settings = self.settings.retrain
        network = self.network.to(device()).to(memory_format=torch.channels_last)
        training, validation = (
            self.inputs.training(settings.batch_size, self.seed),
            self.inputs.plain(self.split.validation),
        )
        steps = min(settings.epochs * len(training), settings.max_steps or settings.epochs * len(training))
        validating = seconds_of(lambda: self._probabilities(self.split.validation[: validation.batch_size]))
        seconds = steps * training_seconds(network, training) + settings.epochs * len(validation) * validating
        return {
            "settings": self.settings.model_dump(mode="json", include={"profile", "data", "retrain"}),
            "data": describe_data(self.data, self.split),
            "estimate": estimate(seconds, self.disk_bytes).to_dict(),
        }


def _headline(metrics: dict[str, Any]) -> dict[str, float]:
    """Pick what NNI's web UI shows of a finished retraining, the area under the curve first."""
    chosen = metrics["test"] or metrics["validation"]
    named = {name: chosen[name] for name in ("auc", *RATES) if chosen[name] is not None}
    return {**named, "parameters": metrics["parameters"]}
