"""What a search leaves, written and read: its best architecture, its candidates, ranking and record."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from search_space import Architecture, draw
from search_space.enas.architecture import KINDS
from strategies.ranking import Candidate
from trials.data.leaks import read_search_record, refuse_overlap
from trials.data.split import Split, digest
from trials.data.task import Task
from trials.errors import DamagedError
from trials.evaluation.rankings import reliabilities
from trials.methods.cells import SPACES, Found
from trials.models.onnx import export_onnx, image_inputs
from trials.models.shared_weights import LEARNED_FROM, save_shared_weights
from trials.nni_host.paths import network_view_file
from trials.runs.folder import RunFolder, read, read_csv
from trials.runs.layout import (
    ARCHITECTURE,
    CANDIDATES,
    CELLS_PNG,
    CELLS_SVG,
    CHECKPOINT,
    RANKED_PREDICTIONS,
    RANKING,
    SEARCH_FILE,
)
from trials.runs.provenance import provenance
from trials.runs.reporter import Reporter
from trials.training.divergence import divergences

if TYPE_CHECKING:
    from trials.pipeline.search import Search

_AGAIN = "search again into a new folder"


def write_results(search: Search, folder: RunFolder, reporter: Reporter, seconds: float) -> None:
    """Write what a search has found in so many seconds, the record last."""
    scored, limited = search.found.candidates, search.limited is not None
    best = search.architecture(_chosen(search).sample)
    if isinstance(best, Architecture):
        folder.write_bytes(CELLS_SVG, draw(best, "svg"))
        folder.write_bytes(CELLS_PNG, draw(best, "png"))
        reporter.picture("cells", folder.path / CELLS_PNG)
    if view := network_view_file():
        _export_view(search, best.to_sample(), view)
    folder.write_text(ARCHITECTURE, best.to_json())
    top = scored[: search.settings.search.top_k]
    folder.write_json(CANDIDATES, [_candidate(one, limited) for one in top])
    rows = [_row(search, one) for one in scored]
    folder.write_csv(RANKING, tuple(rows[0]), (tuple(row.values()) for row in rows))
    said = _said(search, scored)
    folder.write_bytes(RANKED_PREDICTIONS, _npz(files=_files(search.split), log_probabilities=said))
    if isinstance(best, Architecture):  # others have no use for them
        save_shared_weights(folder, search.found.supernet)
    folder.write_json(SEARCH_FILE, _record(search, folder.path, seconds, said))


def _record(search: Search, folder: Path, seconds: float, said: np.ndarray) -> dict[str, Any]:
    scored, module = search.found.candidates, search.found.oneshot_module
    chosen = _chosen(search)
    return {
        "score": chosen.score,
        "metric": chosen.metric,
        "scored": len(scored),
        "reliability": _reliability(search, said),
        **({"finalists": search.choice.to_dict()} if search.choice else {}),
        "history": module.history,
        "seconds": round(seconds, 3),
        "warnings": [
            *divergences(folder, CHECKPOINT),
            *_unscored(module.unscored),
            *(search.choice.warnings if search.choice else ()),
        ],
        **search.identity,
        **_limit(search, scored),
        **({"saw_other_data": True} if search.settings.search.space == "boosted" else {}),
        "data": search.split.describe(),
        "data_digest": search.data.digest,
        LEARNED_FROM: digest(search.split.training),
        "seen": search.split.seen | ({"seen_before": [search.start.seen]} if search.start else {}),
        **provenance(),
    }


def _said(search: Search, scored: Sequence[Candidate]) -> np.ndarray:
    """Return log probabilities [candidates, images, classes] of the validation images, in their order."""
    logits = torch.stack([one.outputs for one in scored if one.outputs is not None]).float()
    said = torch.empty_like(logits)
    said[:, search.validation.order] = logits.log_softmax(2)
    return said.numpy()


def _npz(**arrays: np.ndarray) -> bytes:
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)  # type: ignore[arg-type]
    return content.getvalue()


def _reliability(search: Search, said: np.ndarray) -> dict[str, Any]:
    """Return by which measure the ranking was made, and how well it repeats itself by this and by others.

    The error of a reward is that of its images.
    """
    chosen, images = search.split.validation, search.reward_images
    groups = np.asarray(search.data.groups)[chosen]
    found = reliabilities(said, search.data.labels[chosen], groups, seed=search.seed)
    return {
        "measure": search.settings.search.reward,
        "images": len(chosen),
        "reward_images": images,
        **{
            name: {
                "halves": one.halves,
                "reliability": one.reliability,
                "tau_ceiling": one.tau_ceiling,
                "reward_error": one.error_on(images),
            }
            for name, one in found.items()
        },
    }


def _files(split: Split) -> np.ndarray:
    return np.array([split.data.files[index] for index in split.validation], dtype=str)


def _chosen(search: Search) -> Candidate:
    """Return what the search has found: the last finalist left, or the ranking's best."""
    return search.found.candidates[search.choice.place - 1 if search.choice else 0]


