"""Literal run folders of a comparison, as its trials leave them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from scipy.special import logit

from search_space import Architecture, draw
from trials.evaluation.decisions import of_two
from trials.runs.folder import RunFolder
from trials.runs.predictions import SAID, Classes

WriteRun = Callable[..., Path]

# Fold 0: threshold 0.5, AUC 8/9, accuracy 5/6. Fold 1: AUC 1, accuracy 1. A group of two images in each.
IMAGES = {
    0: [("m1", 1), ("m1", 1), ("m2", 1), ("b1", 0), ("b2", 0), ("b3", 0)],
    1: [("m3", 1), ("m4", 1), ("m4", 1), ("b4", 0), ("b5", 0), ("b6", 0)],
}
GOOD = {0: [0.9, 0.8, 0.6, 0.7, 0.2, 0.1], 1: [0.8, 0.7, 0.9, 0.4, 0.1, 0.2]}
POOR = {0: [0.9, 0.4, 0.6, 0.7, 0.2, 0.45], 1: [0.8, 0.3, 0.9, 0.6, 0.1, 0.2]}
LEFT_OUT = [
    {"file": name, "label": label, "group": "7", "reason": "its group holds more than one label"}
    for name, label in (("x1.png", "benign"), ("x2.png", "malignant"))
]

TWO = Classes(("benign", "malignant"), "malignant")


def table(fold: int, probabilities: Sequence[float]) -> list[tuple[Any, ...]]:
    return [
        (f"{fold}-{index}.png", "malignant" if positive else "benign", group, fold, repr(p))
        for index, ((group, positive), p) in enumerate(zip(IMAGES[fold], probabilities, strict=True))
    ]


def write_run(
    folder: Path,
    method: str,
    fold: int | None,
    predictions: Sequence[tuple[Any, ...]],
    /,
    *,
    validation: Sequence[tuple[Any, ...]] = (),
    external: Sequence[tuple[Any, ...]] = (),
    external_name: str | None = None,
    architecture: Architecture | None = None,
    description: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Path:
    """Write a finished run; `changes` are values of `metrics.json` that differ, None leaving one out."""
    metrics = {
        "method": method,
        "label": method.upper(),
        "saw_other_data": False,
        "layout": None,
        "fold": fold,
        "folds": 2,
        "seed": 0,
        "profile": "cpu",
        "data": "lesions",
        "external": external_name,
        "data_digest": "d1",
        "positive": "malignant",
        "threshold": 0.5,
        "temperature": 2.0,
        "parameters": 1234567,
        "macs": 89,
        "seconds": 10.0 + (fold or 0),
        "threads": 1,
        "test": None,
        "versions": {"python": "3.11.0", "torch": "2.14.1"},
        "commit": "abc123",
        "device": "x86_64",
    } | changes
    with RunFolder(folder, {"of": method, "fold": fold, "seed": metrics["seed"]}) as run:
        run.write_json("metrics.json", {key: value for key, value in metrics.items() if value != "absent"})
        data = {"name": "lesions", "images": {"benign": 6, "malignant": 6}, "groups": 10, "notes": []}
        data |= {"group_source": "column duplicate_group", "left_out": LEFT_OUT, "folds": "folds.csv"}
        sample = architecture.to_sample() if architecture else None
        network = {"network": {"kind": "cells", "architecture": sample}} if sample else {}
        run.write_json("retrain.json", {"data": description or data, **network})
        run.write_csv("predictions.csv", ("file", "label", "group", "fold", *SAID), _with_odds(predictions))
        if validation:
            header = ("file", "label", "group", "fold", *SAID)
            run.write_csv("validation_predictions.csv", header, _with_odds(validation))
        if external:
            run.write_csv("external_predictions.csv", ("file", "label", "group", *SAID), _with_odds(external))
        if architecture:
            run.write_bytes("cells.svg", draw(architecture))
        run.finish()
    return folder


def _with_odds(rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Put log odds behind the probabilities, which stand last."""
    odds = [float(logit(float(row[-1]))) for row in rows]
    return [(*row[:-1], *cells) for row, cells in zip(rows, TWO.cells(of_two(odds, 1)), strict=True)]


def write_search(folder: Path, found: Architecture, fold: int, *, seed: int = 0) -> None:
    with RunFolder(folder, {"of": "search", "fold": fold, "seed": seed}) as run:
        run.write_text("architecture.json", found.to_json())
        history = [
            {"epoch": epoch, "reward": 0.5 + epoch / 10, "reward_best": 0.6, "entropy": 50.0 - epoch}
            for epoch in range(3)
        ]
        settings = {"search": {"strategy": "enas"}}
        record = {
            "score": 0.75,
            "metric": "val_acc",
            "scored": 9,
            "seconds": 60.0,
            "seed": seed,
            "fold": fold,
        }
        run.write_json("search.json", {**record, "settings": settings, "history": history})
        run.finish()


def write_comparison(out: Path) -> Path:
    """Write two folds of a searched network, its random control, a baseline and one that saw other data."""
    for fold in (0, 1):
        found = Architecture.random(fold)
        place = out / f"fold{fold}"
        write_run(place / "enas7", "enas7", fold, table(fold, GOOD[fold]), layout="enas7", architecture=found)
        write_run(place / "random", "random", fold, table(fold, POOR[fold]), layout="enas7")
        write_run(place / "hog", "hog", fold, table(fold, POOR[fold]), parameters=None, macs=None)
        write_run(place / "tuned", "tuned", fold, table(fold, GOOD[fold]), saw_other_data=True)
        write_search(place / "search", found, fold)
    return out
