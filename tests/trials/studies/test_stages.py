"""The stages of a study, one after the other in one process: from images to a final model and a report."""

from __future__ import annotations

import json
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from strategies.tuner import StudyTuner, name
from trials.inference.predict import run_predict
from trials.inference.predict import text as predict_text
from trials.models.model_file import study_figures
from trials.runs.predictions import classes_of, read_predictions
from trials.stage import run_stage

METHODS = ["hog", "hog_cells_mirrored"]


@pytest.fixture(scope="module")
def out(lesions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("study")
    tuner = StudyTuner(METHODS, folds=2, parts=2)
    waiting: deque[tuple[int, dict[str, Any]]] = deque()

    def later(parameter_id: int, stage: dict[str, Any]) -> None:
        waiting.append((parameter_id, stage))

    done: list[str] = []
    numbers = iter(range(1000))
    while True:
        number = next(numbers)
        waiting += zip(
            [number], tuner.generate_multiple_parameters([number], st_callback=later), strict=False
        )
        if not waiting:
            break
        parameter_id, stage = waiting.popleft()
        run_stage(stage, lesions, out, "quick")
        done.append(name(stage))
        tuner.receive_trial_result(parameter_id, stage, {"default": 0.5})
        tuner.trial_end(parameter_id, success=True)
    assert len(done) == len(set(done)) == 3 * (2 * 3 + 1) + 1 and done[-1] == "report"
    return out


def test_the_final_model_predicts_and_is_exported(out: Path, lesions: Path) -> None:
    told = json.loads((out / "study.json").read_text())
    assert told["model"] == "final/ensemble" and told["exported"] == str(out / "model")
    assert told["left_out"] == [] and "ensemble" in told["figures"][0]
    image = min(lesions.rglob("*.png"))
    table = out / "boxes.csv"
    table.write_text(f"file,width,height,ratio\n{image},40,30,1.3333\n")
    asked = run_predict(out, image, covariates=table)
    assert 0 < asked["predictions"][0]["probability"] < 1
    assert asked["to_expect"] == told["figures"] and told["figures"][0] in predict_text(asked)
    assert told["figures"][0] in (out / "model/README.md").read_text()
    assert study_figures(out / told["model"]) == told["figures"] and study_figures(out / "fold0/hog") == []
    assert {"model.onnx", "load_model.py", "README.md"} <= {file.name for file in (out / "model").iterdir()}


def test_no_test_image_has_been_learned_from(out: Path) -> None:
    for fold in range(2):
        folder = out / f"fold{fold}/ensemble"
        classes = classes_of(json.loads((folder / "metrics.json").read_text()))
        tested = read_predictions(folder / "predictions.csv", classes)
        chosen = read_predictions(folder / "validation_predictions.csv", classes)
        assert not np.isin(tested.files, chosen.files).any()
        assert not np.isin(tested.groups, chosen.groups).any()


def test_the_report_is_of_the_folds_alone(out: Path) -> None:
    page = (out / "report/report.html").read_text()
    assert "Ensemble in the test" in page and "chosen without these images" in page
    rows = (out / "report/results.csv").read_text().splitlines()
    assert sorted(row.split(",")[0] for row in rows[1:]) == sorted([*METHODS, "ensemble"])
