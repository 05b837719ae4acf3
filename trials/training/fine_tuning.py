"""How pretrained weights are adapted with care: the classifier first, early layers slowly, steps averaged.

Each is a setting of `retrain`, off by default. A training that is resumed ends in the same weights as one
that was not interrupted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import WeightAveraging
from torch import Tensor, nn

from trials.errors import SettingsError


class FreezeBody(pl.Callback):
    """Lets the `classifier`, modules of the network by name, learn alone for the first epochs.

    The rest then is as in use: its batch norm neither sees the batches nor learns of them, and nothing is
    dropped.
    """

    def __init__(self, epochs: int, classifier: Sequence[str]) -> None:
        self._epochs, self._classifier = epochs, tuple(f"{name}." for name in classifier)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Freeze or thaw, by the epoch alone: a resumed training has no other state."""
        network: Any = pl_module.model
        frozen = trainer.current_epoch < self._epochs
        network.train(not frozen)
        for name, weight in network.named_parameters():
            weight.requires_grad = not frozen or name.startswith(self._classifier)


class MovingAverage(WeightAveraging):
    """Lightning's averaged copy of the network, which is what is validated, and kept at the end.

    Weights and running statistics alike. The first of n steps count as in a plain mean, until `decay` keeps
    less: the decay is at most (1 + n) / (10 + n), TensorFlow's rule, as a short training would else keep much
    of its start. The checkpoint holds both copies.
    """

    def __init__(self, decay: float) -> None:
        super().__init__(multi_avg_fn=_towards(decay))

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the average also where a resumed training had no step left, of which Lightning says no end."""
        self.on_train_end(trainer, pl_module)


def _towards(decay: float) -> Any:
    @torch.no_grad()
    def average(averaged: list[Tensor], current: list[Tensor], steps: Tensor) -> None:
        if not averaged[0].is_floating_point():  # batch norm's counts of batches
            torch._foreach_copy_(averaged, current)
            return
        kept = min(decay, (1 + int(steps)) / (10 + int(steps)))
        torch._foreach_lerp_(averaged, current, 1 - kept)

    return average


def classifier_of(network: nn.Module) -> tuple[str, ...]:
    """Return the names of the modules that make logits; raises `SettingsError` for networks of no library."""
    names = _library_facts(network, "retrain.freeze_epochs")["classifier"]
    return (names,) if isinstance(names, str) else tuple(names)


def layer_rates(network: nn.Module, highest: float, decay: float) -> list[dict[str, Any]]:
    """Return an optimiser's groups of weights, first layers first, each with its learning rate.

    timm says which weights make a layer (Clark et al., ICLR 2020, arXiv 2003.10555). Raises `SettingsError`
    for networks of no library.
    """
    _library_facts(network, "retrain.layer_decay")
    from timm.optim import param_groups_layer_decay  # late: seconds

    groups = param_groups_layer_decay(network, weight_decay_exclude_1d=False, layer_decay=decay)
    groups.sort(key=lambda group: group["lr_scale"])
    return [{"params": group["params"], "lr": highest * group["lr_scale"]} for group in groups]


def _library_facts(network: nn.Module, setting: str) -> dict[str, Any]:
    facts = getattr(network, "pretrained_cfg", None)
    if not facts:
        raise SettingsError(
            f"{setting}: nothing says which layers of {type(network).__name__} come first; set it for "
            "efficientnet_lite0, timm:NAME or torchvision:NAME alone"
        )
    return dict(facts)
