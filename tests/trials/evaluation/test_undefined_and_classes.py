"""What cannot be defined is left open; three classes stay three in every figure."""

import csv
import json
import shutil
from pathlib import Path

import nni
import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import cohen_kappa_score, f1_score, matthews_corrcoef, roc_auc_score

from tests.helpers.runs import train_on
from trials.cli import main
from trials.data.load import load
from trials.data.phantoms import make_phantoms
from trials.evaluation.decisions import of_two
from trials.evaluation.measures import DECISION, decision
from trials.runs.folder import RunFolder
from trials.runs.predictions import Classes

ONCE = np.ones((1, 4))
TWO = Classes(("benign", "malignant"), "malignant")


@pytest.mark.parametrize(
    ("truth", "called", "undefined"),
    [
        ([1, 1, 1, 1], [1, 1, 0, 1], {"tnr", "balanced_accuracy", "mcc", "kappa"}),
        ([0, 0, 0, 0], [0, 1, 0, 0], {"tpr", "balanced_accuracy", "mcc", "kappa", "f1"}),
        ([0, 0, 0, 0], [0, 0, 0, 0], {"tpr", "precision", "balanced_accuracy", "mcc", "kappa", "f1"}),
        ([0, 1, 0, 1], [0, 0, 0, 0], {"precision", "mcc"}),
        ([0, 1, 0, 1], [1, 1, 1, 1], {"mcc"}),
        ([0, 1, 0, 1], [1, 1, 0, 1], set()),
    ],
)
def test_a_measure_without_a_denominator_is_undefined(
    truth: list[int], called: list[int], undefined: set[str]
) -> None:
    found = {name: decision(name, truth, called)(ONCE)[0] for name in DECISION}
    assert {name for name, value in found.items() if np.isnan(value)} == undefined
    if "mcc" not in undefined:
        assert found["mcc"] == pytest.approx(matthews_corrcoef(truth, called))
    if "kappa" not in undefined:
        assert found["kappa"] == pytest.approx(cohen_kappa_score(truth, called))
        assert found["f1"] == pytest.approx(f1_score(truth, called))


def a_run(folder: Path, method: str, truth: list[bool], external: list[bool]) -> Path:
    """Write a run whose external images are of one class."""
    metrics = {
        **{
            "method": method,
            "label": method,
            "layout": None,
            "fold": 0,
            "folds": 2,
            "seed": 0,
            "saw_other_data": False,
        },
        **{"data": "lesions", "data_digest": "d", "positive": "malignant", "parameters": 1, "seconds": 1.0},
        **{"threshold": 0.9, "temperature": 1.0, "commit": "c", "external": "elsewhere", "test": None},
    }
    with RunFolder(folder, {"of": method}) as run:
        run.write_json("metrics.json", metrics)
        data = {"images": {"benign": 4, "malignant": 2, "normal": 3}, "groups": 9, "group_source": "copies"}
        run.write_json("retrain.json", {"data": data})
        for name, kinds in (("predictions.csv", truth), ("external_predictions.csv", external)):
            rows = [
                (f"{i}.png", "malignant" if positive else "benign", str(i), 0, *cells)
                for i, (positive, cells) in enumerate(
                    zip(kinds, TWO.cells(of_two(np.linspace(-1, 1, len(kinds)), 1)), strict=True)
                )
            ]
            run.write_csv(name, ("file", "label", "group", "fold", *TWO.columns), rows)
        run.finish()
    return folder


def test_an_external_set_of_one_class_leaves_its_measures_open(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "two"):
        a_run(tmp_path / "runs" / name, name, [False, True, False, True], [False] * 5)
    assert main(["report", str(tmp_path / "runs"), "--out", str(tmp_path / "out"), "--json"]) == 0
    rows = {row["data"]: row for row in json.loads(capsys.readouterr().out)["results"]}
    outside = rows["elsewhere"]
    assert (outside["auc"], outside["tpr"], outside["precision"]) == (None, None, None)
    assert (outside["tnr"], outside["accuracy"]) == (1.0, 1.0)
    assert rows["lesions"]["precision"] is None  # nothing was called positive
    with (tmp_path / "out" / "measures.csv").open(newline="") as stream:
        found = {
            row["measure"]: row["estimate"] for row in csv.DictReader(stream) if row["data"] == "elsewhere"
        }
    for name in ("auc", "tpr", "precision", "mcc", "balanced_accuracy", "ppv", "sensitivity_at_90"):
        assert found[name] == "", name
    page = (tmp_path / "out" / "report.html").read_text()
    assert ">nan" not in page.lower() and "nan to" not in page.lower()
    assert main(["report", str(tmp_path / "runs"), "--out", str(tmp_path / "out")]) == 0
    assert "AUC undefined" in capsys.readouterr().out


