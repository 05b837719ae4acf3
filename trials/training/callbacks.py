"""What a training tells while it runs, in place of Lightning's own loggers, bars and errors."""

from __future__ import annotations

import logging
import traceback
import warnings
from typing import Any, cast

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from search_space.progress import progress
from trials.errors import TrainingError
from trials.runs.reporter import Reporter
from trials.settings.training import TrainingSettings
from trials.training.memory import suggest_batch_size
from trials.training.steps import planned_steps


class ReportEachEpoch(pl.Callback):
    """Gives a reporter all that a Lightning module has logged in an epoch."""

    def __init__(self, reporter: Reporter, *, again: bool = False) -> None:
        self._reporter, self._again = reporter, again

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report."""
        metrics = {name: float(value) for name, value in sorted(trainer.callback_metrics.items())}
        self._reporter.epoch(trainer.current_epoch, metrics, again=self._again)


class TrainingLosses(pl.Callback):
    """Keeps the mean training loss of every epoch, through an interruption too."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep this epoch's."""
        self.losses.append(float(trainer.callback_metrics["train_loss"]))

    def state_dict(self) -> dict[str, Any]:
        """Return the losses, for the checkpoint."""
        return {"losses": self.losses}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take those of a checkpoint."""
        self.losses = list(state_dict["losses"])


class Bar(pl.Callback):
    """Shows how far the training is, and when it will end."""

    def __init__(self, settings: TrainingSettings) -> None:
        self._settings = settings
        self._bar: Any = None  # in the first of several processes alone

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Open the bar."""
        if trainer.is_global_zero:
            self._bar = progress(total=planned_steps(trainer, self._settings), done=trainer.global_step)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Name the epoch."""
        if self._bar is not None:
            epoch = f"steps, epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
            self._bar.set_description_str(epoch, refresh=False)

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Move the bar."""
        if self._bar is not None:
            self._bar.update()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Close the bar."""
        self._close()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Close the bar, so that what is said next has a line of its own."""
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()


class SuggestBatchSize(pl.Callback):
    """Turns an accelerator's lack of memory into a `TrainingError` that says what it has room for."""

    def __init__(self, settings: TrainingSettings) -> None:
        self._settings = settings
        self._images: Tensor | None = None

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Keep images to measure with."""
        self._images = batch[0]

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Raise `TrainingError` in place of torch's error."""
        if isinstance(exception, torch.OutOfMemoryError):
            traceback.clear_frames(exception.__traceback__)  # they hold the maps of the step that failed
            with trainer.precision_plugin.train_step_context():
                advice = suggest_batch_size(self._settings, cast(nn.Module, pl_module.model), self._images)
            raise TrainingError(f"{str(exception).rstrip('. ')}. {advice}") from None


def quiet_lightning() -> None:
    """Silence what Lightning says about itself; nothing about the run is hidden."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")
    warnings.filterwarnings("ignore", message=".*sync_dist=True.*")  # strategies.distributed does that
    warnings.filterwarnings("ignore", message=".*no `val_dataloader`.*")  # a refit has none to validate by
    torch.set_float32_matmul_precision("high")  # else Lightning advises so on accelerators
