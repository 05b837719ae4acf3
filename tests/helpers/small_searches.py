"""The strategies here, each quick."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from strategies import ENAS, RandomSampling
from strategies.base import WeightSharingStrategy

_SMALL: dict[str, Any] = {"reward_metric_name": "val_acc", "final_samples": 5, "seed": 3}
SEARCHES: dict[str, Callable[..., WeightSharingStrategy]] = {
    "enas": lambda **options: ENAS(controller_updates=2, controller_samples=3, **_SMALL | options),
    "random": lambda **options: RandomSampling(observations=3, **_SMALL | options),
}


class Epochs(list[dict[str, float]]):
    """What a search has reported after each epoch; to be given as `on_epoch`."""

    def __call__(self, epoch: int, metrics: Mapping[str, float]) -> None:
        assert epoch == len(self)
        self.append(dict(metrics))
