"""Random numbers of a training: each epoch draws from generators seeded by (seed, epoch) alone.

A run that is resumed at an epoch is thus the run that was never interrupted.
"""

from __future__ import annotations

import pytorch_lightning as pl


def seed_everything(seed: int, epoch: int = 0) -> None:
    """Seed Python's, NumPy's and torch's global generators for an epoch of a run."""
    pl.seed_everything((seed * 100_003 + epoch) % 2**32, verbose=False)


class SeedEachEpoch(pl.Callback):
    """Makes every epoch's random numbers a function of (seed, epoch); Lightning tells `Batches` the epoch."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Reseed."""
        seed_everything(self._seed, trainer.current_epoch)
