"""Learning rates over a training."""

from __future__ import annotations

import math


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
