"""The report of more than two classes: figures worked by hand, what is absent, one class against the rest."""

import csv
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers.figures import leave_blank
from tests.helpers.report_runs import (
    GOOD_OF_THREE,
    THREE,
    table_of_three,
    write_comparison_of_three,
    write_run,
)
from trials.cli import main
from trials.data.load import load
from trials.data.phantoms import make_phantoms
from trials.errors import EvaluationError
from trials.report.report import run_report, text

POSITIVE = replace(THREE, positive="malignant")


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def words_of(page: Path) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page.read_text(encoding="utf-8")))


@pytest.fixture
def three(tmp_path: Path) -> Path:
    return write_comparison_of_three(tmp_path / "runs")


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """What the report of that comparison returns, and its folder; never written to."""
    folder = tmp_path_factory.mktemp("reported")
    with pytest.MonkeyPatch.context() as patch:
        leave_blank(patch, "pdf")
        result = run_report([write_comparison_of_three(folder / "runs")], folder / "out")
    return result, folder / "out"


@pytest.fixture
def three_boxed(tmp_path: Path) -> Path:
    """Phantoms of which every other benign one is called normal."""
    make_phantoms(tmp_path / "boxed", count=40, side=32)
    manifest = tmp_path / "boxed" / "manifest.csv"
    odd = re.compile(r"(benign_\d*[13579]\.png),benign,")
    manifest.write_text(odd.sub(r"\1,normal,", manifest.read_text()))
    return tmp_path / "boxed"


def test_results_of_three_classes_are_those_worked_by_hand(reported: tuple[dict[str, Any], Path]) -> None:
    rows = {row["method"]: row for row in rows_of(reported[1] / "results.csv")}
    net = {name: float(cell) for name, cell in rows["enas7"].items() if re.fullmatch(r"[\d.]+", cell)}
    # Fold 0 orders all. In fold 1 a benign 0.25 surpasses two of four: (6 / 8 + 1 + 1) / 3.
    assert net["auc_macro"] == pytest.approx((1 + 11 / 12) / 2, abs=1e-6)
    assert net["auc_macro_sd"] == pytest.approx(1 / 12 / 2**0.5, abs=1e-6)
    # Pooled, benign 28 of 32 pairs, malignant 31, normal all.
    assert net["pooled_auc_macro"] == pytest.approx((28 + 31 + 32) / 96, abs=1e-6)
    assert net["low"] < 91 / 96 < net["high"]
    # Every class is called four times: agreement by chance is a third.
    expected = {"accuracy": 10 / 12, "balanced_accuracy": 10 / 12, "kappa": 0.75, "macro_f1": 10 / 12}
    assert {name: net[name] for name in expected} == pytest.approx(expected, abs=1e-6)
    assert net["brier"] == pytest.approx(3.805 / 12, abs=1e-6)
    assert (net["n"], net["classes"], net["groups"], net["folds"]) == (12, 3, 11, 2)
    assert rows["enas7"]["quadratic_kappa"] == "" and "positives" not in rows["enas7"]
    assert list(rows) == ["enas7", "hog", "tuned"] and rows["tuned"]["saw_other_data"] == "yes"


def test_calibration_is_of_the_likeliest_class_before_and_after_temperature(
    reported: tuple[dict[str, Any], Path],
) -> None:
    _, out = reported
    net = next(row for row in rows_of(out / "results.csv") if row["method"] == "enas7")
    likeliest = np.array([max(row) for row in GOOD_OF_THREE[0] + GOOD_OF_THREE[1]])
    right = np.array([True, True, True, False, True, True, True, False, True, True, True, True])
    bins = np.ceil(likeliest * 10)
    errors = [abs((likeliest - right)[bins == one].sum()) for one in np.unique(bins)]
    assert float(net["calibration_error"]) == pytest.approx(sum(errors) / 12, abs=1e-6)
    assert float(net["calibration_error_scaled"]) != float(net["calibration_error"])
    measures = {row["measure"]: row for row in rows_of(out / "measures.csv") if row["method"] == "enas7"}
    roots = np.sqrt(np.array(GOOD_OF_THREE[0] + GOOD_OF_THREE[1]))  # the temperature is 2
    scaled = roots / roots.sum(1, keepdims=True)
    truth = np.eye(3)[[0, 0, 1, 1, 2, 2] * 2]
    assert float(measures["brier_scaled"]["estimate"]) == pytest.approx(((scaled - truth) ** 2).sum() / 12)
    assert measures["brier_scaled"]["low"] and not measures["calibration_error"]["low"]
    assert float(measures["auc_macro_of_fold_1"]["estimate"]) == pytest.approx(11 / 12, abs=1e-6)
    # The least certain are 0.45 thrice, of which two are the mistakes, and 0.5.
    assert float(measures["accuracy_undecided_50"]["estimate"]) == 1


