"""Literal run folders of a comparison, as its trials leave them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import logit

from search_space import Architecture, draw
from trials.evaluation.decisions import of_two
from trials.runs.folder import RunFolder
from trials.runs.predictions import Classes

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

# Three classes, the likeliest called. Of the good ones each fold has a mistake: one malignant image is called
# benign, one benign image malignant. The poor ones call two normal images benign too.
THREE = Classes(("benign", "malignant", "normal"), None)
THREE_IMAGES = {
    0: [("b1", 0), ("b2", 0), ("m1", 1), ("m1", 1), ("n1", 2), ("n2", 2)],
    1: [("b3", 0), ("b4", 0), ("m2", 1), ("m3", 1), ("n3", 2), ("n4", 2)],
}
GOOD_OF_THREE = {
    0: [
        *([0.7, 0.2, 0.1], [0.5, 0.3, 0.2], [0.2, 0.6, 0.2]),
        *([0.45, 0.4, 0.15], [0.1, 0.1, 0.8], [0.3, 0.1, 0.6]),
    ],
    1: [
        *([0.6, 0.3, 0.1], [0.25, 0.45, 0.3], [0.3, 0.6, 0.1]),
        *([0.1, 0.8, 0.1], [0.2, 0.2, 0.6], [0.35, 0.2, 0.45]),
    ],
}
POOR_OF_THREE = {
    0: [*GOOD_OF_THREE[0][:4], [0.62, 0.2, 0.18], GOOD_OF_THREE[0][5]],
    1: [*GOOD_OF_THREE[1][:4], [0.52, 0.3, 0.18], GOOD_OF_THREE[1][5]],
}


def table(fold: int, probabilities: Sequence[float]) -> list[tuple[Any, ...]]:
    return [
        (f"{fold}-{index}.png", "malignant" if positive else "benign", group, fold, repr(p))
        for index, ((group, positive), p) in enumerate(zip(IMAGES[fold], probabilities, strict=True))
    ]


def table_of_three(fold: int, probabilities: Sequence[Sequence[float]]) -> list[tuple[Any, ...]]:
    return [
        (f"{fold}-{index}.png", THREE.names[label], group, fold, *map(repr, row))
        for index, ((group, label), row) in enumerate(zip(THREE_IMAGES[fold], probabilities, strict=True))
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
    classes: Classes = TWO,
    settings: Mapping[str, Any] | None = None,
    predictors: Sequence[str] | None = None,
    **changes: Any,
) -> Path:
    """Write a finished run; `changes` are values of `metrics.json` that differ, None leaving one out.

    The probabilities of `classes`, of two of them of the positive one, stand last in a row of predictions.
    """
    of_classes = {} if classes is TWO else {"classes": classes.names, "threshold": None, "decision": "argmax"}
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
        "positive": classes.positive,
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
    }
    metrics |= of_classes | changes
    with RunFolder(folder, {"of": method, "fold": fold, "seed": metrics["seed"]}) as run:
        run.write_json("metrics.json", {key: value for key, value in metrics.items() if value != "absent"})
        data = {"name": "lesions", "images": {"benign": 6, "malignant": 6}, "groups": 10, "notes": []}
        data |= {"group_source": "column duplicate_group", "left_out": LEFT_OUT, "folds": "folds.csv"}
        sample = architecture.to_sample() if architecture else None
        network = {"network": {"kind": "cells", "architecture": sample}} if sample else {}
        recorded: dict[str, Any] = {"settings": settings} if settings else {}
        recorded |= {"predictors": predictors} if predictors else {}
        run.write_json("retrain.json", {"data": description or data, **network, **recorded})
        header = ("file", "label", "group", "fold", *classes.columns)
        run.write_csv("predictions.csv", header, _cells(predictions, classes))
        if validation:
            run.write_csv("validation_predictions.csv", header, _cells(validation, classes))
        if external:
            header = ("file", "label", "group", *classes.columns)
            run.write_csv("external_predictions.csv", header, _cells(external, classes))
        if architecture:
            run.write_bytes("cells.svg", draw(architecture))
        run.finish()
    return folder


def _cells(rows: Sequence[tuple[Any, ...]], classes: Classes) -> list[tuple[Any, ...]]:
    """Return rows with the cells of `classes` in place of the probabilities, which stand last."""
    k = 1 if classes.are_two else len(classes.names)
    given = np.array([[float(cell) for cell in row[-k:]] for row in rows]).reshape(-1, k)
    logits = of_two(logit(given[:, 0]), 1) if classes.are_two else np.log(given)
    return [(*row[:-k], *cells) for row, cells in zip(rows, classes.cells(logits), strict=True)]


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


def write_comparison_of_three(out: Path, classes: Classes = THREE, **changes: Any) -> Path:
    """Write two folds of a searched network, a baseline and one that saw other data, of three classes."""
    described = {"name": "lesions", "images": dict.fromkeys(classes.names, 4), "groups": 11, "notes": []}
    described |= {"group_source": "column patient", "left_out": [], "folds": "folds.csv"}
    for fold in (0, 1):
        good, poor = (table_of_three(fold, said[fold]) for said in (GOOD_OF_THREE, POOR_OF_THREE))
        place, shared = out / f"fold{fold}", {"classes": classes, "description": described, **changes}
        found = Architecture.random(fold)
        write_run(place / "enas7", "enas7", fold, good, layout="enas7", architecture=found, **shared)
        write_run(place / "hog", "hog", fold, poor, parameters=None, macs=None, **shared)
        write_run(place / "tuned", "tuned", fold, good, saw_other_data=True, **shared)
    return out
