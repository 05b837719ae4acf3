"""The names of the files and folders of runs, and where each lies; no other module spells them.

But `strategies.tuner`, which NNI loads by itself, names its stages as their folders; a test compares the two.

OUT/fold0/search/            a search                  OUT/fold0/enas7/    a trained and tested method
OUT/fold0/part0of3/enas7/    one training of a cross-fit, which OUT/fold0/enas7/ joins
OUT/fold0/search/finalists/  short trainings of a search's best
OUT/fold0/search-boosted/    a search of another space than cells
OUT/fold0/member0of5/METHOD/ one network of a set such as enas7_set5, which OUT/fold0/METHOD/ joins
OUT/fold0/tuning/CHOICES/    a trial of a tuning       OUT/evaluation/     the mean over folds
OUT/seed1/fold0/...          the same from seed 1      OUT/search/, ...    data without outer folds
OUT/final/enas7/             trained on all data
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

# Of every run: its identity, state and digests; who is writing; its progress outside NNI.
RUN_FILE, LOCK, TENSORBOARD = "run.json", ".lock", "tensorboard"
# Of a search.
SEARCH_FILE, ARCHITECTURE, CANDIDATES = "search.json", "architecture.json", "candidates.json"
SHARED_WEIGHTS = "shared.safetensors"
RANKING, RANKED_PREDICTIONS, LATENCIES = "ranking.csv", "ranking_predictions.npz", "latencies.json"
FINALISTS, FINALIST_FILE = "finalists", "finalist.json"  # a folder, and a file of each folder in it
# Of a trained method.
METRICS, RECORD, PREDICTIONS = "metrics.json", "retrain.json", "predictions.csv"
VALIDATION_PREDICTIONS, EXTERNAL_PREDICTIONS = f"validation_{PREDICTIONS}", f"external_{PREDICTIONS}"
MODEL_FILE, WEIGHTS, ONNX = "model.json", "model.safetensors", "model.onnx"
MEMBERS = "members"  # of an ensemble: a folder of whole models
# Of both.
CHECKPOINT, REFIT_CHECKPOINT = "last.ckpt", "refit.ckpt"
CELLS_SVG, CELLS_PNG = "cells.svg", "cells.png"
# Of an evaluation, of a report and of explanations.
EVALUATION_FILE, EVALUATION_TABLE, EVALUATION_TEXT = "evaluation.json", "evaluation.csv", "evaluation.txt"
REPORT_PAGE, RESULTS_TABLE, MEASURES_TABLE = "report.html", "results.csv", "measures.csv"
TESTS_TABLE, SEARCH_QUALITY_TABLE = "tests.csv", "search_quality.csv"
SEARCH_CONTROLS_TABLE = "search_controls.csv"
CLASS_MEASURES_TABLE, CONFUSION_TABLE = "class_measures.csv", "confusion.csv"
AGAINST_REST = "against_rest_"  # before the tables of one class of several against all others
FIGURES = "figures"  # the folder of the report's figures
METHODS_TEXT, CHECKLISTS_TABLE = "methods.txt", "checklists.csv"
MAPS = "maps.json"
# Of a published comparison.
PUBLISHED_RUNS, PUBLISHED_PREDICTIONS = "runs.jsonl.bz2", f"{PREDICTIONS}.bz2"
# Of an exported model, beside `WEIGHTS` and `ONNX`.
LOADER, NETWORK_CODE, PROGRAM = "load_model.py", "network.py", "model.pt2"
METADATA, CARD = "metadata.json", "README.md"
# Of a study.
PLAN_FILE, STUDY_CONFIG, STUDY_FILE = "plan.json", "study.yml", "study.json"

MODEL, TUNING, EVALUATION, FINAL = "model", "tuning", "evaluation", "final"  # folders
SEARCHES = {  # folders of searches for cells, by strategy
    "enas": "search",
    "random": "search-random",
    "evolution": "search-evolution",
    "local": "search-local",
}


def search_folder(space: str, strategy: str) -> str:
    """Return the folder of a search, in that of its fold."""
    kept = SEARCHES[strategy].removeprefix("search")
    return f"search{'' if space == 'cells' else f'-{space}'}{kept}"


def seed_folder(out: Path, seed: int) -> Path:
    """Return the folder of all runs from a seed: `out` itself for seed 0."""
    return out / f"seed{seed}" if seed else out


def fold_folder(root: Path, fold: int | None, variant: Iterable[str] = ()) -> Path:
    """Return the folder of all runs of an outer fold below that of their seed; None: the data have no folds.

    Runs with other settings than the profile's lie apart, by their `variant`.
    """
    return root / with_variant("" if fold is None else fold_name(fold), variant)


def fold_name(fold: int) -> str:
    """Return the name of an outer fold's folder."""
    return f"fold{fold}"


def part_folder(home: Path, part: int, parts: int) -> Path:
    """Return the folder of all trainings of a part of a cross-fit, in the folder of its fold."""
    return home / f"part{part}of{parts}"


def set_folder(home: Path, member: int, members: int) -> Path:
    """Return the folder of the trainings of one network of a set, in the folder of its fold or part."""
    return home / f"member{member}of{members}"


def tuning_folder(home: Path, variant: Iterable[str]) -> Path:
    """Return the folder of a tuning's trial in the folder of its fold."""
    return home / TUNING / with_variant("", variant)


def variant(overrides: Mapping[str, object]) -> list[str]:
    """Return settings by dotted name as parts of a folder's name, such as `retrain.epochs=3`."""
    return [f"{name}={_short(value)}" for name, value in sorted(overrides.items())]


def with_variant(name: str, variant: Iterable[str]) -> str:
    """Return the name of a folder with the settings that are not the profile's."""
    return "-".join(filter(None, [name, *variant]))


def candidate_name(layout: str, index: int) -> str:
    """Return the name, and the folder, of a search's candidate that is trained alone."""
    return f"{layout}-candidate{index}"


def finalist_folder(epochs: int, place: int) -> str:
    """Return where a search's finalist is trained for so many epochs, relative to the search."""
    return f"{FINALISTS}/{epochs}epochs-place{place}"


def member_folder(number: int) -> str:
    """Return where an ensemble's member lies, relative to the ensemble."""
    return f"{MEMBERS}/{number}"


def divergence_file(checkpoint: str) -> str:
    """Return the name of the file that says that the training with this checkpoint diverged at first."""
    return f"{Path(checkpoint).stem}-diverged.json"


def _short(value: object) -> str:
    """Return a setting's value as text, of a path its end; steps are inexact: 0.30000000000000004."""
    return f"{value:g}" if isinstance(value, float) else str(value).rstrip("/").rpartition("/")[2]
