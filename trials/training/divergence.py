"""Training that diverges: how it is noticed, what is tried once, what is told.

A loss that is not finite, or a mean loss of an epoch that is far above that of a guess, ends the training
before anything of that epoch is reported or saved. Early in a training the validation loss may be high for a
while, as batch norm's running averages lag behind; in the second half it counts too. The training is then
made once more from the start: the same seed, a tenth of the learning rate, gradients clipped at norm 1. What
happened stays in the run's folder and results. The bounds and the rule are ours.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytorch_lightning as pl
import torch
from torch import Tensor

from strategies.divergence import DivergedError
from trials.errors import DivergedTwiceError
from trials.runs.folder import RunFolder, read_json
from trials.runs.layout import divergence_file
from trials.runs.reporter import Reporter
from trials.settings.search import SearchSettings
from trials.settings.training import TrainingSettings
from trials.training.steps import planned_steps

SettingsT = TypeVar("SettingsT", bound=TrainingSettings)

EXPLODED = 20.0  # times the loss of a guess, log(classes)
SLOWER, CLIP = 0.1, 1.0  # of the second attempt: share of the learning rate, largest norm of the gradient


class StopWhenDiverged(pl.Callback):
    """Ends a training that has diverged, at the end of the epoch and before it is reported or saved."""

    def __init__(self, classes: int, settings: TrainingSettings) -> None:
        self._bound, self._settings = EXPLODED * math.log(classes), settings

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Raise `DivergedError`."""
        epoch, metrics = trainer.current_epoch + 1, trainer.callback_metrics
        for name, value in metrics.items():
            if not torch.isfinite(value):
                raise DivergedError(epoch, f"{name} is {float(value)}")
        late = 2 * trainer.global_step > planned_steps(trainer, self._settings)
        for name in ("train_loss", *(["val_loss"] if late and "val_loss" in metrics else [])):
            if (loss := float(metrics[name])) > self._bound:
                guess = self._bound / EXPLODED
                raise DivergedError(epoch, f"{name} is {loss:.3g}, and {guess:.2g} for a guess")


def require_finite(logits: Tensor, epoch: int) -> None:
    """Raise `DivergedError` for logits that are not finite, of which measures would make numbers.

    torchmetrics 1.9 gives an area of 1.0, 0.0 or between for scores that are all NaN, and an accuracy that is
    the share of class 0.
    """
    if not bool(torch.isfinite(logits).all()):
        raise DivergedError(epoch, "the network's logits are not finite")


def train_with_second_attempt(
    folder: RunFolder,
    checkpoint: str,
    settings: SettingsT,
    reporter: Reporter,
    train: Callable[[SettingsT, float | None], float],
) -> float:
    """Return what `train`, given settings and the largest norm of the gradient, returns: its seconds.

    Where it diverges it is called once more, from the start, by the rule above. That it was stays in
    `folder` under `divergence_file(checkpoint)`, so that an interrupted second attempt goes on as one. Raises
    `DivergedTwiceError` that names the setting to change where that diverges too.
    """
    record = folder.path / divergence_file(checkpoint)
    if not record.exists():
        try:
            return train(settings, None)
        except DivergedError as error:
            again = slower(settings)
            folder.write_json(
                record.name,
                {
                    "epoch": error.epoch,
                    "what": error.what,
                    "learning_rate": again.learning_rate,
                    "largest_gradient_norm": CLIP,
                },
            )
            (folder.path / checkpoint).unlink(missing_ok=True)
            reporter.say(f"warning: {told(read_json(record))}")
    try:
        return train(slower(settings), CLIP)
    except DivergedError as error:
        section = "search" if isinstance(settings, SearchSettings) else "retrain"
        norm = "" if getattr(settings, "output_norm", True) else " or --set retrain.output_norm=true"
        raise DivergedTwiceError(
            f"{error}, in a second attempt too, with a learning rate of {slower(settings).learning_rate:g} "
            f"and gradients clipped at norm {CLIP:g}; try another, such as --set "
            f"{section}.learning_rate={settings.learning_rate * SLOWER**2:g}{norm}, in a new output folder"
        ) from None


def divergences(folder: Path, *checkpoints: str) -> list[str]:
    """Return a sentence for each training in `folder` that was made again."""
    records = [folder / divergence_file(checkpoint) for checkpoint in checkpoints]
    return [told(read_json(record)) for record in records if record.exists()]


def told(record: dict[str, Any]) -> str:
    """Return as a sentence that a training diverged and how it was made again."""
    return (
        f"the training diverged in epoch {record['epoch']} ({record['what']}) and was made again from the "
        f"start, with the learning rate {record['learning_rate']:g} and gradients clipped at norm "
        f"{record['largest_gradient_norm']:g}"
    )


def slower(settings: SettingsT) -> SettingsT:
    """Return the settings of a second attempt."""
    rates = {name: SLOWER * getattr(settings, name) for name in ("learning_rate", "learning_rate_min")}
    return settings.model_copy(update=rates)
