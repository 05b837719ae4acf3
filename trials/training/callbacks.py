"""What a training tells while it runs, in the place of Lightning's own loggers and bars."""

from __future__ import annotations

import logging
import sys
import warnings
from typing import Any

import pytorch_lightning as pl
import torch
from tqdm import tqdm

from trials.runs.reporter import Reporter


class ReportEachEpoch(pl.Callback):
    """Gives a reporter all that a Lightning module has logged in an epoch."""

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
    """Silence what Lightning says about itself; nothing about the run is hidden."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")
    warnings.filterwarnings("ignore", message=".*sync_dist=True.*")  # strategies.distributed does that
    warnings.filterwarnings("ignore", message=".*no `val_dataloader`.*")  # a refit has none to validate by
    torch.set_float32_matmul_precision("high")  # else Lightning advises so on accelerators
