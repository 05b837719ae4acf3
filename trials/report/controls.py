"""Cheap controls: do scores that need no training order a search's candidates as well as shared weights do?

The proxies are those of `search_space.enas.proxies`, parameters and multiply-adds; on benchmarks the last
two are hard to beat (White et al., A deeper look at zero-cost proxies, ICLR blog track 2022). A search that
loses to one of them is not worth its cost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from trials.evaluation.bootstrap import Interval
from trials.evaluation.rankings import kendall_tau, tau_difference

SHARED = "shared weights"
PROXIES = {
    "parameters": "parameters",
    "macs": "multiply-adds",
    "synflow": "synaptic flow",
    "naswot": "NASWOT",
}
"""Their names in a run's `metrics.json`, or in its `proxies`, and in words."""
CONTROLS = ("score", "tau", "low", "high", "difference", "difference_low", "difference_high", "auc_chosen")


@dataclass(frozen=True)
class Control:
    """One score of a search's candidates: how it orders them, and what it would have chosen.

    `difference` is Kendall's `tau` less that of shared weights, `chosen` the AUC after separate training of
    the candidate that the score puts first; undefined where the score is not known of all, or equal.
    """

    label: str
    tau: Interval
    difference: Interval
    chosen: float | None

    def row(self) -> tuple[Any, ...]:
        """Return the cells of `CONTROLS`."""
        limits = (value for one in (self.tau, self.difference) for value in (one.estimate, one.low, one.high))
        cells = (None if np.isnan(value) else round(value, 6) for value in limits)
        return self.label, *cells, None if self.chosen is None else round(self.chosen, 6)


def controls_of(candidates: Sequence[Mapping[str, Any]], alone: Sequence[float]) -> list[Control]:
    """Return shared weights, then each proxy, of the `metrics.json` of candidates and their AUCs `alone`."""
    shared = [-metrics["candidate"]["place"] for metrics in candidates]
    scores = {SHARED: shared} | {
        label: [metrics.get(name, metrics.get("proxies", {}).get(name)) for metrics in candidates]
        for name, label in PROXIES.items()
    }
    return [_control(label, given, shared, alone) for label, given in scores.items()]


def _control(
    label: str, scores: Sequence[float | None], shared: Sequence[float], alone: Sequence[float]
) -> Control:
    known = [score for score in scores if score is not None]
    if len(known) < len(scores):
        unknown = Interval(np.nan, np.nan, np.nan)
        return Control(label, unknown, unknown, None)
    tau, difference = kendall_tau(known, alone), tau_difference(known, shared, alone)
    return Control(label, tau, difference, alone[int(np.argmax(known))] if tau.known else None)


def losses(controls: Sequence[Control], found: float | None) -> Iterator[str]:
    """Yield a sentence on the proxies that the search loses to, where there are any.

    One is on those that order candidates better than shared weights do, the other on those whose choice has a
    higher AUC than ENAS's architecture, which has `found`.
    """
    shared, *proxies = controls
    ahead = [(one.label, one.difference) for one in proxies if one.difference.estimate > 0]
    if ahead:
        told = (f"{label} ({by.estimate:.2f} more, {by.low:.2f} to {by.high:.2f})" for label, by in ahead)
        yield (
            f"shared weights, with a Kendall's tau of {shared.tau.estimate:.2f}, order candidates worse than "
            f"{' and '.join(told)}; where such an interval holds 0, chance may explain it"
        )
    if found is None:
        return
    better = [f"{one.label} ({one.chosen:.3f})" for one in proxies if one.chosen and one.chosen > found]
    if better:
        yield (
            f"ENAS's architecture, with an AUC of {found:.3f}, is worse than the candidate chosen by "
            f"{' or by '.join(better)}, from one training each"
        )
