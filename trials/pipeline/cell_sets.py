"""Sets of cells that decide together, chosen among the candidates that a search has ranked.

Neural ensemble search by random search, with forward selection, after Zaidi et al. (NeurIPS 2021, arXiv
2006.08573). They choose among networks each of which was trained; here the candidates speak with the search's
shared weights, of the validation images that ranked them, and those that are chosen are trained afterwards.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from trials.data.task import Task
from trials.errors import SettingsError
from trials.evaluation.selection import forward
from trials.methods.cells import Found
from trials.pipeline.found import read_ranked_predictions, read_ranking
from trials.runs.folder import read_json
from trials.runs.layout import RANKING, SEARCH_FILE


def choose_cells(task: Task, folder: Path, best: Found, count: int) -> list[Found]:
    """Return `count` candidates of the task's finished search in `folder`, as they were chosen.

    `best` is what the search has found; the chosen ones have its facts, and which places of the ranking, from
    1, they all have, and the log loss of the mean of the first, the first two, ... Those beyond the search's
    limit are left out. Raises ValueError for fewer candidates, and as the readers do.
    """
    split, ranking = task.split, read_ranking(folder)
    said = read_ranked_predictions(folder, split)
    limit = read_json(folder / SEARCH_FILE).get("limit")
    allowed = int(limit["feasible"]) if isinstance(limit, dict) else len(ranking)  # the first ones
    if allowed < count:
        within = " within the search's limit" if limit else ""
        raise SettingsError(
            f"{folder / RANKING}: {allowed} different architectures{within}, and {count} are to be chosen; "
            "search elsewhere with a higher search.final_samples"
        )
    labels = split.data.labels[split.validation]
    chosen = forward(said[:allowed], labels, count, positive=split.data.positive_index)
    places = [number + 1 for number in chosen.numbers]
    facts = {**best.facts, "set": {"places": places, "of": allowed, "losses": list(chosen.losses)}}
    return [replace(best, architecture=ranking[number][1], facts=facts) for number in chosen.numbers]
