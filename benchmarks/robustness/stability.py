"""Which remedy keeps training from diverging: python -m benchmarks.robustness.stability --out RUNS

Architectures of all kinds, some of growing activations among them, are trained on synthetic lesions with each
remedy, by the recipes of three profiles. The `paper` recipe has 8 filters and images of 32x32 here, and 60
steps, as 36 filters at 100x100 take hours on two cores; `cpu` has 60 steps too. What counts is the largest
mean loss of an epoch (a guess has 0.69) and the AUC on validation images at the end. Resumes in RUNS; writes
`results/stability.csv`: a row for each profile, layout, remedy and kind of architecture.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from nni.nas.space import model_context
from torch import Tensor, nn

from benchmarks.measure import ROOT
from search_space import Architecture, EnasSpace
from search_space.enas.final_network import FinalCell
from strategies.divergence import DivergedError
from trials.data.inputs import Inputs
from trials.data.phantoms import make_phantoms
from trials.data.split import Split
from trials.settings.load import load_settings
from trials.settings.schema import Settings
from trials.training.divergence import CLIP
from trials.training.module import LesionModule
from trials.training.seeding import seed_everything
from trials.training.trainer import make_trainer

TABLE = "stability.csv"
LAYOUTS = ("enas7", "enas17")
REMEDIES = ("none", "clip", "sums", "norm")
RECIPES: dict[str, dict[str, object]] = {
    "quick": {},
    "cpu": {"retrain.max_steps": 60},
    "paper": {  # without its copies of images, of which 60 steps would be less than an epoch
        "retrain.max_steps": 60,
        "retrain.filters": 8,
        "data.image_size": 32,
        "data.expand": False,
        "data.validation_fraction": 0.2,
    },
}
PUBLISHED = {  # with which the published numbers of parameters come out, and ENAS's own for CIFAR-10
    "poster": "0 0 1 0 0 0 1 0 0 1 1 1 0 1 1 1 2 2 1 4 / 0 0 1 0 0 0 1 0 0 1 1 1 0 4 1 2 2 3 1 3",
    "cifar": "0 2 0 0 0 4 0 1 0 4 1 1 1 0 0 1 0 2 1 1 / 1 0 1 0 0 3 0 2 1 1 3 1 1 0 0 4 0 3 1 1",
}
GROWING = (210, 66, 206, 38, 255, 231, 149, 201, 74, 99)  # seeds, of 300, that grow by 2.2 or more
RANDOM = tuple(range(12))


class ScaledCell(FinalCell):
    """A cell whose sums are divided by the square root of 2."""

    def forward(self, before_last: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
        states = [self.enter_before_last(before_last), self.enter_last(last)]
        slots = iter(self.slots)
        for first, second in self.nodes:
            both = next(slots)(states[first.input]) + next(slots)(states[second.input])
            states.append(both / math.sqrt(2))
        ends = [end(states[state]) for state, end in zip(self.loose_ends, self.ends, strict=True)]
        return last, torch.cat(ends, dim=1)


class Curve(pl.Callback):
    """Keeps the losses and the area of every epoch."""

    def __init__(self) -> None:
        self.epochs: list[dict[str, float]] = []

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.epochs.append({name: float(value) for name, value in trainer.callback_metrics.items()})


def architectures(found: Sequence[Path]) -> Iterator[tuple[str, str, Architecture]]:
    """Yield kind, name and architecture: found by searches, published, growing, random."""
    different = {path.read_bytes(): path for path in reversed(found)}  # searches may find the same cells
    for path in reversed(different.values()):
        yield "found", path.parent.name, Architecture.load(path)
    for name, text in PUBLISHED.items():
        cells = [[int(number) for number in cell.split()] for cell in text.split("/")]
        yield "published", name, Architecture.from_fixed_arc(*cells)
    for kind, seeds in (("growing", GROWING), ("random", RANDOM)):
        for seed in seeds:
            yield kind, str(seed), Architecture.random(seed)


def network(architecture: Architecture, layout: str, settings: Settings, remedy: str) -> nn.Module:
    """Build the final network with a remedy that lies in the network."""
    options = settings.retrain
    seed_everything(0)
    with model_context(architecture.to_sample()):
        built: nn.Module = EnasSpace(
            layout,
            filters=options.filters,
            channels=settings.data.channels,
            image_size=settings.data.image_size,
            stem_stride=options.stem_stride,
            dropout=options.dropout,
            drop_path=options.drop_path,
            output_norm="norm" in remedy,
        )
    if "sums" in remedy:
        for cell in built.modules():
            if isinstance(cell, FinalCell):
                cell.__class__ = ScaledCell
    return built


def trained(
    architecture: Architecture, layout: str, settings: Settings, remedy: str, data: Path, out: Path
) -> dict[str, Any]:
    """Train one network; return the largest mean loss of an epoch and the validation AUC at the end."""
    split = Split.load(data, settings, folds=3, fold=0)
    inputs = Inputs(split.data, settings.data, split.training)
    module = LesionModule(settings.retrain, class_weights=inputs.class_weights)
    module.set_model(network(architecture, layout, settings, remedy))
    curve = Curve()
    trainer = make_trainer(settings.retrain, out / "last.ckpt", 0, curve)
    trainer.callbacks = [one for one in trainer.callbacks if type(one).__name__ in ("SeedEachEpoch", "Curve")]
    trainer.gradient_clip_val = CLIP if remedy == "clip" else None
    try:
        trainer.fit(module, inputs.training(settings.retrain.batch_size, 0), inputs.plain(split.validation))
    except DivergedError:  # at the first logits that are not finite
        return dict.fromkeys(("largest_loss", "largest_validation_loss", "late_validation_loss", "auc"))
    training, validation = ([epoch[name] for epoch in curve.epochs] for name in ("train_loss", "val_loss"))
    return {
        "largest_loss": max(training),
        "largest_validation_loss": max(validation),
        "late_validation_loss": max(validation[len(validation) // 2 :]),
        "auc": curve.epochs[-1]["val_auc"],
    }


def rows(records: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the table: for each profile, layout, remedy and kind, how many diverge, losses and areas."""
    keys = sorted({(r["profile"], r["layout"], r["remedy"], r["kind"]) for r in records})
    for profile, layout, remedy, kind in keys:
        group = [
            r
            for r in records
            if (r["profile"], r["layout"], r["remedy"], r["kind"]) == (profile, layout, remedy, kind)
        ]
        areas = [r["auc"] for r in group if r["auc"] is not None]
        losses = [r["largest_loss"] if r["largest_loss"] is not None else math.inf for r in group]
        yield {
            "profile": profile,
            "layout": layout,
            "remedy": remedy,
            "kind": kind,
            "architectures": len(group),
            "not finite": sum(r["auc"] is None for r in group),
            "loss above 2": sum(2 < loss < math.inf for loss in losses),
            "median largest loss": f"{np.median(losses):.3g}",
            "largest loss": f"{max(losses):.3g}",
            "mean AUC": round(float(np.mean(areas)), 4) if areas else None,
            "lowest AUC": round(min(areas), 4) if areas else None,
        }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, metavar="RUNS")
    parser.add_argument("--found", type=Path, nargs="*", default=[], help="architecture.json of searches")
    parser.add_argument("--profiles", nargs="*", default=list(RECIPES))
    parser.add_argument("--layouts", nargs="*", default=list(LAYOUTS))
    parser.add_argument("--remedies", nargs="*", default=list(REMEDIES))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    data = arguments.out / "synthetic_phantoms"
    if not data.exists():
        make_phantoms(data, 240)
    log = arguments.out / "records.jsonl"
    records = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    done = {(r["profile"], r["layout"], r["remedy"], r["kind"], r["name"]) for r in records}
    for profile in arguments.profiles:
        settings = load_settings(profile, RECIPES[profile])
        for layout in arguments.layouts:
            for remedy in arguments.remedies:
                for kind, name, architecture in architectures(arguments.found):
                    key = (profile, layout, remedy, kind, name)
                    if key in done:
                        continue
                    result = trained(architecture, layout, settings, remedy, data, arguments.out)
                    records.append(
                        dict(zip(("profile", "layout", "remedy", "kind", "name"), key, strict=True)) | result
                    )
                    with log.open("a") as stream:
                        stream.write(json.dumps(records[-1], allow_nan=False) + "\n")
                    print(*key, result, flush=True)
    with (ROOT / "results" / TABLE).open("w", encoding="utf-8", newline="") as stream:
        table = list(rows(records))
        writer = csv.DictWriter(stream, list(table[0]))
        writer.writeheader()
        writer.writerows(table)


if __name__ == "__main__":
    main()
