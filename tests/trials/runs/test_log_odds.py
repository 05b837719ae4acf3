"""Log odds from the network to every figure, and no number that is not finite on the way."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from safetensors.numpy import load_file, save_file

from trials.cli import main
from trials.errors import ModelError, PredictionsError
from trials.evaluation.calibration import apply_temperature
from trials.evaluation.decisions import of_two
from trials.evaluation.metrics import fit_temperature, score
from trials.export.export import run_export
from trials.inference.predict import run_predict
from trials.models.model_file import load_model
from trials.models.network import save_network
from trials.runs.folder import RunFolder
from trials.runs.predictions import Classes, read_predictions

TWO = Classes(("benign", "malignant"), "malignant")
COLUMNS = ("file", "label", "group", "fold", *TWO.columns)


@pytest.fixture
def steep(finished: tuple[Path, Path], tmp_path: Path) -> Path:
    """A model whose logits are so large that the probabilities of images tie at 0 and 1."""
    return alone(finished[0], tmp_path / "steep", lambda weights: {
        name: tensor * 20_000 if name == "classifier.weight" else tensor for name, tensor in weights.items()
    })  # fmt: skip


def alone(run: Path, out: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Path:
    """Copy a run's model without what vouches for it, its weights changed."""
    out.mkdir()
    shutil.copy(run / "model.json", out)
    save_file(change(load_file(run / "model.safetensors")), out / "model.safetensors")
    return out


def pictures() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (12, 24, 24, 3), dtype=np.uint8)


def test_what_is_exported_is_calibrated_as_the_report_is(steep: Path, tmp_path: Path) -> None:
    images, truth = pictures(), np.arange(12) % 3 == 0
    model = load_model(steep)
    odds = model.log_odds(list(images))
    assert np.abs(odds).max() > 20 and np.ptp(odds) > 1
    temperature = fit_temperature(truth, odds)
    frozen = model.description.model_copy(update={"temperature": temperature})
    save_network(steep, model.network, frozen)
    run_export(steep, tmp_path / "out")
    session = onnxruntime.InferenceSession(tmp_path / "out" / "model.onnx")
    _, calibrated, given = session.run(None, {"images": images.transpose(0, 3, 1, 2).copy()})
    assert given == pytest.approx(odds, rel=1e-3)
    expected = write(tmp_path / "predictions.csv", odds)
    expected = apply_temperature(expected.log_odds, temperature)
    assert calibrated == pytest.approx(expected, abs=1e-3)
    assert np.ptp(expected) > 0.01  # not all the same


def write(path: Path, odds: np.ndarray) -> Any:
    """Write log odds as a run does, and read them as the report does."""
    with RunFolder(path.parent / "table", {}) as folder:
        rows = [(f"{i}.png", "benign", i, 0, *cells) for i, cells in enumerate(TWO.cells(of_two(odds, 1)))]
        folder.write_csv(path.name, COLUMNS, rows)
    return read_predictions(path.parent / "table" / path.name, TWO)


def test_images_whose_probabilities_are_all_one_are_told_apart_by_predict(
    steep: Path, tmp_path: Path
) -> None:
    from PIL import Image

    files = [tmp_path / f"{index}.png" for index in range(12)]
    for file, picture in zip(files, pictures(), strict=True):
        Image.fromarray(picture).save(file)
    rows = run_predict(steep, files)["predictions"]
    assert len({row["log_odds"] for row in rows}) == 12


def a_run(folder: Path, method: str, fold: int, odds: list[float], truth: list[bool], **changes: Any) -> Path:
    metrics = {
        **{
            "method": method,
            "label": method,
            "layout": None,
            "fold": fold,
            "folds": 2,
            "seed": 0,
            "saw_other_data": False,
        },
        **{"data": "lesions", "data_digest": "d", "positive": "malignant", "parameters": 1, "seconds": 1.0},
        **{"threshold": 1.0, "threshold_log_odds": 50.0, "temperature": 30.0, "commit": "c"},
        **{"macs": None},
    } | changes
    scores = {name: score(truth, odds, cut).to_dict() for name, cut in (("test", 50.0), ("test_at_0.5", 0.0))}
    metrics |= {name: found for name, found in scores.items() if name not in changes}
    with RunFolder(folder, {"of": method, "fold": fold}) as run:
        run.write_json("metrics.json", metrics)
        run.write_json("retrain.json", {"seen": None, "search_seen": None, "data": {}})
        labels = ["malignant" if positive else "benign" for positive in truth]
        rows = [
            (f"{fold}-{i}.png", label, f"{fold}-{i}", fold, *cells)
            for i, (label, cells) in enumerate(zip(labels, TWO.cells(of_two(odds, 1)), strict=True))
        ]
        run.write_csv("predictions.csv", COLUMNS, rows)
        run.finish()
    return folder


# Positives at 45 and 41 of seven images of fold 0: of 10 pairs 3 in order, though all probabilities are 1.0.
ODDS, TRUTH = [45.0, 41.0, 60.0, 44.0, 55.0, 50.0, 40.0], [True, True, False, False, False, False, False]