def test_each_class_has_measures_and_a_row_of_the_confusion_matrix(
    reported: tuple[dict[str, Any], Path],
) -> None:
    _, out = reported
    found = {
        (row["class"], row["measure"]): float(row["estimate"])
        for row in rows_of(out / "class_measures.csv")
        if row["method"] == "enas7"
    }
    expected = {
        ("benign", "auc"): 28 / 32,
        ("malignant", "auc"): 31 / 32,
        ("normal", "auc"): 1,
        ("benign", "sensitivity"): 3 / 4,
        ("benign", "specificity"): 7 / 8,
        ("benign", "ppv"): 3 / 4,
        ("benign", "f1"): 3 / 4,
        ("normal", "f1"): 1,
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-6)
    rows = [row for row in rows_of(out / "confusion.csv") if row["method"] == "hog"]
    counts = {(row["truth"], row["called"]): float(row["n"]) for row in rows}
    assert len(rows) == 9 and sum(counts.values()) == 12
    assert (counts["normal", "benign"], counts["normal", "normal"], counts["benign", "malignant"]) == (
        2,
        2,
        1,
    )
    assert {row["share"] for row in rows if row["truth"] == "normal"} == {"0.5", "0.0"}


def test_ordered_classes_have_measures_of_distance(tmp_path: Path) -> None:
    run_report([write_comparison_of_three(tmp_path / "runs", ordered=True)], tmp_path / "out")
    net = next(row for row in rows_of(tmp_path / "out" / "results.csv") if row["method"] == "enas7")
    # Two images are off by a grade; by chance it is 12 / 9 squared grades.
    assert float(net["quadratic_kappa"]) == pytest.approx(1 - (2 / 12) / (12 / 9), abs=1e-6)
    assert float(net["mean_absolute_error"]) == pytest.approx(2 / 12, abs=1e-6)
    words = words_of(tmp_path / "out" / "report.html")
    assert "In this order: benign, malignant, normal." in words and "quadratic weighted kappa" in words


def test_tests_of_three_classes_are_paired_and_corrected(reported: tuple[dict[str, Any], Path]) -> None:
    result, out = reported
    assert result["reference"] == "hog"
    tests = {row["first"]: row for row in rows_of(out / "tests.csv")}
    net = tests["enas7"]
    assert (net["only_first"], net["only_second"], net["mcnemar_p"]) == ("2", "0", "0.5")
    assert float(net["accuracy_difference"]) == pytest.approx(2 / 12, abs=1e-6)
    results = {row["method"]: row for row in rows_of(out / "results.csv")}
    pooled = [float(results[name]["pooled_auc_macro"]) for name in ("enas7", "hog")]
    assert float(net["auc_difference"]) == pytest.approx(pooled[0] - pooled[1], abs=2e-6)
    assert float(net["p_holm"]) == pytest.approx(4 * float(net["p"]), abs=1e-5)  # two equal tests, four p
    assert float(net["low"]) < float(net["auc_difference"]) < float(net["high"])


def test_several_seeds_are_the_mean_of_each_alone(three: Path, tmp_path: Path) -> None:
    for fold in (0, 1):
        place = three / "seed1" / f"fold{fold}" / "hog"
        write_run(place, "hog", fold, table_of_three(fold, GOOD_OF_THREE[fold]), seed=1, classes=THREE)
    result = run_report([three], tmp_path / "out")
    rows = {row["method"]: row for row in rows_of(tmp_path / "out" / "results.csv")}
    assert float(rows["hog"]["accuracy"]) == pytest.approx(9 / 12, abs=1e-6)
    assert float(rows["hog"]["accuracy_sd_seeds"]) == pytest.approx(2 / 12 / 2**0.5, abs=1e-6)
    counts = {
        (row["truth"], row["called"]): float(row["n"])
        for row in rows_of(tmp_path / "out" / "confusion.csv")
        if row["method"] == "hog"
    }
    assert (counts["normal", "benign"], counts["normal", "normal"]) == (1, 3)
    assert "(SD of 2 seeds 0." in text(result)
    assert "AUC of the seeds together" in words_of(tmp_path / "out" / "report.html")


