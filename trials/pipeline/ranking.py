"""Ranking: do a search's shared weights order architectures as training each alone does?

Candidates of a random search, spread evenly over its ranking, and what ENAS found are each trained alone on
the images that the search trained on, and scored by their AUC on those that it scored them on: the inner
validation images, which choose nothing in this training. No image of the outer fold is looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trials.data.task import Task
from trials.errors import SettingsError
from trials.pipeline.cells import of_candidate, random_cells
from trials.pipeline.train import Title, plan, train_and_test
from trials.runs.layout import candidate_name
from trials.settings.load import load_settings

COUNT = 12  # candidates of the random search


def run_rank(
    data_path: Path,
    index: int,
    *,
    out: Path,
    layout: str = "enas7",
    count: int = COUNT,
    profile: str = "cpu",
    overrides: Mapping[str, object] | None = None,
    folds: int = 5,
    fold: int | None = None,
    seed: int = 0,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Train alone, in `layout`, candidate `index`: 0 is what ENAS found, 1 the best of the random search.

    `count` is the random search's last candidate of all, so that they are spread evenly over its ranking. The
    searches are made beside `out`, or resumed, or waited for, as methods' are. Writes to `out` what
    `trials.pipeline.train` names, with no image tested, and returns the content of `metrics.json`: the
    score is `validation.auc`, the place in the ranking `candidate`. The same arguments again resume an
    interrupted run, or report a finished one; with `dry_run` nothing is written or searched. Raises
    ValueError (`SettingsError`, `DataError`, `RunFolderError`, ...) before any training starts.
    """
    if count < 2 or not 0 <= index <= count:
        raise SettingsError(
            f"candidate {index} of {count}: expected 0, which ENAS found, to the count, which is 2 or more"
        )
    strategy = "random" if index else "enas"
    settings = load_settings(profile, {**(overrides or {}), "search.strategy": strategy})
    if index and settings.search.final_samples < count:
        raise SettingsError(
            f"search.final_samples = {settings.search.final_samples}: {count} candidates are to be ranked; "
            "score as many, or ask for fewer"
        )
    task = Task(data_path, settings, folds=folds, fold=fold, seed=seed, tested=False)
    if dry_run:
        return plan(task, random_cells(task, None, layout))
    share = (index - 1) / (count - 1) if index else 0.0
    network = of_candidate(task, out.absolute().parent, layout, share)
    title = Title(candidate_name(layout, index), f"candidate {index} of {strategy}", layout)
    return train_and_test(task, network, title, out, "rank")
