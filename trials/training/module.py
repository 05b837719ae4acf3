"""The one Lightning module behind searches and retrainings.

ENAS's recipe (Pham et al. 2018, arXiv 1802.03268, and the released code): Nesterov momentum, L2 on every
weight, a cosine learning rate with warm restarts, an auxiliary head.
"""

from __future__ import annotations

from typing import Any

import torch
from nni.nas.evaluator.pytorch import LightningModule
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import LambdaLR
from torchmetrics.classification import BinaryAUROC, MulticlassAccuracy, MulticlassAUROC
from torchmetrics.utilities.data import dim_zero_cat

from search_space.cpu_layers import channels_last
from trials.nni_host.watchdog import heartbeat
from trials.settings.training import AUXILIARY_WEIGHT, TrainingSettings
from trials.training.divergence import require_finite
from trials.training.fine_tuning import layer_rates
from trials.training.losses import LOSSES
from trials.training.schedules import cosine_with_restarts, one_cycle
from trials.training.steps import planned_steps


class LesionModule(LightningModule):
    """Trains and validates the network given to `set_model` on batches ([b, c, h, w] float, [b] int).

    The network returns logits [b, classes] or, in training with an auxiliary head, a pair of them. Logged
    each epoch over the whole split: `train_loss`, `lr`, `val_loss`, `val_acc`, and `val_auc`, of two classes
    that of the `positive` one, of more the mean over each class against the rest. `class_weights` [classes]
    weigh the training loss, one of `LOSSES` by name, of smoothed labels; `val_loss` is the cross-entropy.
    `lr` is the last layer's; with a `layer_decay` each layer has that share of the next one's. It serves as
    a one-shot strategy's inner module as well: all that it needs of the trainer is asked for in its steps.
    """

    def __init__(
        self,
        settings: TrainingSettings,
        *,
        classes: int = 2,
        positive: int | None = 1,
        class_weights: Tensor | None = None,
        loss: str = "cross_entropy",
        label_smoothing: float = 0.0,
        layer_decay: float = 1.0,
    ) -> None:
        super().__init__()
        self.settings = settings
        self.positive = positive
        self.loss, self.label_smoothing = LOSSES[loss], label_smoothing
        self.layer_decay = layer_decay
        self.register_buffer("class_weights", class_weights, persistent=False)
        self.accuracy = MulticlassAccuracy(classes, average="micro")
        self.area = BinaryAUROC() if classes == 2 else MeanArea(classes)

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
        rate = self.trainer.optimizers[0].param_groups[-1]["lr"]
        self.log_dict({"train_loss": loss, "lr": rate}, on_step=False, on_epoch=True, batch_size=len(labels))
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Log the unweighted loss, the accuracy and the area under the ROC curve; return the logits.

        Raises `DivergedError` for logits that are not finite.
        """
        images, labels = batch
        logits = self(images).float()
        require_finite(logits, self.trainer.current_epoch + 1)
        self.accuracy.update(logits, labels)
        # Not of logits, which torchmetrics tells batch by batch: findings/torchmetrics-logits-by-batch.sh
        if isinstance(self.area, BinaryAUROC):
            self.area.update(logits.softmax(1)[:, self.positive], torch.eq(labels, self.positive or 0).long())
        else:
            self.area.update(logits.softmax(1), labels)
        self.log("val_loss", functional.cross_entropy(logits, labels), batch_size=len(labels))
        self.log("val_acc", self.accuracy, batch_size=len(labels))
        self.log("val_auc", self.area, batch_size=len(labels))
        return logits

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
        weights: Any = self.model.parameters()
        if self.layer_decay < 1:
            weights = layer_rates(self.model, settings.learning_rate, self.layer_decay)
        if settings.optimizer == "adamw":
            return torch.optim.AdamW(weights, **common)
        momentum = settings.momentum
        return torch.optim.SGD(weights, momentum=momentum, nesterov=momentum > 0, **common)

    def _relative_rate(self, step: int) -> float:
        settings = self.settings
        limits = {"highest": 1.0, "lowest": settings.learning_rate_min / settings.learning_rate}
        if settings.schedule == "restarts":
            self._steps()  # makes the trainer read its loaders, which sets the next line's number
            epoch = step // max(1, int(self.trainer.num_training_batches))
            return cosine_with_restarts(epoch, t0=settings.t0, t_mul=settings.t_mul, **limits)
        return one_cycle(step, self._steps(), warm_up=settings.warm_up, **limits)

    def _steps(self) -> int:
        return planned_steps(self.trainer, self.settings)

    def _loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        given = {"weight": self.class_weights, "label_smoothing": self.label_smoothing}
        return self.loss(logits.float(), labels, **given)


class MeanArea(MulticlassAUROC):
    """The area under the ROC curve of each class against the rest, on average of those that have images.

    A reward's images may lack a class, of which torchmetrics has 0: `findings/torchmetrics-absent-class.sh`.
    """

    def __init__(self, classes: int) -> None:
        super().__init__(classes, average="none")

    def compute(self) -> Tensor:  # type: ignore[override]  # as torchmetrics' own
        """Return the mean; 0 where all images are of one class."""
        areas = super().compute()
        there = dim_zero_cat(self.target).bincount(minlength=len(areas)) > 0
        mean: Tensor = areas[there].mean()
        return mean
