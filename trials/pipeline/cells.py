"""Networks made of cells as methods: of a file, of a search within the run, tuned after it, of chance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from search_space import Architecture
from search_space import layout as read_layout
from trials.data.leaks import read_search_record, refuse_overlap
from trials.data.task import Task
from trials.files import below
from trials.methods.networks import EnasBMethod, NetworkMethod
from trials.methods.registry import ENAS_B_CHOICES
from trials.models.zoo import CellNetwork
from trials.pipeline.search import read_ranking, run_search
from trials.runs.folder import read
from trials.runs.layout import ARCHITECTURE, SEARCHES
from trials.settings.load import load_settings
from trials.settings.schema import Settings


def from_file(
    task: Task,
    path: Path,
    layout: str,
    kind: type[NetworkMethod] = NetworkMethod,
    **facts: Any,
) -> NetworkMethod:
    """Return the network of the architecture at `path`; `facts` go into its results.

    Raises ValueError for a file or layout that is none, and `LeakError` where the search that wrote the file
    has seen the task's test images.
    """
    read_layout(layout)  # raises early
    architecture = Architecture.parse(read(path), path)
    record = read_search_record(path)
    if record is not None and task.fold is not None:
        way_out = (
            f"search again with --folds {task.folds} --fold {task.fold}, or test the fold that it left out"
        )
        refuse_overlap(record, task.data, task.split.test, f"the search that found {path}", way_out)
    facts["search_overlap"] = "unknown" if record is None else "none"
    return kind(task, _network(task, architecture, layout), search_seen=record, facts=facts)


def from_search(task: Task, home: Path | None, layout: str) -> NetworkMethod:
    """Return the network of what the task's own search finds, which is made first, or resumed, or waited for.

    All layouts share the search's folder in `home`. Without `home` nothing is searched or written, and cells
    of chance stand in.
    """
    if home is None:
        return random_cells(task, home, layout)
    folder, search = _searched(task, home, task.settings)
    return from_file(task, folder / ARCHITECTURE, layout, search_seconds=search["seconds"])


def enas_b(task: Task, home: Path | None) -> NetworkMethod:
    """Return the network of what the task's own search finds, as deep and wide as the settings choose.

    The search is that of `from_search`: no choice touches it, so that one search serves all trials.
    """
    layout = f"enas{task.settings.enas_b.cells}"
    if home is None:
        return random_cells(task, home, layout)
    folder, search = _searched(task, home, _before_choices(task.settings))
    return from_file(task, folder / ARCHITECTURE, layout, EnasBMethod, search_seconds=search["seconds"])


def _before_choices(settings: Settings) -> Settings:
    """Return the settings with the profile's own values of what is chosen."""
    profile, values = load_settings(settings.profile).model_dump(), settings.model_dump()
    for section, name in (key.split(".") for key in ENAS_B_CHOICES):
        values[section][name] = profile[section][name]
    return Settings.model_validate(values)


def of_candidate(task: Task, home: Path, layout: str, share: float) -> NetworkMethod:
    """Return the network at `share` of the ranking of the task's own search: 0 is its best, 1 its last.

    The search is that of `from_search`; its result tells the place, counted from 1.
    """
    folder, search = _searched(task, home, task.settings)
    ranking = read_ranking(folder)
    place = round(share * (len(ranking) - 1))
    score, architecture = ranking[place]
    strategy = search["settings"]["search"]["strategy"]
    found = {"strategy": strategy, "place": place + 1, "of": len(ranking), "score": score}
    return NetworkMethod(
        task,
        _network(task, architecture, layout),
        search_seen=read_search_record(folder / ARCHITECTURE),
        facts={"candidate": found},
    )


def _searched(task: Task, home: Path, settings: Settings) -> tuple[Path, dict[str, Any]]:
    """Make the task's own search in `home`, or resume or wait for it; return its folder and record."""
    folder = below(home, home / SEARCHES[settings.search.strategy])
    search = run_search(
        task.data_path,
        out=folder,
        settings=settings,
        folds=task.folds or 5,
        fold=task.fold,
        seed=task.seed,
        nested=True,
    )
    return folder, search


def random_cells(task: Task, home: Path | None, layout: str) -> NetworkMethod:
    """Return a network of random cells, other ones in every fold, the same in every layout."""
    seeds = np.random.SeedSequence([task.seed, 0 if task.fold is None else 1 + task.fold])
    drawn = Architecture.random(int(seeds.generate_state(1)[0]), nodes=task.settings.search.nodes)
    return NetworkMethod(task, _network(task, drawn, layout))


def _network(task: Task, architecture: Architecture, layout: str) -> CellNetwork:
    settings = task.settings.retrain
    return CellNetwork(
        architecture=architecture.to_sample(),
        layout=layout,
        filters=settings.filters,
        stem_stride=settings.stem_stride,
        output_norm=settings.output_norm,
    )
