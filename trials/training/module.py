"""How networks are trained: the one Lightning module and the one trainer behind searches and retrainings.

ENAS's recipe (Pham et al. 2018, arXiv 1802.03268, and the released code): Nesterov momentum, L2 on every
weight, a cosine learning rate with warm restarts, an auxiliary head. Each epoch draws from generators
seeded by (seed, epoch) alone, so that a run resumed at an epoch is the run that was never interrupted.
"""

from __future__ import annotations

import io
import math
import os
import traceback
from os import PathLike
from pathlib import Path
from typing import Any, cast

import pytorch_lightning as pl
import torch
from nni.nas.evaluator.pytorch import LightningModule
from nni.nas.evaluator.pytorch import Trainer as TracedTrainer
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.plugins.io import TorchCheckpointIO
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import LambdaLR
from torchmetrics.classification import BinaryAUROC, MulticlassAccuracy

from search_space.cpu_layers import channels_last, keep_freed_memory
from search_space.regular_files import not_a_file
from trials.errors import RunFolderError, TrainingError
from trials.files import write_atomically
from trials.nni_host.watchdog import heartbeat
from trials.settings.schema import AUXILIARY_WEIGHT, TrainingSettings
from trials.training.callbacks import Bar, quiet_lightning
from trials.training.divergence import StopWhenDiverged, require_finite
from trials.training.memory import suggest_batch_size


def cosine_with_restarts(epoch: int, *, highest: float, lowest: float, t0: int, t_mul: int) -> float:
    """Learning rate of an epoch counted from 0 (Loshchilov and Hutter 2017, arXiv 1608.03983).

    It is constant within an epoch, as in ENAS's code. With t0 = 10 and t_mul = 2 epochs 10, 30, 70, 150,
    310 and 630 start again from `highest`.
    """
    period = t0
    while epoch >= period:
        epoch -= period
        period *= t_mul
    return lowest + (highest - lowest) * (1 + math.cos(math.pi * epoch / period)) / 2


def one_cycle(step: int, steps: int, *, highest: float, lowest: float, warm_up: float) -> float:
    """Learning rate of a step counted from 0: straight up, then one cosine down to `lowest` on the last."""
    rising = warm_up * steps
    if step < rising:
        return lowest + (highest - lowest) * (step + 1) / (rising + 1)
    share = min(1.0, (step - rising) / max(1.0, steps - 1 - rising))
    return lowest + (highest - lowest) * (1 + math.cos(math.pi * share)) / 2