def test_a_class_without_images_leaves_its_measures_open(three: Path, tmp_path: Path) -> None:
    elsewhere = [
        (f"e{i}.png", THREE.names[i % 2], f"p{i}", *map(repr, row)) for i, row in enumerate(GOOD_OF_THREE[0])
    ]
    for fold in (0, 1):
        rows = table_of_three(fold, GOOD_OF_THREE[fold])
        more = {"external": elsewhere, "external_name": "elsewhere", "classes": THREE}
        write_run(three / f"fold{fold}" / "net", "net", fold, rows, **more)
    result = run_report([three], tmp_path / "out")
    (outside,) = [row for row in result["results"] if row["data"] == "elsewhere"]
    assert (outside["auc_macro"], outside["balanced_accuracy"], outside["macro_f1"]) == (None, None, None)
    assert outside["accuracy"] == pytest.approx(1 / 6, abs=1e-6)
    found = {
        (row["class"], row["measure"]): row["estimate"]
        for row in rows_of(tmp_path / "out" / "class_measures.csv")
        if row["data"] == "elsewhere"
    }
    assert {found["normal", of] for of in ("auc", "sensitivity", "specificity", "ppv", "f1")} == {""}
    assert found["benign", "sensitivity"] != ""
    confusion = rows_of(tmp_path / "out" / "confusion.csv")
    assert {r["share"] for r in confusion if r["data"] == "elsewhere" and r["truth"] == "normal"} == {""}
    words = words_of(tmp_path / "out" / "report.html")
    assert "External test: elsewhere" in words and not re.search(r"\bnan\b", words)


def test_a_fold_without_a_class_is_not_in_the_mean(tmp_path: Path) -> None:
    for fold in (0, 1):
        rows = table_of_three(fold, GOOD_OF_THREE[fold])[: 6 - 2 * fold]
        said = ["no test image of class normal"] if fold else []  # the run has found that itself
        write_run(tmp_path / "runs" / f"fold{fold}", "net", fold, rows, classes=THREE, warnings=said)
    result = run_report([tmp_path / "runs"], tmp_path / "out")
    (net,) = result["results"]
    assert (net["auc_macro"], net["auc_macro_sd"], net["n"]) == (1, None, 10)
    assert result["warnings"] == ["NET, fold 1: no test image of class normal"]


def test_one_class_against_the_rest_has_tables_of_its_own_where_it_is_asked_for(
    three: Path, reported: tuple[dict[str, Any], Path], tmp_path: Path
) -> None:
    _, without = reported
    assert not list(without.glob("against_rest_*"))
    assert "against the rest: " not in words_of(without / "report.html")
    assert main(["report", str(three), "--positive", "malignant", "--out", str(tmp_path / "out")]) == 0
    (net,) = [r for r in rows_of(tmp_path / "out" / "against_rest_results.csv") if r["method"] == "enas7"]
    assert (net["positive"], net["positives"]) == ("malignant", "4")
    assert float(net["pooled_auc"]) == pytest.approx(31 / 32, abs=1e-6)
    assert [float(net[name]) for name in ("tpr", "tnr", "precision")] == pytest.approx(
        [3 / 4, 7 / 8, 3 / 4], abs=1e-6
    )
    for name in ("results.csv", "confusion.csv", "tests.csv"):
        assert (tmp_path / "out" / name).read_bytes() == (without / name).read_bytes()
    words = words_of(tmp_path / "out" / "report.html")
    assert "Paired tests: malignant against the rest" in words and "TPR at 90 % TNR" in words