def test_an_evaluation_shows_a_dash_for_what_is_undefined(
    finished: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(finished[0], tmp_path / "run")
    metrics = json.loads((run / "metrics.json").read_text())
    metrics["test"]["precision"] = None
    (run / "metrics.json").write_text(json.dumps(metrics))
    state = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(state | {"sha256": {}}))
    assert main(["evaluate", str(run), "--out", str(tmp_path / "out")]) == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "fold 0" in line and "%" in line)
    assert line.split()[-5] == "-"  # TNR, TPR, precision, accuracy, AUC


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Phantoms of which some benign ones are called normal."""
    folder = tmp_path_factory.mktemp("three") / "three"
    make_phantoms(folder, count=48, side=32)
    data, manifest = load(folder), folder / "manifest.csv"
    benign = [g for g, label in zip(data.groups, data.labels, strict=True) if data.classes[label] == "benign"]
    normal = set(list(dict.fromkeys(benign))[::2])
    with manifest.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    with manifest.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        for row in rows:
            changed = (
                {"label": "normal"} if row["duplicate_group"] in normal and row["label"] == "benign" else {}
            )
            writer.writerow(row | changed)
    return folder


def test_three_classes_are_trained_evaluated_and_kept_apart(
    three: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def told(*arguments: str) -> str:
        assert main(arguments) == 0
        return capsys.readouterr().out

    assert "benign" in told("verify", str(three), "--folds", "2")
    settings = ["retrain.epochs=1", "retrain.max_steps=2", "data.balanced_draw=null", "data.image_size=32"]
    runs = ["--data", str(three), "--profile", "quick", "--folds", "2", "--fold", "0"]
    runs += [part for setting in settings for part in ("--set", setting)]
    for method in ("cnn3", "hog"):
        place = tmp_path / "fold0" / method
        told("train", "--method", method, *runs, "--out", str(place))
        metrics = json.loads((place / "metrics.json").read_text())
        assert metrics["classes"] == ["benign", "malignant", "normal"] and metrics["decision"] == "argmax"
        assert np.sum(metrics["test"]["confusion"]) == metrics["test"]["n"]
        with (place / "predictions.csv").open(newline="") as stream:
            rows = list(csv.DictReader(stream))
        columns = [f"probability:{name}" for name in metrics["classes"]]
        shares = np.array([[float(row[column]) for column in columns] for row in rows])
        assert shares.sum(1) == pytest.approx(1)
        labels = [metrics["classes"].index(row["label"]) for row in rows]
        assert metrics["test"]["accuracy"] == pytest.approx(np.mean(shares.argmax(1) == labels))
        assert metrics["test"]["auc_macro"] == pytest.approx(roc_auc_score(labels, shares, multi_class="ovr"))
    result = json.loads(told("evaluate", str(place), "--out", str(tmp_path / "evaluation"), "--json"))
    assert result["methods"]["hog"]["frozen"]["mean"]["accuracy"] == metrics["test"]["accuracy"]
    assert "auc_macro" in (tmp_path / "evaluation" / "evaluation.txt").read_text()


def test_a_class_without_external_images_is_said_and_left_open(
    three: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = tmp_path / "elsewhere"
    make_phantoms(elsewhere, count=16, side=32, seed=9)  # benign and malignant alone
    settings = ["retrain.epochs=1", "retrain.max_steps=2", "data.balanced_draw=null", "data.image_size=32"]
    runs = ["--data", str(three), "--profile", "quick", "--folds", "2", "--fold", "0", "--method", "cnn3"]
    runs += [part for setting in settings for part in ("--set", setting)]
    place, said = tmp_path / "fold0" / "cnn3", "no external image of class normal: its measures and the means"
    assert main(["train", *runs, "--external", str(elsewhere), "--out", str(place)]) == 0
    assert f"warning: {said}" in capsys.readouterr().out
    metrics = json.loads((place / "metrics.json").read_text())
    assert any(said in warning for warning in metrics["warnings"])
    arguments = ["evaluate", str(place), "--data", str(elsewhere), "--out", str(tmp_path / "out")]
    assert main([*arguments, "--json"]) == 0
    external = json.loads(capsys.readouterr().out)["external"]
    assert any(said in finding for finding in external["findings"])
    frozen = external["methods"]["cnn3"]["frozen"]
    assert set(frozen["per_class"]["normal"].values()) == {0, None}
    assert frozen["auc_macro"] is None and frozen["per_class"]["benign"]["auc"] is not None


def test_grades_are_trained_by_the_ordinal_loss(three: Path, tmp_path: Path) -> None:
    settings = ["retrain.epochs=1", "retrain.max_steps=2", "data.balanced_draw=null", "data.image_size=32"]
    runs = ["--data", str(three), "--profile", "quick", "--folds", "2", "--fold", "0", "--method", "cnn3"]
    settings.append('data.ordered=["normal", "benign", "malignant"]')
    found = []
    for loss in ("cross_entropy", "ordinal"):
        place = tmp_path / loss
        given = [part for one in (*settings, f"retrain.loss={loss}") for part in ("--set", one)]
        assert main(["train", *runs, *given, "--out", str(place)]) == 0
        metrics = json.loads((place / "metrics.json").read_text())
        assert metrics["classes"] == ["normal", "benign", "malignant"] and metrics["ordered"]
        confusion = np.array(metrics["test"]["confusion"])
        grades = np.abs(np.subtract.outer(range(3), range(3)))
        error = (confusion * grades).sum() / confusion.sum()
        assert metrics["test"]["mean_absolute_error"] == pytest.approx(error)
        found.append((place / "predictions.csv").read_text())
    assert found[0] != found[1]


def test_the_web_ui_shows_the_macro_auc_of_more_classes_first(
    three: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[dict[str, float]] = []
    monkeypatch.setenv("NNI_PLATFORM", "local")
    monkeypatch.setattr(nni, "report_final_result", told.append)
    metrics = train_on(three, "hog", out=tmp_path / "hog", folds=2, fold=0)
    ((first, default), *shown) = told[0].items()
    assert (first, default) == ("default", metrics["test"]["auc_macro"])
    assert shown[0] == ("auc_macro", default)
    measured = [name for name, _ in shown[1:5]]
    assert measured == ["accuracy", "balanced_accuracy", "kappa", "macro_f1"]
    assert all(isinstance(value, int | float) for value in told[0].values())


def test_grades_stay_grades_in_external_data(
    three: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The external data do not say that their classes have an order; the model does."""
    small = ["retrain.max_steps=1", "data.image_size=32", "data.ordered=normal,benign,malignant"]
    words = ["--data", str(three), "--profile", "quick", "--folds", "2", "--fold", "0", "--method", "cnn3"]
    words += [part for setting in small for part in ("--set", setting)]
    place, other = tmp_path / "fold0" / "cnn3", tmp_path / "other"
    assert main(["train", *words, "--out", str(place)]) == 0
    shutil.copytree(three, other)
    for number, image in enumerate(sorted(other.glob("*.png"))):
        noise = np.random.default_rng(number).integers(0, 256, (40, 40), dtype=np.uint8)
        Image.fromarray(noise).save(image)
    out = ["--out", str(tmp_path / "evaluation"), "--json"]
    capsys.readouterr()
    assert main(["evaluate", str(place), "--data", str(other), *out]) == 0
    external = json.loads(capsys.readouterr().out)["external"]["methods"]["cnn3"]["frozen"]
    assert external["mean_absolute_error"] > 0 and "quadratic_kappa" in external