class LesionModule(LightningModule):
    """Trains and validates the network given to `set_model` on batches ([b, c, h, w] float, [b] int).

    The network returns logits [b, classes] or, in training with an auxiliary head, a pair of them. Logged
    each epoch over the whole split: `train_loss`, `lr`, `val_loss`, `val_acc`, and `val_auc` of the class
    `positive` against the rest. `class_weights` [classes] weigh the training loss. It serves as a one-shot
    strategy's inner module as well: all that it needs of the trainer is asked for in its steps.
    """

    def __init__(
        self,
        settings: TrainingSettings,
        *,
        classes: int = 2,
        positive: int = 1,
        class_weights: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.settings = settings
        self.positive = positive
        self.register_buffer("class_weights", class_weights, persistent=False)
        self.accuracy = MulticlassAccuracy(classes, average="micro")
        self.area = BinaryAUROC()

    def set_model(self, model: nn.Module) -> None:
        """Take the network to train, channels last: several times faster on a processor."""
        channels_last(model)
        super().set_model(model)

    def forward(self, images: Tensor) -> Any:
        """Return the network's logits for images [b, c, h, w]."""
        heartbeat()
        return self.model(images.contiguous(memory_format=torch.channels_last))

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Return the loss of a batch: the main head's plus 0.4 times the auxiliary head's."""
        images, labels = batch
        if hasattr(self.model, "drop_path_progress"):
            self.model.drop_path_progress = self.trainer.global_step / max(1, self._steps())
        output = self(images)
        logits, *auxiliary = output if isinstance(output, tuple) else (output,)
        loss = self._loss(logits, labels)
        for other in auxiliary:
            loss = loss + AUXILIARY_WEIGHT * self._loss(other, labels)
        rate = self.trainer.optimizers[0].param_groups[0]["lr"]
        self.log_dict({"train_loss": loss, "lr": rate}, on_step=False, on_epoch=True, batch_size=len(labels))
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Log the unweighted loss, the accuracy and the area under the ROC curve.

        Raises `DivergedError` for logits that are not finite.
        """
        images, labels = batch
        logits = self(images).float()
        require_finite(logits, self.trainer.current_epoch + 1)
        self.accuracy.update(logits, labels)
        self.area.update(logits.softmax(1)[:, self.positive], (labels == self.positive).long())
        self.log("val_loss", functional.cross_entropy(logits, labels), batch_size=len(labels))
        self.log("val_acc", self.accuracy, batch_size=len(labels))
        self.log("val_auc", self.area, batch_size=len(labels))

    def configure_optimizers(self) -> Any:
        """Nesterov SGD, or AdamW, on every weight, its rate set before every step by the schedule."""
        optimizer = self._optimizer()
        schedule = LambdaLR(optimizer, self._relative_rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _optimizer(self) -> torch.optim.Optimizer:
        settings = self.settings
        common: dict[str, Any] = {
            "lr": settings.learning_rate,
            "weight_decay": settings.weight_decay,
            "fused": True,  # a supernet's thousands of small tensors: 10 instead of 48 ms a step on one core
        }
        if settings.optimizer == "adamw":
            return torch.optim.AdamW(self.model.parameters(), **common)
        momentum = settings.momentum
        return torch.optim.SGD(self.model.parameters(), momentum=momentum, nesterov=momentum > 0, **common)

    def _relative_rate(self, step: int) -> float:
        settings = self.settings
        limits = {"highest": 1.0, "lowest": settings.learning_rate_min / settings.learning_rate}
        if settings.schedule == "restarts":
            self._steps()  # makes the trainer read its loaders, which sets the next line's number
            epoch = step // max(1, int(self.trainer.num_training_batches))
            return cosine_with_restarts(epoch, t0=settings.t0, t_mul=settings.t_mul, **limits)
        return one_cycle(step, self._steps(), warm_up=settings.warm_up, **limits)

    def _steps(self) -> int:
        return int(self.trainer.estimated_stepping_batches)

    def _loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return functional.cross_entropy(logits.float(), labels, weight=self.class_weights)


class SeedEachEpoch(pl.Callback):
    """Makes every epoch's random numbers a function of (seed, epoch); Lightning tells `Batches` the epoch."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Reseed."""
        seed_everything(self._seed, trainer.current_epoch)


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


class SaveEachEpoch(Checkpoint):
    """Writes the checkpoint from which a killed run goes on, whole or not at all.

    Lightning calls a `Checkpoint` last, so that whatever else an epoch's end changes is in it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save."""
        trainer.save_checkpoint(self._path)


class WholeFiles(TorchCheckpointIO):
    """Writes a checkpoint beside its place; Lightning itself would leave a killed run's in `TMPDIR`."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | PathLike[str], storage_options: Any = None
    ) -> None:
        """Write the file, whole or not at all."""
        content = io.BytesIO()
        torch.save(checkpoint, content)
        write_atomically(Path(path), content.getvalue())


def seed_everything(seed: int, epoch: int = 0) -> None:
    """Seed Python's, NumPy's and torch's global generators for an epoch of a run."""
    pl.seed_everything((seed * 100_003 + epoch) % 2**32, verbose=False)


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

    `clip` is the largest norm of the gradient. A training that diverges ends in `DivergedError`.
    With several `devices` Lightning's DDP starts a process for each. Precision is full: networks this small
    wait for the launch of kernels, of which mixed precision needs more (`benchmarks/cuda.py`). It is NNI's
    traced trainer, so that NNI's evaluators take it too. Resume by
    `trainer.fit(..., ckpt_path=resume_from(checkpoint), weights_only=True)`.
    """
    quiet_lightning()
    keep_freed_memory()
    return TracedTrainer(
        max_epochs=settings.epochs,
        max_steps=settings.max_steps or -1,
        accelerator="cuda" if torch.cuda.is_available() else "cpu",
        devices=devices,
        gradient_clip_val=clip,
        # A step of a search trains the operations of one architecture, and leaves all others unused.
        strategy="ddp_find_unused_parameters_true" if devices > 1 else "auto",
        callbacks=[
            SeedEachEpoch(seed),
            Bar(),
            StopWhenDiverged(classes),
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


def resume_from(path: Path) -> str | None:
    """Return the checkpoint to go on from, if there is one at `path`.

    Raises `RunFolderError` where it is damaged, or holds more than plain data, which is never unpickled.
    """
    if not os.path.lexists(path):
        return None
    if reason := _damage(path):
        raise RunFolderError(
            f"{path}: not a checkpoint of ours, or a damaged one ({reason}); remove it, and the same command "
            "begins this run anew"
        )
    return str(path)


def _damage(path: Path) -> str | None:
    """Say why a checkpoint cannot be read as plain data; None where it can."""
    if said := not_a_file(path):
        return said
    try:
        torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged ones raise nearly anything
        said = str(error).partition("\n")[0]
        # torch advises to switch `weights_only` off, which would run what a hostile file holds.
        return "it holds more than plain data" if "weights" in said else said
    return None