def test_a_positive_class_of_the_runs_is_read_against_the_rest(tmp_path: Path) -> None:
    result = run_report([write_comparison_of_three(tmp_path / "runs", POSITIVE)], tmp_path / "out")
    assert {row["positive"] for row in result["against_rest_results"]} == {"malignant"}
    with pytest.raises(EvaluationError, match="expected one of the runs' classes benign, malignant, normal"):
        run_report([tmp_path / "runs"], tmp_path / "other", positive="naevus")


def test_two_classes_have_no_second_reading(comparison: Path, tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="leave --positive out"):
        run_report([comparison], tmp_path / "out", positive="benign")
    run_report([comparison], tmp_path / "out", positive="malignant")
    assert not (tmp_path / "out" / "confusion.csv").exists()


def test_page_of_three_classes_shows_them(reported: tuple[dict[str, Any], Path]) -> None:
    result, out = reported
    page = (out / "report.html").read_text()
    labels = re.findall(r'aria-label="([^"]*)"', page)
    assert labels == [
        *(f"Confusion matrix of {name}" for name in ("ENAS7", "HOG", "TUNED")),
        "ROC curves of each class",
        "Calibration curves",
        "Accuracy over the share left undecided",
        "macro AUC of each fold",
    ]
    identifiers = re.findall(r'\bid="([^"]*)"', page)
    assert len(identifiers) == len(set(identifiers))
    words = words_of(out / "report.html")
    for said in (
        "0.958 ± 0.059",
        "An image is called its likeliest class",
        "Against HOG",
        "1-1.png benign, p 0.250 called malignant, p 0.450 fold 1",
        "Apart: began from weights trained on other images",
    ):
        assert said in words, said
    assert "Positive:" not in words
    assert "ENAS7 on lesions: macro AUC 0.958 ± 0.059, pooled 0.948 (" in text(result)


def test_data_add_pictures_of_mistakes(three_boxed: Path, tmp_path: Path) -> None:
    data = load(three_boxed)
    random = np.random.default_rng(0)
    rows = [
        (file, data.classes[label], group, 0, *random.dirichlet([2, 1, 1]).tolist())
        for file, label, group in zip(data.files, data.labels, data.groups, strict=True)
    ]
    write_run(tmp_path / "runs", "net", 0, rows, classes=THREE, data_digest=data.digest, folds=1)
    run_report([tmp_path / "runs"], tmp_path / "out", data=three_boxed)
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count('src="data:image/jpeg') == 16  # ten mistakes and six correct cases
    assert "No Grad-CAM maps: no weights lie beside these runs" in page


def test_other_rules_are_said(tmp_path: Path) -> None:
    costs: dict[str, Any] = {"costs": [[0, 1, 1], [9, 0, 9], [1, 1, 0]], "decision": "costs"}
    run_report([write_comparison_of_three(tmp_path / "costs", **costs)], tmp_path / "one")
    assert "An image is called the class of least expected cost" in words_of(tmp_path / "one" / "report.html")
    found = {"threshold": 0.3, "threshold_of": "malignant", "decision": "sensitivity"}
    run_report([write_comparison_of_three(tmp_path / "found", **found)], tmp_path / "two")
    rows = rows_of(tmp_path / "two" / "class_measures.csv")
    (row,) = [
        row
        for row in rows
        if (row["method"], row["class"], row["measure"]) == ("hog", "malignant", "sensitivity")
    ]
    assert float(row["estimate"]) == 1
    assert "malignant where its probability reaches" in words_of(tmp_path / "two" / "report.html")


@pytest.mark.usefixtures("drawn")
def test_many_classes_stay_bearable(tmp_path: Path) -> None:
    names = tuple(f"a rather long name of class {i}" for i in range(30))
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(30), 4)
    rows = [
        (
            f"{i}.png",
            names[label],
            str(i),
            0,
            *random.dirichlet(np.ones(30) + 9 * np.eye(30)[label]).tolist(),
        )
        for i, label in enumerate(labels)
    ]
    write_run(tmp_path / "runs", "net", 0, rows, classes=replace(THREE, names=names))
    run_report([tmp_path / "runs"], tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    assert "the 6 classes of most images" in page and "its shares and images are in confusion.csv" in page
    assert len(rows_of(tmp_path / "out" / "confusion.csv")) == 900 and len(page) < 1_000_000
