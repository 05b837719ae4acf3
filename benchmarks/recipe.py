"""What each change of the `cpu` profile's recipe gives: python -m benchmarks.recipe DATA --out RUNS

One method, random cells (`cells7`) unless another is named, is trained by the profile and by the profile
with one change, on the training images of every outer fold; the score is the AUC on the fold's inner
validation images. No image of the outer fold is looked at by the models of that fold, so that a recipe may be
chosen by this. A pretrained network has changes of its own, those of fine-tuning, the most promising first.
Resumes in RUNS; writes `results/recipe-DATA-METHOD.csv` after every change: the mean and the standard
deviation over the folds, and those of its difference from the profile, which is paired by fold. Processes
share the work where each is given other folds (`--fold 0 1`, `--fold 2 3 4`); the command without `--fold`
then writes the table of all. Of one fold there is no table.
"""

from __future__ import annotations

import argparse
import csv
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import ROOT
from trials.data.load import load_data
from trials.data.split import Split
from trials.methods.registry import find_method
from trials.pipeline.train import run_train
from trials.settings.load import load_settings

FOLDS = 5
Changes = dict[str, dict[str, object]]
FROM_SCRATCH: Changes = {
    "the profile": {},
    "a learning rate of 0.005": {"retrain.learning_rate": 0.005, "retrain.learning_rate_min": 5e-6},
    "96x96 pixels": {"data.image_size": 96},
    "96x96 pixels and 16 filters, the same cost": {"data.image_size": 96, "retrain.filters": 16},
    "48x48 pixels and 32 filters, the same cost": {"data.image_size": 48, "retrain.filters": 32},
    "standardised by the training set alone": {"data.per_image": False},
    "mirroring alone for augmentation": {"data.augmentation_strength": 0},
    "twice the augmentation": {"data.augmentation_strength": 1},
    "the 8 poses of the square for augmentation": {"data.augmentation": "poses"},
    "padded, not stretched": {"data.fit": "pad"},
    "without the mirror image in use": {"retrain.mirror": False},
    "weight decay of 0.15": {"retrain.weight_decay": 0.15},
    "ENAS's schedule, which is left unannealed": {"retrain.schedule": "restarts"},
    "twice the epochs": {"retrain.epochs": 80},
    "24 epochs": {"retrain.epochs": 24},
    "32 images a step, 1.4 times the rate": {
        "retrain.batch_size": 32,
        "retrain.learning_rate": 0.0028,
        "retrain.learning_rate_min": 2.8e-6,
    },
    "64 images a step, twice the rate": {
        "retrain.batch_size": 64,
        "retrain.learning_rate": 0.004,
        "retrain.learning_rate_min": 4e-6,
    },
    "SGD": {
        "retrain.optimizer": "sgd",
        "retrain.learning_rate": 0.03,
        "retrain.learning_rate_min": 3e-5,
        "retrain.weight_decay": 5e-4,
    },
}


FINE_TUNING: Changes = {
    "the profile": {},
    "no class weights": {"data.class_balance": "none"},
    "label smoothing of 0.1": {"retrain.label_smoothing": 0.1},
    "a moving average of the weights": {"retrain.average": "ema"},
    "no class weights, smoothing and average": {
        "data.class_balance": "none",
        "retrain.label_smoothing": 0.1,
        "retrain.average": "ema",
    },
    "each layer at 0.75 of the next one's rate": {"retrain.layer_decay": 0.75},
    "the classifier alone for 2 epochs": {"retrain.freeze_epochs": 2},
    "half the epochs": {"retrain.epochs": 6},
    "96x96 pixels": {"data.image_size": 96},
    "twice the augmentation": {"data.augmentation_strength": 1},
    "160x160 pixels": {"data.image_size": 160},
    "twice the epochs": {"retrain.epochs": 24},
}


def changes_of(method: str) -> Changes:
    """Return the changes that a method is trained with, by what they are called; the first is none."""
    entry = find_method(method)
    return FINE_TUNING if entry.title.saw_other_data and not entry.frozen else FROM_SCRATCH


def chosen(changes: Changes, names: Sequence[str] | None) -> Changes:
    """Return the changes of these names after none, or all; ends the program for a name of none."""
    if names is None:
        return changes
    if unknown := [name for name in names if name not in changes]:
        raise SystemExit(f"--change {unknown[0]}: expected {', '.join(changes)}")
    return {change: changes[change] for change in dict.fromkeys([next(iter(changes)), *names])}


def measured(
    data: Path, method: str, out: Path, overrides: dict[str, object], folds: Sequence[int]
) -> list[dict[str, Any]]:
    """Train in these folds by one recipe, or read what it gave; return the folds' metrics."""
    settings = load_settings("cpu", overrides)
    lesions = load_data(data, settings)
    found = []
    for fold in folds:
        split = Split.of(lesions, settings, folds=FOLDS, fold=fold)
        found.append(run_train(split, settings, method, out / f"fold{fold}" / method, tested=False))
        print(f"{out.name}, fold {fold}: {found[-1]['validation']['auc']:.4f}", flush=True)
    return found


def summary(
    change: str, overrides: dict[str, object], method: str, folds: list[dict[str, Any]], gains: np.ndarray
) -> dict[str, Any]:
    """Return a change's row of the table, from the metrics and the `gains` in AUC of the folds."""
    areas = np.array([one["validation"]["auc"] for one in folds])
    return {
        "change": change,
        "settings": " ".join(f"{key}={value}" for key, value in overrides.items()),
        "method": method,
        "folds": len(folds),
        "n": sum(one["validation"]["n"] for one in folds),
        "auc": round(areas.mean(), 4),
        "auc_sd": round(areas.std(ddof=1), 4),
        "gain": round(gains.mean(), 4),
        "gain_sd": round(gains.std(ddof=1), 4),
        "seconds": round(sum(one["seconds"] for one in folds)),
        **{key: folds[0][key] for key in ("device", "threads", "commit")},
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("--out", type=Path, required=True, metavar="RUNS")
    parser.add_argument("--method", default="cells7", help="who is trained (default: cells7)")
    parser.add_argument(
        "--fold", type=int, nargs="+", choices=range(FOLDS), default=range(FOLDS), help="in these folds alone"
    )
    parser.add_argument(
        "--change", nargs="+", metavar="NAME", help="by these changes alone, as the table calls them"
    )
    arguments = parser.parse_args()
    name = find_method(arguments.method).title.name
    table = ROOT / "results" / f"recipe-{arguments.data.name}-{name}.csv"
    rows: list[dict[str, object]] = []
    profile = np.empty(0)
    for change, overrides in chosen(changes_of(name), arguments.change).items():
        place = arguments.out / re.sub(r"\W+", "-", change)
        folds = measured(arguments.data, name, place, overrides, arguments.fold)
        if len(folds) < 2:
            continue
        areas = np.array([one["validation"]["auc"] for one in folds])
        profile = profile if rows else areas
        row = summary(change, overrides, name, folds, areas - profile)
        rows.append(row)
        print(f"{change:44} {row['auc']:.4f} ± {row['auc_sd']:.4f}  gain {row['gain']:+.4f}", flush=True)
        with table.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, list(row))
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
