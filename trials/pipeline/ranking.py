"""Ranking: do a search's shared weights order architectures as training each alone does?

Candidates of a random search, spread evenly over its ranking, and what ENAS found are each trained alone on
the images that the search trained on, and scored by their AUC on those that it scored them on: the inner
validation images, which choose nothing in this training. No image of the outer fold is looked at. Scores that
need no training (`search_space.enas.proxies`, parameters, multiply-adds) are told beside them, as controls.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from search_space.enas.proxies import naswot, synflow
from trials.data.leaks import read_search_record
from trials.data.split import Split
from trials.data.task import Task
from trials.errors import SettingsError
from trials.methods.cells import Found, cell_network, check_starts, random_cells
from trials.methods.networks import NetworkMethod
from trials.methods.registry import Title
from trials.pipeline.found import read_ranking
from trials.pipeline.protocol import plan, train_and_test
from trials.pipeline.search import search_in
from trials.runs.folder import RunFolder
from trials.runs.layout import ARCHITECTURE, candidate_name
from trials.runs.reporter import Reporter
from trials.settings.load import with_changes
from trials.settings.schema import Settings, require_one_training_of_cells

COUNT = 12  # candidates of the random search


def run_rank(
    split: Split,
    settings: Settings,
    index: int,
    out: str | Path,
    *,
    layout: str = "enas7",
    count: int = COUNT,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Train alone, in `layout`, candidate `index`: 0 is what ENAS found, 1 the best of the random search.

    `count` is the random search's last candidate of all, so that they are spread evenly over its ranking. The
    searches are made beside `out`, or resumed, or waited for, as methods' are. Writes to `out` what
    `trials.pipeline.protocol` names, with no image tested, and returns the content of `metrics.json`: the
    score is `validation.auc`, the place in the ranking `candidate`, and `proxies` are of the network before
    it has learned, None where not finite. The same arguments again resume an interrupted run, or report a
    finished one; with `dry_run` nothing is written or searched. Raises
    ValueError (`SettingsError`, `DataError`, `RunFolderError`, ...) before any training starts.
    """
    if count < 2 or not 0 <= index <= count:
        raise SettingsError(
            f"candidate {index} of {count}: expected 0, which ENAS found, to the count, which is 2 or more"
        )
    require_one_training_of_cells(settings, "rank")
    strategy = "random" if index else "enas"
    settings = with_changes(settings, {"search.strategy": strategy})
    if index and settings.search.final_samples < count:
        raise SettingsError(
            f"search.final_samples = {settings.search.final_samples}: {count} candidates are to be ranked; "
            "score as many, or ask for fewer"
        )
    task, out = Task(split, settings, tested=False), Path(out)
    if dry_run:
        return plan(task, cell_network(task, random_cells(task), layout))
    share = (index - 1) / (count - 1) if index else None
    check_starts(task, partial(cell_network, task, layout=layout))
    network = cell_network(task, _candidate(task, out.absolute().parent, share), layout, CandidateMethod)
    title = Title(candidate_name(layout, index), f"candidate {index} of {strategy}", layout)
    return train_and_test(task, network, title, out, "rank").metrics


class CandidateMethod(NetworkMethod):
    """A candidate's network, whose facts tell its zero-cost proxies too, of its first weights."""

    def fit(self, folder: RunFolder, reporter: Reporter, *, refit: bool = False) -> float:
        """Measure the proxies, and train."""
        self._facts["proxies"] = self._proxies()
        return super().fit(folder, reporter, refit=refit)

    def _proxies(self) -> dict[str, float | None]:
        task, network = self.task, self.network  # on the processor, for the same figures wherever it trains
        images, _ = next(iter(self.inputs.plain(task.split.training, shuffle=True, seed=task.seed)))
        scores = {
            "synflow": synflow(network, self.shape.channels, self.shape.side),
            "naswot": naswot(network, images.cpu()),
        }
        return {name: score if math.isfinite(score) else None for name, score in scores.items()}


def _candidate(task: Task, home: Path, share: float | None) -> Found:
    """Return the cells at `share` of the ranking of the task's own search: 0 is its best, 1 its last.

    None: what the search has found, its best or the last of its finalists. The facts tell the place, counted
    from 1.
    """
    folder, search = search_in(home, task.split, task.settings)
    ranking = read_ranking(folder)
    found_at = search.get("finalists", {}).get("place", 1) - 1
    place = found_at if share is None else round(share * (len(ranking) - 1))
    score, architecture = ranking[place]
    strategy = search["settings"]["search"]["strategy"]
    found = {"strategy": strategy, "place": place + 1, "of": len(ranking), "score": score}
    found |= _reliability(search)
    return Found(architecture, read_search_record(folder / ARCHITECTURE), {"candidate": found})


def _reliability(search: Mapping[str, Any]) -> dict[str, Any]:
    """Return how well the search's ranking repeats itself, where its record says so."""
    known = search.get("reliability", {})
    return dict(known.get(known.get("measure"), {}))
