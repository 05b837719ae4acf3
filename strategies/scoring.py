"""How good an architecture is by an evaluator's own validation steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.utilities.data import extract_batch_size
from torch import Tensor
from torchmetrics import Metric


@dataclass(frozen=True)
class Score:
    """What an architecture reached: `value` of the `metric`, less any penalty.

    `loss` is the evaluator's ``val_loss``, 0 where it logs none; `outputs` [n, ...] are what its
    ``validation_step`` returned of all images, in the batches' order, None where that returns no tensor.
    """

    value: float
    metric: str
    loss: float = 0.0
    outputs: Tensor | None = field(default=None, compare=False)


@torch.no_grad()
def validate(
    module: LightningModule, trainer: Trainer, batches: Iterable[Any]
) -> tuple[dict[str, float], Tensor | None]:
    """Run a module's validation steps; return what it logs, averaged over all images, and its `outputs`.

    The module's own `log` is replaced meanwhile, and torchmetrics that it logs are reset at the end.
    """
    logged, returned = _Logged(), []
    own_log, module.log = module.log, logged  # type: ignore[method-assign]
    try:
        for index, batch in enumerate(batches):
            logged.batch_size = extract_batch_size(batch)
            batch = trainer.strategy.batch_to_device(batch)
            with trainer.precision_plugin.val_step_context():
                returned.append(module.validation_step(batch, index))
    finally:
        module.log = own_log  # type: ignore[method-assign]
    tensors = [one for one in returned if isinstance(one, Tensor)]
    outputs = torch.cat(tensors) if tensors and len(tensors) == len(returned) else None
    return logged.take(), outputs


def choose_metric(names: Sequence[str], wanted: str | None) -> str:
    """Return the name of the metric that is the reward, behind a minus where lower is better.

    Without a wanted one it is the only metric, or the one called ``default``. Raises ValueError where the
    evaluator does not log it.
    """
    name = wanted or (names[0] if len(names) == 1 else "default")
    if name.removeprefix("-") not in names:
        raise ValueError(
            f"the evaluator's validation_step logs {sorted(names) or 'nothing'}, not {name!r}: "
            "set reward_metric_name to one of the logged names, where lower is better with a minus before it"
        )
    return name


def value_of(metric: str, values: Mapping[str, float]) -> float:
    """Return the value of a metric that `choose_metric` has named: higher is better."""
    return -values[metric[1:]] if metric.startswith("-") else values[metric]


class _Logged:
    """Stands in for ``LightningModule.log`` and averages over batches what validation steps log."""

    def __init__(self) -> None:
        self.sums: dict[str, float] = {}
        self.weights: dict[str, float] = {}
        self.metrics: dict[str, Metric] = {}
        self.batch_size = 1

    def __call__(
        self, name: str, value: Any, *args: Any, batch_size: int | None = None, **kwargs: Any
    ) -> None:
        if isinstance(value, Metric):
            self.metrics[name] = value
            return
        weight = self.batch_size if batch_size is None else batch_size
        self.sums[name] = self.sums.get(name, 0.0) + weight * float(value)
        self.weights[name] = self.weights.get(name, 0.0) + weight

    def take(self) -> dict[str, float]:
        """Return the averages by name, and reset the metrics."""
        values = {name: total / self.weights[name] for name, total in self.sums.items()}
        for name, metric in self.metrics.items():
            values[name] = float(metric.compute())
            metric.reset()
        return values
