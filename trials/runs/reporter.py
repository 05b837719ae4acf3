"""Where a run's progress goes: NNI's web UI, TensorBoard, and the terminal or log.

Lightning's own loggers and bars stay off. Outside NNI nothing is sent to it. Standard output is left to
results: progress is written to standard error.
"""

from __future__ import annotations

import logging
import math
import os
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from PIL import Image
from torch.utils.tensorboard.writer import SummaryWriter
from tqdm import tqdm

from trials.data.batches import Batches
from trials.errors import TrainingError
from trials.nni_host.paths import tensorboard_directory
from trials.runs.layout import TENSORBOARD


class Reporter:
    """Sends a run's metrics and pictures to NNI, inside one of its trials, to TensorBoard and the log.

    `default` names the metric of an epoch that NNI plots first. TensorBoard files go where the web UI's
    TensorBoard button looks, or to `out/tensorboard` outside NNI. Without `to_nni` a trial's web UI hears
    nothing: what runs within another run leaves the trial's results to that.
    """

    def __init__(self, out: Path, *, default: str = "val_auc", to_nni: bool = True) -> None:
        self.default = default
        self._in_nni = to_nni and "NNI_PLATFORM" in os.environ
        directory = tensorboard_directory() if to_nni else None
        self._writer = SummaryWriter(str(directory or out / TENSORBOARD))

    def __enter__(self) -> Reporter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    def say(self, text: str) -> None:
        """Write a line for a reader, above the progress bar where there is one."""
        tqdm.write(text, file=sys.stderr)

    def epoch(self, epoch: int, metrics: Mapping[str, float], *, again: bool = False) -> None:
        """Report the metrics of an epoch, counted from 0: an intermediate result for NNI, and a line.

        Those of training `again`, which nothing validates, are no results, and are named so. Raises
        `TrainingError` for a metric that is not finite, so that no web UI or tuner takes it for one.
        """
        _require_finite(metrics)
        for name, value in metrics.items():
            self._writer.add_scalar(f"again/{name}" if again else name, value, epoch)
        self._writer.flush()  # the web UI reads along
        values = "  ".join(f"{name} {value:.4g}" for name, value in metrics.items())
        self.say(f"{'again, ' if again else ''}epoch {epoch + 1}  {values}")
        if self._in_nni and not again:
            import nni

            nni.report_intermediate_result({"default": metrics[self.default], **metrics})

    def final(self, metrics: Mapping[str, float]) -> None:
        """Report a trial's result, once everything is on disk; NNI ranks trials by its first metric.

        Raises as `epoch` does.
        """
        _require_finite(metrics)
        if self._in_nni:
            import nni

            nni.report_final_result({"default": next(iter(metrics.values())), **metrics})

    def picture(self, name: str, path: Path) -> None:
        """Show an image file."""
        pixels = np.asarray(Image.open(path).convert("RGB"))
        self._writer.add_image(name, pixels, dataformats="HWC")
        self._writer.flush()

    def samples(self, name: str, batches: Batches) -> None:
        """Show the images of a first batch [b, channels, h, w] side by side, each from black to white."""
        images, _ = next(iter(batches))
        low, high = images.amin((1, 2, 3), keepdim=True), images.amax((1, 2, 3), keepdim=True)
        self._writer.add_images(name, (images - low) / (high - low).clamp(min=1e-6))
        self._writer.flush()


def _require_finite(metrics: Mapping[str, float]) -> None:
    for name, value in metrics.items():
        if not math.isfinite(value):
            raise TrainingError(f"{name} is {value}, which is no result; nothing was reported")


class ReportEachEpoch(pl.Callback):
    """Tells a reporter all that a Lightning module has logged in an epoch."""

    def __init__(self, reporter: Reporter, *, again: bool = False) -> None:
        self._reporter, self._again = reporter, again

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report."""
        metrics = {name: float(value) for name, value in sorted(trainer.callback_metrics.items())}
        self._reporter.epoch(trainer.current_epoch, metrics, again=self._again)


class Bar(pl.Callback):
    """A progress bar for each epoch, on a terminal only."""

    def __init__(self) -> None:
        self._bar: Any = None

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Open the bar."""
        self._bar = tqdm(
            desc=f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}",
            total=int(trainer.num_training_batches),
            leave=False,
            file=sys.stderr,
            disable=None,  # where standard error is no terminal
        )

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Move the bar."""
        self._bar.update()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Close the bar."""
        self._bar.close()


def quiet_lightning() -> None:
    """Silence what Lightning says about its own surroundings; nothing about the run is hidden."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")
    warnings.filterwarnings("ignore", message=".*sync_dist=True.*")  # strategies.distributed does that
    warnings.filterwarnings("ignore", message=".*no `val_dataloader`.*")  # a refit has none to validate by
    torch.set_float32_matmul_precision("high")  # else Lightning advises so on accelerators
