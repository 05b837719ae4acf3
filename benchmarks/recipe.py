"""What each step of the `cpu` profile's recipe gives: python -m benchmarks.recipe DATA --out RUNS

The same random cells (`cells7`) are trained by the profile as it once was and with one change more at each
step, on the training folds of outer fold 0; the score is the AUC on their inner validation images, with its
interval by bootstrap over groups. No image of the outer fold is looked at, so that the recipe knows nothing
of that fold; it does know the others. What was tried besides stands below, as one change to the
last step. Resumes in RUNS; writes `results/recipe-NAME.csv`.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.measure import ROOT
from trials.contestants.protocol import PREDICTIONS, compete
from trials.contestants.registry import contestant
from trials.statistics.bootstrap import GroupBootstrap
from trials.statistics.measures import auc
from trials.task import Task

COLUMNS = ("step", "settings", "n", "groups", "auc", "low", "high", "seconds", "threads", "commit")

STEPS: tuple[tuple[str, dict[str, object]], ...] = (
    (
        "48x48 pixels, stem of stride 1, 12 filters, SGD, drop path 0.2",
        {
            "data.image_size": 48,
            "retrain.stem_stride": 1,
            "retrain.filters": 12,
            "retrain.optimizer": "sgd",
            "retrain.learning_rate": 0.03,
            "retrain.learning_rate_min": 0.0001,
            "retrain.weight_decay": 0.0004,
            "retrain.drop_path": 0.2,
            "retrain.mirror": False,
        },
    ),
    (
        "96x96 pixels, stem of stride 4, 24 filters",
        {"data.image_size": 96, "retrain.stem_stride": 4, "retrain.filters": 24},
    ),
    ("drop path 0.05", {"retrain.drop_path": 0.05}),
    (
        "AdamW",
        {
            "retrain.optimizer": "adamw",
            "retrain.learning_rate": 0.005,
            "retrain.learning_rate_min": 0.000005,
            "retrain.weight_decay": 0.05,
        },
    ),
    ("mean with the mirror image", {"retrain.mirror": True}),
)
BESIDES: tuple[tuple[str, dict[str, object]], ...] = (
    ("padded, not squashed", {"data.fit": "pad"}),
    ("64x64 pixels, 36 filters", {"data.image_size": 64, "retrain.filters": 36}),
    ("the paper's turns and ranks for augmentation", {"data.augmentation": "paper"}),
    ("twice the epochs", {"retrain.epochs": 80}),
)


def recipes() -> Iterator[tuple[str, dict[str, object]]]:
    """Yield name and overrides of every recipe: the steps, each on top of those before, then what else."""
    settings: dict[str, object] = {}
    for name, changes in STEPS:
        settings = settings | changes
        yield name, settings
    for name, changes in BESIDES:
        yield name, settings | changes


def measured(data: Path, out: Path, overrides: dict[str, object]) -> dict[str, object]:
    """Train by one recipe, or read what it gave; return its cells of the table."""
    entry = contestant("cells7")
    task = Task(data, entry.settings("cpu", overrides), folds=5, fold=0, tested=False)
    metrics = compete(task, entry.make(task, None), entry.title, out, "recipe")
    with (out / f"validation_{PREDICTIONS}").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    positive = np.array([row["label"] == metrics["positive"] for row in rows])
    groups = np.array([row["group"] for row in rows])
    interval = GroupBootstrap(positive, groups).interval(
        auc(positive, [float(row["probability"]) for row in rows])
    )
    return {
        "n": len(rows),
        "groups": len(np.unique(groups)),
        **{name: round(getattr(interval, name), 4) for name in ("low", "high")},
        "auc": round(interval.estimate, 4),
        **{name: metrics[name] for name in ("seconds", "threads", "commit")},
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("--out", type=Path, required=True, metavar="RUNS")
    arguments = parser.parse_args()
    table = ROOT / "results" / f"recipe-{arguments.data.name}.csv"
    rows = []
    for number, (name, overrides) in enumerate(recipes()):
        result = measured(arguments.data, arguments.out / f"recipe{number}", overrides)
        changed = " ".join(f"{key}={value}" for key, value in overrides.items())
        rows.append({"step": name, "settings": changed, **result})
        print(f"{name:64} {result['auc']:.4f} ({result['low']:.4f} to {result['high']:.4f})", flush=True)
        with table.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
