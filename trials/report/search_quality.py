"""Search quality: the ranking with shared weights against separate training, and ENAS's percentile in it.

Both scores are measured on the same few validation images. Their chance makes both rankings uncertain, which
draws tau towards 0; how far, the reliability of the ranking with shared weights says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from trials.evaluation.bootstrap import Interval
from trials.evaluation.rankings import kendall_tau, percentile
from trials.pipeline.scores import headline_of
from trials.report.controls import CONTROLS, Control, controls_of, losses
from trials.runs.finished import Run

_SEARCH = ("layout", "fold", "seed")
QUALITY = (
    *_SEARCH,
    "n",
    "of",
    "tau",
    "low",
    "high",
    "validation_images",
    "auc_found",
    "percentile",
    "reliability",
    "tau_ceiling",
    "reward_error",
)
SEARCH_CONTROLS = (*_SEARCH, *CONTROLS)
FEWEST = 3  # architectures; Kendall's tau of fewer says nothing


@dataclass(frozen=True, eq=False)
class SearchQuality:
    """One random search's candidates, best first by its ranking, and ENAS's architecture.

    `scores` are those with shared weights, `alone` the AUCs (of more than two classes macro AUCs) after
    separate training, one entry a candidate; `of` is how many were ranked. `tau` compares the place in the
    ranking (the loss breaks ties, as in the search) with `alone`; `reliability` is that of the ranking, and
    `tau_ceiling` the largest tau that this lets expect, and `reward_error` the standard error of a reward,
    None of searches that did not measure them. `found` is the AUC of ENAS's architecture, None where it was
    not trained; `percentile` is its place among `alone`, in percent. `controls` are shared
    weights, then scores that need no training.
    """

    layout: str
    fold: int | None
    seed: int
    of: int
    validation_images: int
    scores: Sequence[float]
    alone: Sequence[float]
    tau: Interval
    found: float | None
    controls: Sequence[Control]
    reliability: float | None = None
    tau_ceiling: float | None = None
    reward_error: float | None = None

    @property
    def percentile(self) -> float | None:
        """The percentage of candidates with a lower AUC than ENAS's architecture."""
        return None if self.found is None else percentile(self.found, self.alone)

    @property
    def name(self) -> str:
        """The layout, fold and, other than 0, seed of the search."""
        fold = "all data" if self.fold is None else f"fold {self.fold}"
        return f"{self.layout}, {fold}" + (f", seed {self.seed}" if self.seed else "")

    @property
    def losses(self) -> Iterator[str]:
        """Sentences on the scores without training that the search loses to."""
        return (f"search of {self.name}: {line}" for line in losses(self.controls, self.found))

    def control_rows(self) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of `search_controls.csv`."""
        return ((self.layout, self.fold, self.seed, *one.row()) for one in self.controls)

    def row(self) -> tuple[Any, ...]:
        """Return the row of `search_quality.csv`."""
        tau = (round(value, 6) for value in (self.tau.estimate, self.tau.low, self.tau.high))
        size = len(self.alone), self.of
        return (
            self.layout,
            self.fold,
            self.seed,
            *size,
            *tau,
            self.validation_images,
            _rounded(self.found),
            self.percentile,
            _rounded(self.reliability),
            _rounded(self.tau_ceiling),
            _rounded(self.reward_error),
        )


def search_quality(runs: Iterable[Run]) -> list[SearchQuality]:
    """Measure every random search of which at least `FEWEST` candidates were trained alone."""
    ordered = sorted(runs, key=_search)
    found = [_quality(list(group)) for _, group in groupby(ordered, key=_search)]
    return [one for one in found if one is not None]


def _search(run: Run) -> tuple[str, int, int]:
    return str(run.metrics["layout"]), -1 if run.fold is None else run.fold, run.seed


def _quality(runs: Sequence[Run]) -> SearchQuality | None:
    of = {
        strategy: sorted(
            (run.metrics for run in runs if run.metrics["candidate"]["strategy"] == strategy),
            key=lambda metrics: metrics["candidate"]["place"],
        )
        for strategy in ("random", "enas")
    }
    random = [metrics["candidate"] for metrics in of["random"]]
    headline = headline_of(runs[0].classes)
    if len(random) < FEWEST:
        return None
    alone = [float(metrics["validation"][headline]) for metrics in of["random"]]
    return SearchQuality(
        runs[0].metrics["layout"],
        runs[0].fold,
        runs[0].seed,
        random[0]["of"],
        of["random"][0]["validation"]["n"],
        [candidate["score"] for candidate in random],
        alone,
        kendall_tau([-candidate["place"] for candidate in random], alone),
        of["enas"][0]["validation"][headline] if of["enas"] else None,
        controls_of(of["random"], alone),
        *(random[0].get(name) for name in ("reliability", "tau_ceiling", "reward_error")),
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