def _unscored(count: int) -> Iterable[str]:
    if count:
        yield f"{count} architectures of the final ranking had no finite score and are left out"


def _candidate(one: Candidate, limited: bool) -> dict[str, Any]:
    return {"architecture": one.sample, "score": one.score, "metric": one.metric, **_price(one, limited)}


def _row(search: Search, one: Candidate) -> dict[str, Any]:
    price = _price(one, search.limited is not None)
    return {"score": repr(one.score), **search.architecture(one.sample).row, **price}


def _price(one: Candidate, limited: bool) -> dict[str, Any]:
    """Return the candidate's cost and whether it is feasible, where the search has a limit."""
    return {"cost": one.cost, "feasible": one.feasible} if limited else {}


def _limit(search: Search, scored: list[Candidate]) -> dict[str, Any]:
    """Return the search's limit, if it has one: the best architecture's cost, and how many are feasible."""
    if search.limited is None:
        return {}
    feasible = sum(one.feasible for one in scored)
    chosen = _chosen(search)
    limit = {**search.limited.identity, "cost": chosen.cost, "feasible": feasible}
    if search.latencies:  # a sum of layers; beside it what the whole network takes
        whole = search.limited.measure(Architecture.from_sample(chosen.sample))
        limit |= {"measured_milliseconds": whole, "threads": search.latencies.threads}
    return {"limit": limit}


def _export_view(search: Search, best: Mapping[str, Any], path: Path) -> None:
    """Write the best architecture, a sample, with fresh weights, for the web UI's network view."""
    network = search.space().freeze(best)
    shape = (search.settings.data.channels, search.side, search.side)
    export_onnx(network, image_inputs(shape), path)


def read_found(task: Task, path: Path, **facts: Any) -> Found:
    """Read the architecture that a search, or whoever, left at `path`; `facts` go into a method's results.

    Raises ValueError for a file that is none, and `LeakError` where the search that wrote it has seen the
    task's test images.
    """
    architecture = SPACES[task.settings.search.space].parse(read(path), path)
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
        raise ValueError(f"{path}: no ranking of a search ({error}); {_AGAIN}") from None


def read_ranked_predictions(folder: Path, split: Split) -> np.ndarray:
    """Read what all that a finished search on `split` has scored said of its validation images.

    Returns log probabilities by the shared weights, float32 [candidates, images, classes], the candidates as
    in the ranking, the images as in the split. Raises ValueError that names the file where there is none, or
    none that fits ranking and split.
    """
    path = folder / RANKED_PREDICTIONS
    shape = len(read_ranking(folder)), len(split.validation), len(split.data.classes)
    try:
        with np.load(io.BytesIO(read(path)), allow_pickle=False) as stored:
            files, said = stored["files"], stored["log_probabilities"]
    except FileNotFoundError:
        raise ValueError(
            f"{path}: no such file, as searches of an older version wrote none; search again elsewhere"
        ) from None
    except DamagedError:
        raise
    except Exception as error:  # damaged archives raise nearly anything
        raise ValueError(f"{path}: no predictions of a search ({error}); {_AGAIN}") from None
    if said.dtype != np.float32 or said.shape != shape:
        raise ValueError(f"{path}: {said.dtype} {said.shape}, expected float32 {shape}; {_AGAIN}")
    if not np.array_equal(files, _files(split)):
        raise ValueError(f"{path}: predictions of other images than the split's {shape[1]}; {_AGAIN}")
    if not np.allclose(np.exp(said).sum(2), 1, atol=1e-4):
        raise ValueError(f"{path}: probabilities whose sum is not 1; {_AGAIN}")
    return said
