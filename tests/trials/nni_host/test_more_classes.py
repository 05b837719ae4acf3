"""Four ordered classes, from a folder to an exported model under NNI."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.exports import ask
from tests.helpers.images import rings
from trials.cli import main

SMALL = {
    **{"data.image_size": 24, "data.duplicates": "copies", "search.epochs": 1, "search.max_steps": 4},
    **{"search.controller_updates": 1, "search.controller_samples": 2, "search.final_samples": 2},
    **{"retrain.epochs": 2, "retrain.filters": 4, "search.filters": 4, "search.warmup_epochs": 0},
}
CLASSES = ["II", "III", "IV", "V"]


def study(home: Path, images: Path, settings: dict[str, object]) -> str:
    """Run a pipeline of one fold, a search and a retraining, under NNI."""
    config = home / "study.yml"
    text = (Path("nni_config") / "pipeline.yml").read_text(encoding="utf-8")
    text = text.replace("run_folds: 5", "run_folds: 1").replace(
        "layouts: [enas7, enas17]", "layouts: [enas7]"
    )
    text = text.replace("folds: 5", "folds: 3").replace("../strategies", str(Path("strategies").resolve()))
    text = text.replace("trialCodeDirectory: .", f"trialCodeDirectory: {home}")
    config.write_text(text, encoding="utf-8")
    given = [part for name, value in settings.items() for part in ("--set", f"{name}={json.dumps(value)}")]
    out = str(home / "out")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "trials.cli",
            "launch",
            str(config),
            "--data",
            str(images),
            "--out",
            out,
            *given,
        ],
        env={**os.environ, "HOME": str(home), "LESION_NAS_PROFILE": "quick"},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_a_study_goes_from_a_folder_to_an_exported_model(tmp_path: Path) -> None:
    images = rings(tmp_path / "images", CLASSES, 12)
    told = study(tmp_path, images, SMALL | {"data.ordered": CLASSES})
    model = tmp_path / "out" / "fold0" / "enas7"
    metrics = json.loads((model / "metrics.json").read_text())
    assert metrics["classes"] == CLASSES and metrics["positive"] is None
    assert list(metrics["test"]["per_class"]) == CLASSES
    assert "quadratic_kappa" in metrics["test"]
    assert f"auc_macro {metrics['test']['auc_macro']:.4g}" in told
    with (model / "predictions.csv").open(newline="") as stream:
        (first, *_) = csv.DictReader(stream)
    assert [name for name in first if name.startswith("probability:")] == [
        f"probability:{name}" for name in CLASSES
    ]
    exported = tmp_path / "exported"
    assert main(["export", str(model), "--out", str(exported)]) == 0
    (answer,) = ask(exported, images / first["file"]).answers
    for name in CLASSES:
        assert answer["probabilities"][name] == pytest.approx(float(first[f"probability:{name}"]), abs=1e-5)
    assert answer["called"] in CLASSES
    assert main(["report", str(tmp_path / "out"), "--out", str(tmp_path / "report")]) == 0
    assert "confusion" in (tmp_path / "report" / "report.html").read_text().casefold()
