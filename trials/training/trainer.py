"""The one trainer behind searches and retrainings."""

from __future__ import annotations

from pathlib import Path

import pytorch_lightning as pl
import torch
from nni.nas.evaluator.pytorch import Trainer as TracedTrainer

from search_space.cpu_layers import keep_freed_memory
from trials.settings.training import TrainingSettings
from trials.training.callbacks import Bar, SuggestBatchSize, quiet_lightning
from trials.training.checkpoint import SaveEachEpoch, WholeFiles
from trials.training.divergence import StopWhenDiverged
from trials.training.seeding import SeedEachEpoch
from trials.training.steps import StopAfterSteps


def make_trainer(
    settings: TrainingSettings,
    checkpoint: Path,
    seed: int,
    *callbacks: pl.Callback,
    classes: int = 2,
    clip: float | None = None,
    devices: int = 1,
) -> pl.Trainer:
    """Return a trainer for the accelerator at hand that writes `checkpoint` after each epoch.

    `clip` is the largest norm of the gradient. A training that diverges ends in `DivergedError`. With several
    `devices` Lightning's DDP starts a process for each. Precision is full: networks this small wait for the
    launch of kernels, of which mixed precision needs more (`benchmarks/speed/cuda.py`). It is NNI's traced
    trainer, so that NNI's evaluators take it too. Resume by `trainer.fit(...,
    ckpt_path=resume_from(checkpoint), weights_only=True)`.
    """
    quiet_lightning()
    keep_freed_memory()
    return TracedTrainer(
        max_epochs=settings.epochs,
        accelerator="cuda" if torch.cuda.is_available() else "cpu",
        devices=devices,
        gradient_clip_val=clip,
        # A step of a search trains the operations of one architecture, and leaves all others unused.
        strategy="ddp_find_unused_parameters_true" if devices > 1 else "auto",
        callbacks=[
            SeedEachEpoch(seed),
            Bar(settings),
            StopAfterSteps(settings),
            StopWhenDiverged(classes, settings),
            SuggestBatchSize(settings),
            *callbacks,
            SaveEachEpoch(checkpoint),
        ],
        plugins=[WholeFiles()],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
        default_root_dir=checkpoint.parent,
    )
