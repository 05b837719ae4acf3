"""Evaluation over folds and on external data, and prediction."""

import csv
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import roc_auc_score

from tests.helpers.report_runs import GOOD_OF_THREE, THREE, table_of_three, write_run
from trials.cli import main
from trials.data.load import load
from trials.data.phantoms import make_phantoms
from trials.errors import DataError, EvaluationError, LeakError, ModelError, RunFolderError
from trials.evaluation.calibration import cutoff, log_odds
from trials.evaluation.decisions import Decision, of_two
from trials.inference.predict import run_predict
from trials.inference.views import VIEWS, Moved
from trials.models.model_file import load_model
from trials.pipeline.evaluate import run_evaluate, summarise, text_table
from trials.runs.finished import Run, by_method
from trials.runs.predictions import Classes, Predicted

Retrain = Callable[..., Mapping[str, Any]]


def a_run(fold: int, positive: list[bool], probabilities: list[float], threshold: float) -> Run:
    metrics = {"fold": fold, "folds": 3, "layout": "enas7", "threshold": threshold, "parameters": 10 + fold}
    files, odds = np.array([f"{i}.png" for i in range(len(positive))], dtype=object), log_odds(probabilities)
    classes = Classes(("benign", "malignant"), "malignant")
    tested = Predicted(files, files.astype(str), np.array(positive).astype(int), of_two(odds, 1), classes)
    return Run(Path(f"fold{fold}"), metrics, {}, tested, None, Decision(1, cutoff(threshold)), None)


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Synthetic lesions from another hospital."""
    folder = tmp_path_factory.mktemp("elsewhere") / "other"
    make_phantoms(folder, count=12, side=40, seed=7)
    return folder


def test_more_classes_have_measures_of_all_and_of_each(tmp_path: Path) -> None:
    for fold in (0, 1):
        rows = table_of_three(fold, GOOD_OF_THREE[fold])
        tested = {"n": 6, "accuracy": 5 / 6, "auc_macro": 1.0, "images": {"benign": 2}}
        told = {"classes": THREE, "ordered": True, "test": tested, "test_at_0.5": tested}
        write_run(tmp_path / f"fold{fold}", "hog", fold, rows, **told)
    result = run_evaluate([tmp_path / "fold0", tmp_path / "fold1"], tmp_path / "out")
    frozen = result["methods"]["hog"]["frozen"]
    assert frozen["mean"]["auc_macro"] == pytest.approx((1 + 11 / 12) / 2)
    assert frozen["pooled"]["kappa"] == pytest.approx(0.75)
    assert frozen["pooled"]["confusion"] == [[3, 1, 0], [1, 3, 0], [0, 0, 4]]
    with (tmp_path / "out" / "evaluation.csv").open(newline="") as stream:
        found = {(row["images"], row["threshold"]): row for row in csv.DictReader(stream)}
    assert {images for images, _ in found} == {"fold 0", "fold 1", "mean", "sd", "pooled"}
    assert float(found["pooled", "likeliest"]["mean_absolute_error"]) == pytest.approx(2 / 12)
    lines = [line.split() for line in text_table(result).splitlines()]
    assert ["benign", "4", "87.5", "%", "75.0", "%", "87.5", "%", "75.0", "%", "75.0", "%"] in lines
    (pooled,) = (line for line in lines if line[:2] == ["hog,", "pooled"])
    assert pooled[2:] == ["12", "94.8", "%", "83.3", "%", "83.3", "%", "0.750", "83.3", "%", "0.875", "0.167"]


def test_mean_spread_and_pooled_of_a_case_worked_by_hand() -> None:
    first = a_run(0, [True, True, False, False], [0.9, 0.7, 0.8, 0.1], threshold=0.6)  # TP 2, FP 1, TN 1
    second = a_run(2, [True, False], [0.3, 0.2], threshold=0.25)  # TP 1, TN 1; at 0.5 TP 0
    summary = summarise([first, second])
    frozen = summary["frozen"]
    assert frozen["mean"]["accuracy"] == (3 / 4 + 1) / 2
    assert frozen["sd"]["accuracy"] == pytest.approx(0.25 / 2**0.5)
    assert frozen["pooled"]["accuracy"] == 5 / 6
    assert (frozen["pooled"]["tpr"], frozen["pooled"]["tnr"], frozen["pooled"]["n"]) == (1, 2 / 3, 6)
    assert frozen["mean"]["auc"] == (3 / 4 + 1) / 2
    assert frozen["pooled"]["auc"] == pytest.approx(7 / 9)  # 3 + 2 + 2 of 9 pairs
    assert summary["at_0.5"]["pooled"]["tpr"] == 2 / 3
    assert summary["missing_folds"] == [1]
    assert summary["parameters"]["mean"] == 11


def test_folds_are_brought_together_in_files_and_table(finished: tuple[Path, Path], tmp_path: Path) -> None:
    result = run_evaluate(finished, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "evaluation.json").read_text()) == result
    summary = result["methods"]["enas3"]
    assert summary["missing_folds"] == []
    assert summary["frozen"]["pooled"]["n"] == 40
    each = [json.loads((folder / "metrics.json").read_text()) for folder in finished]
    accuracies = [metrics["test"]["accuracy"] for metrics in each]
    assert summary["frozen"]["mean"]["accuracy"] == pytest.approx(np.mean(accuracies))
    with (tmp_path / "out" / "evaluation.csv").open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["threshold"] == "frozen"]
    assert [row["images"] for row in rows] == ["fold 0", "fold 1", "mean", "sd", "pooled"]
    assert float(rows[0]["auc"]) == each[0]["test"]["auc"]
    assert (tmp_path / "out" / "evaluation.txt").read_text() == f"{text_table(result)}\n"
    assert "enas3, pooled" in text_table(result)


def test_missing_folds_are_named(finished: tuple[Path, Path], tmp_path: Path) -> None:
    result = run_evaluate(finished[1:], tmp_path / "out")
    assert result["methods"]["enas3"]["missing_folds"] == [0]
    assert "enas3: no run of folds 0" in text_table(result)


def test_external_data_is_scored_by_the_mean_of_the_frozen_models(
    finished: tuple[Path, Path], elsewhere: Path, tmp_path: Path
) -> None:
    result = run_evaluate(finished, tmp_path / "out", elsewhere)["external"]["methods"]["enas3"]
    data, models = load(elsewhere), [load_model(folder) for folder in finished]
    mean = np.mean([model.probabilities(data.images)[:, 1] for model in models], axis=0)
    assert result["models"] == 2
    assert result["threshold"] == pytest.approx(np.mean([model.description.threshold for model in models]))
    assert result["frozen"]["auc"] == pytest.approx(roc_auc_score(data.labels, mean))
    with (tmp_path / "out" / "external_predictions.csv").open(newline="") as stream:
        written = [float(row["probability"]) for row in csv.DictReader(stream)]
    assert written == pytest.approx(mean.tolist())


@pytest.mark.parametrize("saved_anew", [False, True])
def test_planted_training_image_in_external_data_is_refused(
    finished: tuple[Path, Path], elsewhere: Path, lesions: Path, tmp_path: Path, saved_anew: bool
) -> None:
    shutil.copytree(elsewhere, tmp_path / "mixed")
    name = load(elsewhere).files[0]
    label = "benign" if "benign" in name else "malignant"
    stolen = next(file for file in load(lesions).files if label in file)
    shutil.copy(lesions / stolen, tmp_path / "mixed" / name)
    if saved_anew:  # brighter, so that it has other pixels
        with Image.open(lesions / stolen) as picture:
            picture.point(lambda value: min(255, value + 2)).save(tmp_path / "mixed" / name)
    with pytest.raises(LeakError, match=f"1 of the 12 test images.*{name}"):
        run_evaluate(finished, tmp_path / "out", tmp_path / "mixed")
    assert not (tmp_path / "out").exists()


def test_external_class_that_the_models_do_not_know_is_refused(
    finished: tuple[Path, Path], elsewhere: Path, tmp_path: Path
) -> None:
    shutil.copytree(elsewhere, tmp_path / "other")
    manifest = tmp_path / "other" / "manifest.csv"
    manifest.write_text(manifest.read_text().replace(",benign,", ",cyst,"))
    with pytest.raises(DataError, match="'cyst', not one of benign, malignant"):
        run_evaluate(finished, tmp_path / "out", tmp_path / "other")


def test_an_evaluation_is_of_one_seed() -> None:
    common = {"method": "net", "data_digest": "d", "positive": "malignant", "refit": False}
    runs = []
    for seed in (0, 1):
        run = a_run(0, [True, False], [0.9, 0.1], threshold=0.5)
        runs.append(replace(run, folder=Path(f"seed{seed}"), metrics={**run.metrics, **common, "seed": seed}))
    with pytest.raises(EvaluationError, match=r"seed0 and seed1 .* of seeds 0 and 1; evaluate one seed"):
        by_method(runs)
    assert list(by_method(runs[:1])) == ["net"]


def of_grades(folder: str, names: tuple[str, ...], files: tuple[str, ...] = ("0.png",)) -> Run:
    """A run of fold 0 whose images are all called the first class."""
    metrics = {"fold": 0, "folds": 3, "seed": 0, "data_digest": "d", "method": folder, "refit": False}
    said = np.zeros((len(files), 3)) - np.arange(3)
    names_of = np.array(files, dtype=object)
    tested = Predicted(names_of, names_of.astype(str), np.zeros(len(files), int), said, Classes(names, None))
    return Run(Path(folder), metrics, {}, tested, None, Decision(), None)


def test_runs_of_another_order_of_classes_or_of_other_images_are_refused() -> None:
    """Their logits would be taken for those of other classes, their figures for those of the same images."""
    one = of_grades("one", ("high", "low", "middle"))
    with pytest.raises(EvaluationError, match=r"different orders of classes \(data.ordered\): .*two"):
        by_method([one, of_grades("two", ("low", "middle", "high"))])
    with pytest.raises(EvaluationError, match=r"one and two tested fold 0 on different images \(such as 1"):
        by_method([one, of_grades("two", ("high", "low", "middle"), ("0.png", "1.png"))])


def test_runs_that_do_not_belong_together_are_refused(
    finished: tuple[Path, Path], retrain: Retrain, elsewhere: Path, tmp_path: Path
) -> None:
    with pytest.raises(EvaluationError, match="same method, fold and seed"):
        run_evaluate([finished[0], finished[0]], tmp_path / "out")
    retrain(tmp_path / "other", data=elsewhere)
    with pytest.raises(EvaluationError, match="different data"):
        run_evaluate([finished[0], tmp_path / "other"], tmp_path / "out")


def test_folder_without_finished_run_is_refused(finished: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="no finished run"):
        run_evaluate([tmp_path], tmp_path / "out")
    shutil.copytree(finished[0], tmp_path / "unfinished")
    state = json.loads((tmp_path / "unfinished" / "run.json").read_text())
    (tmp_path / "unfinished" / "run.json").write_text(json.dumps(state | {"done": False}))
    with pytest.raises(EvaluationError, match="unfinished: holds no finished"):
        run_evaluate([tmp_path / "unfinished"], tmp_path / "out")
    with pytest.raises(EvaluationError, match=r"name the runs in it, such as .*/unfinished$"):
        run_evaluate([tmp_path], tmp_path / "out")


def test_run_on_all_data_serves_external_tests_only(
    retrain: Retrain, elsewhere: Path, tmp_path: Path
) -> None:
    retrain(tmp_path / "all", fold=None)
    with pytest.raises(EvaluationError, match="external data"):
        run_evaluate([tmp_path / "all"], tmp_path / "out")
    result = run_evaluate([tmp_path / "all"], tmp_path / "out", elsewhere)
    assert result["methods"]["enas3"]["frozen"] is None
    assert result["external"]["methods"]["enas3"]["frozen"]["n"] == 12
    assert "enas3, external" in text_table(result)


def test_evaluation_is_renewed_as_folds_come_in_but_not_for_other_data(
    finished: tuple[Path, Path], elsewhere: Path, tmp_path: Path
) -> None:
    assert run_evaluate(finished[:1], tmp_path / "out")["methods"]["enas3"]["missing_folds"] == [1]
    assert run_evaluate(finished[::-1], tmp_path / "out")["methods"]["enas3"]["missing_folds"] == []
    with pytest.raises(RunFolderError, match="external"):
        run_evaluate(finished, tmp_path / "out", elsewhere)


def test_prediction_is_the_models_probability_and_frozen_decision(
    finished: tuple[Path, Path], lesions: Path, tmp_path: Path
) -> None:
    with (finished[0] / "predictions.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))[:3]
    given = [float(row["probability"]) for row in rows]
    shutil.copytree(finished[0], tmp_path / "model")
    (tmp_path / "model" / "run.json").unlink()  # a model by itself, which nothing vouches for
    description = json.loads((tmp_path / "model" / "model.json").read_text())
    description["threshold"] = sorted(given)[1]
    del description["threshold_log_odds"]  # of another threshold
    (tmp_path / "model" / "model.json").write_text(json.dumps(description))
    result = run_predict(tmp_path / "model", [lesions / row["file"] for row in rows])
    assert (result["positive"], result["threshold"]) == ("malignant", pytest.approx(sorted(given)[1]))
    for probability, told in zip(given, result["predictions"], strict=True):
        assert told["probability"] == pytest.approx(probability, abs=1e-6)
        assert told["called_positive"] == (told["probability"] >= sorted(given)[1] * (1 - 1e-12))
    assert "clinical use" in result["not_for"]


def test_colour_photograph_of_any_size_can_be_predicted(finished: tuple[Path, Path], tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (31, 77, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "colour.png")
    (told,) = run_predict(finished[0], [tmp_path / "colour.png"])["predictions"]
    assert 0 < told["probability"] < 1


def test_views_are_zoomed_and_shifted_by_what_they_say() -> None:
    image = torch.arange(64, dtype=torch.uint8).reshape(1, 1, 8, 8)

    def seen(**moved: float) -> torch.Tensor:
        return Moved(image, **moved)(torch.tensor([0]), torch.Generator())[0, 0]

    plain = image[0, 0].float()
    torch.testing.assert_close(seen(), plain)
    torch.testing.assert_close(seen(right=0.25)[:, 2:], plain[:, :-2])
    torch.testing.assert_close(seen(right=0.25)[:, :2], plain[:, :1].expand(-1, 2))  # the border, repeated
    torch.testing.assert_close(seen(down=-0.25)[:-2], plain[2:])
    doubled = seen(zoom=2.0)
    torch.testing.assert_close(doubled[:, 1] - doubled[:, 0], torch.full((8,), 0.5))


def test_std_over_views_is_of_this_image_and_none_where_all_views_are_alike(
    finished: tuple[Path, Path], tmp_path: Path
) -> None:
    pictures = np.full((2, 24, 24), 90, dtype=np.uint8)
    pictures[1, 3:10, 3:10] = 250
    for name, picture in zip("ab", pictures, strict=True):
        Image.fromarray(picture).save(tmp_path / f"{name}.png")
    result = run_predict(finished[0], [tmp_path / "a.png", tmp_path / "b.png"])
    alike, other = result["predictions"]
    assert alike["std_over_views"] == pytest.approx(0, abs=1e-6) and other["std_over_views"] > 1e-4
    model = load_model(finished[0])
    given = [model.probabilities([pictures[1]], view)[0, 1] for view in VIEWS]
    assert other["probability"] == pytest.approx(given[0], abs=1e-6)
    assert other["std_over_views"] == pytest.approx(np.std(given, ddof=1), abs=1e-6)
    assert other["std_over_models"] is None


def test_several_models_decide_together(
    finished: tuple[Path, Path], lesions: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = sorted(lesions.glob("*.png"))[:3]
    alone = [run_predict(folder, images) for folder in finished]
    models = [str(finished[0]), *map(str, images), "--with", *map(str, finished)]  # the first counts once
    assert main(["predict", *models, "--json"]) == 0
    together = json.loads(capsys.readouterr().out)
    assert together["threshold"] == pytest.approx(np.mean([one["threshold"] for one in alone]))
    for row, one, other in zip(together["predictions"], *(a["predictions"] for a in alone), strict=True):
        each = [one["probability"], other["probability"]]
        assert row["probability"] == pytest.approx(np.mean(each), abs=1e-6)
        assert row["std_over_models"] == pytest.approx(np.std(each, ddof=1), abs=1e-6)
        assert row["called_positive"] == (row["probability"] >= together["threshold"])


def test_models_of_other_classes_do_not_decide_together(
    finished: tuple[Path, Path], lesions: Path, tmp_path: Path
) -> None:
    shutil.copytree(finished[1], tmp_path / "other")
    (tmp_path / "other" / "run.json").unlink()  # a model by itself, which nothing vouches for
    file = tmp_path / "other" / "model.json"
    file.write_text(file.read_text().replace('"benign"', '"cyst"'))
    with pytest.raises(ModelError, match=r"other: classes cyst, malignant"):
        run_predict(finished[0], sorted(lesions.glob("*.png"))[:1], [tmp_path / "other"])


def test_an_evaluation_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="no runs to evaluate"):
        run_evaluate([], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_was_found_in_the_data_stands_below_the_table() -> None:
    external = {"data": "other", "methods": {}, "findings": ["3 images left out: why (a.png)"]}
    text = text_table(
        {"methods": {}, "classes": ["a", "b"], "external": external, "findings": ["a note"], "warnings": []}
    )
    assert text.splitlines()[1:] == ["data: a note", "other: 3 images left out: why (a.png)"]
