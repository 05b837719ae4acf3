"""How many steps a training takes: all epochs', or the settings' `max_steps` if these are fewer.

Lightning is not told of `max_steps`. With a limit of steps 2.6.6 takes a checkpoint from an epoch's end for
one from within the epoch: a resumed training begins its next epoch without `on_train_epoch_start`, so without
that epoch's seed, and with the optimiser in another place than an uninterrupted one.
"""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl

from trials.settings.training import TrainingSettings


def planned_steps(trainer: pl.Trainer, settings: TrainingSettings) -> int:
    """Return the number of steps of a whole training."""
    steps = int(trainer.estimated_stepping_batches)
    return min(steps, settings.max_steps or steps)


class StopAfterSteps(pl.Callback):
    """Ends a training at the settings' `max_steps`, also within an epoch."""

    def __init__(self, settings: TrainingSettings) -> None:
        self._most = settings.max_steps

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """End at once a training that was resumed at its last step."""
        self._stop(trainer)

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """End the training after its last step."""
        self._stop(trainer)

    def _stop(self, trainer: pl.Trainer) -> None:
        if self._most is not None and trainer.global_step >= self._most:
            trainer.should_stop = True