def test_report_and_evaluation_rank_and_decide_where_probabilities_tie(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for fold in (0, 1):
        a_run(tmp_path / "runs" / f"fold{fold}", "net", fold, ODDS, TRUTH)
    with (tmp_path / "runs" / "fold0" / "predictions.csv").open(newline="") as stream:
        assert {float(row["probability"]) for row in csv.DictReader(stream)} == {1.0}
    assert main(["report", str(tmp_path / "runs"), "--out", str(tmp_path / "report"), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["results"]
    # called from 50 up: three of five negatives wrongly, no positive
    assert (row["auc"], row["accuracy"], row["tpr"]) == (0.3, pytest.approx(2 / 7, abs=1e-6), 0.0)
    folds = [str(tmp_path / "runs" / f"fold{fold}") for fold in (0, 1)]
    assert main(["evaluate", *folds, "--out", str(tmp_path / "evaluation"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["methods"]["net"]["frozen"]
    assert (found["mean"]["auc"], found["mean"]["tpr"]) == (0.3, 0.0)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_model_whose_weights_are_not_finite_is_refused_by_every_verb(
    value: float,
    finished: tuple[Path, Path],
    lesions: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def poison(weights: dict[str, Any]) -> dict[str, Any]:
        weights["classifier.weight"][0, 0] = value
        return weights

    model, image = alone(finished[0], tmp_path / "bad", poison), str(next(lesions.glob("*.png")))
    for arguments in (
        ["predict", str(model), image],
        ["predict", str(finished[0]), image, "--with", str(model)],
        ["explain", str(model), image, "--out", str(tmp_path / "out")],
        ["export", str(model), "--out", str(tmp_path / "out")],
    ):
        assert main(arguments) == 1
        said_ = capsys.readouterr().err
        assert (
            f"bad/model.safetensors: classifier.weight holds {value}" in said_ and "train it again" in said_
        )
        assert not (tmp_path / "out").exists()


def test_a_network_that_overflows_is_refused_where_its_weights_are_finite(
    finished: tuple[Path, Path], tmp_path: Path
) -> None:
    model = alone(finished[0], tmp_path / "huge", lambda weights: {
        name: tensor * np.float32(1e38) if tensor.ndim == 4 else tensor for name, tensor in weights.items()
    })  # fmt: skip
    with pytest.raises(ModelError, match=r"huge/model\.safetensors: gives the logits \[(nan|-?inf)"):
        load_model(model).log_odds(list(pictures()))
    with pytest.raises(ModelError, match=r"gives the logits \[(nan|-?inf)"):
        run_export(model, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (",1.0,60.0", ",nan,60.0", "probability = 'nan'"),
        (",1.0,60.0", ",1.0,inf", "log_odds = 'inf'"),
        (",1.0,60.0", ",1.0,", "log_odds = ''"),
        (",1.0,60.0", ",1.5,60.0", "probability = 1.5: expected 0 to 1"),
        (",1.0,60.0", ",0.25,60.0", "log_odds = 60.0 are of the probability 1.000000, not of 0.25"),
        (",1.0,60.0", "", "rows of other lengths"),
        ("probability,log_odds", "probability,odds", "no column log_odds"),
        ("0-3.png", "0-2.png", "line 5: 0-2.png stands there twice"),
    ],
)
def test_predictions_that_cannot_be_are_refused_by_file_line_and_value(
    old: str, new: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = a_run(tmp_path / "run", "net", 0, ODDS, TRUTH)
    table = (run / "predictions.csv").read_text()
    assert old in table
    (run / "predictions.csv").write_text(table.replace(old, new))
    state = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(state | {"sha256": {}}))
    for verb in ("report", "evaluate"):
        assert main([verb, str(run), "--out", str(tmp_path / "out")]) == 1
        told = capsys.readouterr().err
        assert words in told and "run/predictions.csv" in told and "repeat the run" in told
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"threshold": 7, "threshold_log_odds": None}, "threshold = 7: expected a number from 0 to 1"),
        ({"threshold": -3, "threshold_log_odds": None}, "threshold = -3: expected"),
        ({"threshold": True, "threshold_log_odds": None}, "threshold = True: expected"),
        ({"threshold": None}, "threshold = None: expected"),
        ({"threshold": 0.3}, "threshold_log_odds = 50.0 are not of the threshold 0.3"),
        ({"temperature": 0}, "temperature = 0: expected above 0"),
    ],
)
def test_thresholds_and_temperatures_that_cannot_be_are_refused(
    changes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    run = a_run(tmp_path / "run", "net", 0, ODDS, TRUTH, **changes)
    with pytest.raises(PredictionsError, match=rf"run/metrics\.json: {words}"):
        from trials.runs.finished import read_run

        read_run(run)


@pytest.mark.parametrize("threshold", [7, -3, float("nan"), True, "high"])
def test_a_model_file_with_a_threshold_that_cannot_be_is_refused(
    threshold: object, finished: tuple[Path, Path], tmp_path: Path
) -> None:
    model = alone(finished[0], tmp_path / "model", dict)
    described = json.loads((model / "model.json").read_text()) | {"threshold": threshold}
    del described["threshold_log_odds"]
    (model / "model.json").write_text(json.dumps(described))
    with pytest.raises(ModelError, match=r"model\.json: .*(threshold|NaN)"):
        load_model(model)


def test_a_model_file_whose_threshold_contradicts_its_log_odds_is_refused(
    finished: tuple[Path, Path], tmp_path: Path
) -> None:
    model = alone(finished[0], tmp_path / "model", dict)
    described = json.loads((model / "model.json").read_text())
    (model / "model.json").write_text(json.dumps(described | {"threshold": 0.9, "threshold_log_odds": 0.0}))
    with pytest.raises(ModelError, match="contradict each other; change both, or leave out"):
        load_model(model)


def test_a_number_that_is_no_json_is_refused_when_it_is_read(
    finished: tuple[Path, Path], tmp_path: Path
) -> None:
    run = shutil.copytree(finished[0], tmp_path / "run")
    (run / "run.json").write_text('{"done": true, "identity": {}}')
    metrics = json.loads((run / "metrics.json").read_text()) | {"threshold": float("nan")}
    (run / "metrics.json").write_text(json.dumps(metrics))
    assert main(["report", str(run), "--out", str(tmp_path / "out")]) == 1
