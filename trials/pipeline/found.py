"""What a finished search has left: an architecture to train, and the ranking of all that were scored."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from search_space import Architecture
from search_space.enas.architecture import KINDS
from trials.data.leaks import read_search_record, refuse_overlap
from trials.data.task import Task
from trials.errors import DamagedError
from trials.methods.cells import Found
from trials.runs.folder import read, read_csv
from trials.runs.layout import RANKING


def read_found(task: Task, path: Path, **facts: Any) -> Found:
    """Read the architecture that a search, or whoever, left at `path`; `facts` go into a method's results.

    Raises ValueError for a file that is none, and `LeakError` where the search that wrote it has seen the
    task's test images.
    """
    architecture = Architecture.parse(read(path), path)
    record = read_search_record(path)
    split = task.split
    if record is not None and split.fold is not None:
        way_out = (
            f"search again with --folds {split.folds} --fold {split.fold}, or test the fold that it left out"
        )
        refuse_overlap(record, task.data, task.test, f"the search that found {path}", way_out)
    return Found(architecture, record, {**facts, "search_overlap": "unknown" if record is None else "none"})


def read_ranking(folder: Path) -> list[tuple[float, Architecture]]:
    """Read score and architecture of all that a finished search has scored, best first.

    Raises ValueError that names the file where there is none, or none of a ranking.
    """
    path = folder / RANKING
    try:
        rows = read_csv(path)
        arcs = [[[int(number) for number in row[kind].split()] for kind in KINDS] for row in rows]
        scores = [float(row["score"]) for row in rows]
        if lost := next((score for score in scores if not math.isfinite(score)), None):
            raise ValueError(f"a score is {lost}")
        return [(score, Architecture.from_fixed_arc(*arc)) for score, arc in zip(scores, arcs, strict=True)]
    except FileNotFoundError:
        raise ValueError(
            f"{path}: no such file, as searches of an older version wrote none; search again elsewhere"
        ) from None
    except DamagedError:
        raise
    except (KeyError, ValueError) as error:
        raise ValueError(
            f"{path}: no ranking of a search ({error}); search again into a new folder"
        ) from None
