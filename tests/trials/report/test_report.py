"""The page and its tables: right figures, nothing loaded, nothing believed."""

import csv
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from search_space import Architecture
from tests.helpers.images import write_frames
from tests.helpers.report_runs import GOOD, POOR, table, write_comparison, write_run, write_search
from trials.cli import main
from trials.data.dataset import LesionData
from trials.data.load import load
from trials.errors import EvaluationError, RunFolderError
from trials.report.comparison import read_comparison
from trials.report.data_set import DataSet
from trials.report.mistakes import worst_mistakes
from trials.report.paired_tests import within_layouts
from trials.report.report import run_report, text
from trials.report.summaries import by_patient, summarise

BESIDE = ("figures/", "methods.txt", "checklists.csv")
VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Reads a page, and fails where its elements do not close in order."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += " " + data

    @property
    def words(self) -> str:
        return re.sub(r"\s+", " ", self.text)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two reports of a comparison; never written to."""
    folder = tmp_path_factory.mktemp("reported")
    runs = write_comparison(folder / "runs")
    results = [run_report([runs], folder / name) for name in ("out", "again")]
    assert [result["reference"] for result in results] == ["hog", "hog"]
    return [folder / "out", folder / "again"]


@pytest.fixture(scope="module")
def reported(twice: list[Path]) -> Path:
    """The report of a comparison; never written to."""
    return twice[0]


def test_results_are_those_worked_by_hand(reported: Path) -> None:
    rows = {row["method"]: row for row in rows_of(reported / "results.csv")}
    net = rows["enas7"]
    # Fold 0 orders 8 of 9 pairs, fold 1 all; pooled 0.7 loses to 0.6 and ties with 0.7: 34.5 of 36.
    assert float(net["auc"]) == pytest.approx(17 / 18, abs=1e-6)
    assert float(net["auc_sd"]) == pytest.approx((1 / 9) / 2**0.5, abs=1e-6)
    assert float(net["pooled_auc"]) == pytest.approx(34.5 / 36, abs=1e-6)
    assert float(net["low"]) < 34.5 / 36 <= float(net["high"])
    assert [float(net[name]) for name in ("accuracy", "tpr", "tnr", "precision")] == pytest.approx(
        [11 / 12, 1, 5 / 6, 6 / 7], abs=1e-6
    )
    assert (net["n"], net["positives"], net["groups"], net["folds"], net["seeds"]) == (
        "12",
        "6",
        "10",
        "2",
        "0",
    )
    assert (net["parameters"], net["macs"], net["seconds"]) == ("1234567", "89", "10.5")
    assert (net["device"], net["threads"], net["commit"], net["profile"]) == ("x86_64", "1", "abc123", "cpu")
    assert rows["hog"]["parameters"] == "" and rows["tuned"]["saw_other_data"] == "yes"
    measures = {row["measure"]: row for row in rows_of(reported / "measures.csv") if row["method"] == "enas7"}
    assert float(measures["mcc"]["estimate"]) == pytest.approx((6 * 5) / (7 * 6 * 6 * 5) ** 0.5, abs=1e-6)
    assert float(measures["f1"]["estimate"]) == pytest.approx(2 * 6 / (2 * 6 + 1), abs=1e-6)
    assert float(measures["kappa"]["estimate"]) == pytest.approx((11 / 12 - 1 / 2) / (1 - 1 / 2), abs=1e-6)
    assert float(measures["brier"]["estimate"]) == pytest.approx(1.1 / 12, abs=1e-6)  # 0.75 and 0.35
    assert float(measures["ppv"]["estimate"]) == pytest.approx(0.1 / (0.1 + 0.9 / 6), abs=1e-6)
    # Nearest to 0.5 are 0.6 and 0.4, then 0.7 twice, one of which is the only mistake.
    assert float(measures["accuracy_undecided_25"]["estimate"]) == pytest.approx(8 / 9, abs=1e-6)
    assert float(measures["accuracy_undecided_50"]["estimate"]) == 1
    assert float(measures["auc_of_fold_0"]["estimate"]) == pytest.approx(8 / 9, abs=1e-6)


def test_reference_is_the_strongest_without_cells_that_saw_no_other_data(
    comparison: Path, reported: Path, tmp_path: Path
) -> None:
    assert "Against HOG" in Page(reported / "report.html").words
    assert run_report([comparison], tmp_path / "out", reference="random")["reference"] == "random"
    with pytest.raises(EvaluationError, match="expected one of the methods enas7, hog, random, tuned"):
        run_report([comparison], tmp_path / "out", reference="resnet")


def test_tests_are_paired_and_corrected_over_their_table(reported: Path) -> None:
    tests = rows_of(reported / "tests.csv")
    against = {row["first"]: row for row in tests if row["table"] == "reference"}
    assert set(against) == {"enas7", "random", "tuned"}
    # The poor one misses two positives and calls one negative that the good one gets right.
    assert (against["enas7"]["only_first"], against["enas7"]["only_second"]) == ("3", "0")
    assert float(against["enas7"]["mcnemar_p"]) == 0.25
    assert float(against["enas7"]["accuracy_difference"]) == 0.25
    assert float(against["random"]["p"]) == 1 and float(against["random"]["auc_difference"]) == 0
    p = float(against["enas7"]["p"])
    assert p < 0.25 and against["tuned"]["p"] == against["enas7"]["p"]
    # Six p values in order: p, p, 0.25, 0.25, 1, 1, times 6, 5, 4, 3, 2, 1, never falling nor above 1.
    assert float(against["enas7"]["p_holm"]) == pytest.approx(6 * p, abs=1e-5)
    assert {row["mcnemar_p_holm"] for row in against.values()} == {"1.0"}
    (control,) = [row for row in tests if row["table"] == "layouts"]
    assert {control["first"], control["second"]} == {"enas7", "random"}


def test_page_says_everything_and_loads_nothing(reported: Path) -> None:
    page = Page(reported / "report.html")
    for tag, attributes in page.tags:
        assert tag not in {"script", "link", "iframe", "object", "base"}, tag
        for name in ("src", "href", "xlink:href", "srcset", "data", "poster"):
            beside = BESIDE if tag == "a" else ()  # a link to a file beside the page loads nothing
            assert (attributes.get(name) or "#").startswith(("#", "data:image/", *beside)), (tag, name)
        assert not any(name.startswith("on") for name in attributes)
    assert not re.search(r"@import|url\((?!#)", page.source)
    identifiers = [attributes["id"] for _, attributes in page.tags if attributes.get("id")]
    assert len(identifiers) == len(set(identifiers))
    for figure in (
        "0.944 ± 0.079",
        "0.958",
        "ENAS7",
        "1,234,567",
        "Not for clinical use",
        "2 images in 1 groups: its group holds more than one label",
        "x1.png",
        "abc123",
        "3.11.0",
        "found the cells of",
        "Against HOG",
        "The smallest difference",
        "Apart: began from weights trained on other images",
    ):
        assert figure in page.words, figure
    assert "Before you read the figures" not in page.words
    labels = [attributes.get("aria-label") for tag, attributes in page.tags if tag == "svg"]
    undecided = "Accuracy over the share left undecided"
    curves = ["ROC curves", "Calibration curves", undecided]
    assert labels == [*curves, "AUC of each fold", "History of the searches"]
    assert sum(tag == "img" for tag, _ in page.tags) == 2  # cells of both folds


def test_same_runs_give_the_same_bytes(twice: list[Path]) -> None:
    first, again = twice
    files = {str(file.relative_to(first)) for file in first.rglob("*.*")}
    assert {"results.csv", "measures.csv", "tests.csv", "figures/roc-curves.pdf"} <= files
    for file in files:
        assert (first / file).read_bytes() == (again / file).read_bytes(), file


def test_first_of_all_stands_a_summary(reported: Path) -> None:
    page = Page(reported / "report.html")
    start, end = page.source.index('id="summary"'), page.source.index('id="results"')
    summary = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.source[start:end]))
    for words in ("Best in the test ENAS7 AUC 0.958", "accuracy 0.917", "12 images in 10 groups"):
        assert words in summary, words
    for words in ("2 images: its group holds more than one label", "Failed no runs", "Warnings none"):
        assert words in summary, words
    assert "favours it" in summary and "few:" not in summary


def test_intervals_of_few_groups_have_a_caveat(tmp_path: Path) -> None:
    write_run(tmp_path / "runs", "net", 0, table(0, GOOD[0]))  # two groups of malignant images
    run_report([tmp_path / "runs"], tmp_path / "out")
    assert (
        "few: 2 groups of a class; the interval is too narrow" in Page(tmp_path / "out" / "report.html").words
    )


def test_methods_can_be_pasted_and_checklists_are_filled_where_the_runs_know(reported: Path) -> None:
    methods, page = (reported / "methods.txt").read_text(), Page(reported / "report.html")
    for words in (
        "lesions: 12 images (6 benign and 6 malignant) in 10 groups, digest d1.",
        "Left out were 2 images (its group holds more than one label).",
        "2 outer folds, each tested once",
        "Images of one group (column duplicate_group) were never on both sides of a split.",
        "TUNED began from weights trained on other images",
        "2,000 draws",
        "for the models as they are, of which those of different folds share training images.",
        "malignant where its probability reaches the frozen threshold",
        "commit abc123",
        "python 3.11.0",
    ):
        assert words in methods and words in page.words, words
    items = rows_of(reported / "checklists.csv")
    claim, tripod = (
        [row["item"] for row in items if row["checklist"] == name] for name in ("CLAIM 2024", "TRIPOD+AI")
    )
    assert claim == [str(number) for number in range(1, 45)]
    assert len(tripod) == 52 and len({number.rstrip("abcdefg") for number in tripod}) == 27
    known = {(row["checklist"], row["item"]): row["known"] for row in items}
    assert "2 images" in known["TRIPOD+AI", "11"] and "no size was planned" in known["CLAIM 2024", "21"]
    assert known["TRIPOD+AI", "17"] == known["CLAIM 2024", "33"] == ""  # ethics; no external test


def test_what_networks_alone_do_is_not_said_of_classical_methods(tmp_path: Path) -> None:
    data = {"image_size": 64, "fit": "stretch", "augmentation": "poses", "class_balance": "weighted_loss"}
    write_run(tmp_path / "svm", "hog", 0, table(0, GOOD[0]), settings={"data": data})
    run_report([tmp_path / "svm"], tmp_path / "alone")
    told = (tmp_path / "alone" / "methods.txt").read_text()
    assert "The method was HOG." in told and "DeLong" not in told
    assert "Random numbers began from seed 0." in told and not any(
        word in told for word in ("64 pixels", "poses", "weighted", "Networks")
    )
    settings = {"data": data, "retrain": {"optimizer": "sgd", "epochs": 3}}
    write_run(tmp_path / "net", "net", 0, table(0, GOOD[0]), settings=settings)
    run_report([tmp_path / "svm", tmp_path / "net"], tmp_path / "both")
    told = (tmp_path / "both" / "methods.txt").read_text()
    assert "Compared were HOG; NET." in told and "DeLong" in told
    assert (
        "For networks, images were standardised by training images and made 64 pixels a side (stretch)."
        in told
    )
    assert (
        "Training images were augmented (poses)." in told
        and "Networks were trained with sgd, 3 epochs." in told
    )
    assert "Class imbalance in networks: weighted loss. Networks began at random, from seed 0." in told


def test_recipes_are_told_apart_by_method_and_steps_that_cut_epochs_are_told(tmp_path: Path) -> None:
    for name, rate in (("one", 0.1), ("tuned", 0.2), ("two", 0.1)):
        recipe = {"optimizer": "sgd", "epochs": 40, "max_steps": 9, "learning_rate": rate}
        write_run(tmp_path / name, name, 0, table(0, GOOD[0]), settings={"retrain": recipe})
    run_report([tmp_path], tmp_path / "out")
    assert (
        "Networks were trained with sgd, 40 epochs, at most 9 steps, learning rate 0.2 (TUNED); sgd, "
        "40 epochs, at most 9 steps, learning rate 0.1 (the others)."
    ) in (tmp_path / "out" / "methods.txt").read_text()


def test_predictors_are_those_that_each_method_sees(tmp_path: Path) -> None:
    for name, seen in (("geometry", ["box"]), ("net", ["images", "covariates"]), ("old", None)):
        write_run(tmp_path / "runs" / name, name, 0, table(0, GOOD[0]), predictors=seen)

    def told() -> str:
        run_report([tmp_path / "runs"], tmp_path / "out")
        rows = rows_of(tmp_path / "out" / "checklists.csv")
        return next(row["known"] for row in rows if (row["checklist"], row["item"]) == ("TRIPOD+AI", "9b"))

    box, images = "width, height and ratio of the lesion's box", "the pixels of the images and the covariates"
    assert told() == f"Predictors were {box} (GEOMETRY); {images} (NET)."
    shutil.rmtree(tmp_path / "runs" / "net")
    assert told() == f"Predictors were {box} (GEOMETRY)."
    shutil.rmtree(tmp_path / "runs" / "old")
    assert told() == "Predictors were width, height and ratio of the lesion's box."


def test_what_a_run_of_all_data_was_tested_on_is_said(tmp_path: Path) -> None:
    outside = [
        (f"x{i}.png", label, f"g{i}", p) for i, (label, p) in enumerate([("benign", 0.1), ("malignant", 0.9)])
    ]
    run = {"external": outside, "external_name": "elsewhere", "folds": None}
    write_run(tmp_path / "final" / "net", "net", None, [], **run)
    run_report([tmp_path], tmp_path / "out")
    alone = (tmp_path / "out" / "methods.txt").read_text()
    assert "trained on all of the data and tested on external images alone." in alone
    for fold in (0, 1):
        write_run(tmp_path / f"fold{fold}" / "net", "net", fold, table(fold, GOOD[fold]))
    run_report([tmp_path / name for name in ("final", "fold0", "fold1")], tmp_path / "out")
    assert "estimated by 2 outer folds" in (tmp_path / "out" / "methods.txt").read_text()


def test_every_figure_lies_beside_the_page_as_vector_files(reported: Path) -> None:
    links = {
        attributes["href"] or "" for tag, attributes in Page(reported / "report.html").tags if tag == "a"
    }
    files = {str(file.relative_to(reported)) for file in (reported / "figures").iterdir()}
    pages = {f"figures/cells.pdf#page={page}" for page in (1, 2)}
    assert links - pages | {"figures/cells.pdf"} == files | {"methods.txt", "checklists.csv"}
    assert pages < links
    curves = ("roc-curves", "calibration", "accuracy-over-undecided", "auc-of-folds", "search-history")
    printed_cells = {"figures/cells-1.svg", "figures/cells-2.svg", "figures/cells.pdf"}
    assert files == {f"figures/{name}.{kind}" for name in curves for kind in ("svg", "pdf")} | printed_cells
    assert (reported / "figures" / "cells.pdf").read_bytes().count(b"/Type /Page ") == 2
    drawing = (reported / "figures" / "roc-curves.svg").read_text()
    assert ">sensitivity</text>" in drawing and "currentColor" not in drawing and "<image" not in drawing
    printed = (reported / "figures" / "roc-curves.pdf").read_bytes()
    assert b"/TrueType" in printed or b"/CIDFontType2" in printed
    assert b"/Type3" not in printed and b"CreationDate" not in printed


@pytest.mark.usefixtures("drawn")
def test_hostile_names_are_text(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    rows = [(evil, *row[1:]) if index == 3 else row for index, row in enumerate(table(0, GOOD[0]))]
    description = {
        "left_out": [{"file": evil, "label": evil, "group": evil, "reason": evil}],
        "notes": [evil],
        "group_source": evil,
        "images": {evil: 3},
        "groups": 2,
        "folds": evil,
    }
    write_run(
        tmp_path / "runs",
        "net",
        0,
        rows,
        label=f'{evil}" onload="x $\\frac',
        data=evil,
        commit=evil,
        device=evil,
        versions={evil: evil},
        profile=evil,
        description=description,
    )
    run_report([tmp_path / "runs"], tmp_path / "out")
    page = Page(tmp_path / "out" / "report.html")
    assert not any(tag == "script" for tag, _ in page.tags)
    assert not any("onload" in attributes for _, attributes in page.tags)
    assert evil in page.words  # said, as text


def test_several_seeds_are_the_mean_of_each_alone(comparison: Path, tmp_path: Path) -> None:
    for fold in (0, 1):
        place = comparison / "seed1" / f"fold{fold}"
        write_run(place / "hog", "hog", fold, table(fold, GOOD[fold]), seed=1)
        write_search(place / "search", Architecture.random(fold), fold, seed=1)
    result = run_report([comparison], tmp_path / "out")
    rows = {row["method"]: row for row in rows_of(tmp_path / "out" / "results.csv")}
    good, both, poor = rows["enas7"], rows["hog"], rows["random"]
    assert (good["seeds"], both["seeds"], good["auc_sd_seeds"]) == ("0", "0 1", "")
    for name in ("auc", "pooled_auc", "accuracy", "tpr", "tnr", "precision"):
        mean = (float(good[name]) + float(poor[name])) / 2
        assert float(both[name]) == pytest.approx(mean, abs=2e-6), name
    gap = abs(float(good["auc"]) - float(poor["auc"]))
    assert float(both["auc_sd_seeds"]) == pytest.approx(gap / 2**0.5, abs=1e-5)
    # Averaged, fold 0 has 0.9, 0.6, 0.6 above 0.2, 0.275 and two of them below 0.7; fold 1 ties at 0.5 once.
    assert (good["auc_together"], float(both["auc_together"])) == ("", pytest.approx(15.5 / 18, abs=1e-6))
    test = next(row for row in rows_of(tmp_path / "out" / "tests.csv") if row["first"] == "enas7")
    assert float(test["auc_difference"]) == pytest.approx(
        float(good["pooled_auc"]) - float(both["pooled_auc"]), abs=2e-6
    )
    assert float(test["accuracy_difference"]) == pytest.approx(0.125)
    page = Page(tmp_path / "out" / "report.html")
    for words in (
        "the mean over its seeds",
        "SD of seeds",
        "seeds together",
        " 2 0.861 ",
        "fold0/search, seed 1",
    ):
        assert words in page.words, words
    assert "(SD of 2 seeds 0." in text(result)


def test_one_seed_is_not_told_of_seeds(reported: Path) -> None:
    assert "SD of seeds" not in Page(reported / "report.html").words


def test_missing_fold_is_said_loudly(comparison: Path, tmp_path: Path) -> None:
    places = [comparison / "fold0", comparison / "fold1" / "hog"]
    result = run_report(places, tmp_path / "out")
    page = Page(tmp_path / "out" / "report.html")
    assert "Before you read the figures ENAS7: no finished run of fold 1" in page.words.replace("  ", " ")
    assert "without fold 1" in page.words and "missing" in page.words
    assert text(result).startswith("WARNING: ENAS7: no finished run of fold 1")


def test_data_add_pictures_shortcuts_and_subgroups(
    boxed_runs: Path, boxed: tuple[Path, LesionData], tmp_path: Path
) -> None:
    run_report([boxed_runs], tmp_path / "out", data=boxed[0])
    page = Page(tmp_path / "out" / "report.html")
    assert sum((attributes.get("src") or "").startswith("data:image/jpeg") for _, attributes in page.tags) > 0
    for words in ("the truth itself", "AUC within thirds", "<i>A</i>", "rarer values", "device", "birads"):
        assert words in page.words, words
    assert "histology" not in page.words


def test_boxes_that_masks_mark_are_the_geometry(tmp_path: Path) -> None:
    def noise(seed: int, *size: int) -> np.ndarray:
        return np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)

    data = load(write_frames(tmp_path, lambda of, n: (f"{of}/{n}.png", f"{of}/{n}_mask.png"), noise))
    known = DataSet(data, dict(zip(data.files, data.images, strict=True)))
    geometry = known.geometry(np.array(data.files))
    assert geometry is not None and geometry.tolist() == [[48, 48, 1]] * len(data.files)
    assert known.column("device", np.array(data.files)) is None


def test_a_row_of_external_images_names_the_seeds_that_were_tested_on_them(tmp_path: Path) -> None:
    rows = [("e0.png", "malignant", "e0", "0.9"), ("e1.png", "benign", "e1", "0.2")]
    for fold in (0, 1):
        first = {"external": rows, "external_name": "elsewhere"}
        write_run(tmp_path / "runs" / f"0{fold}", "net", fold, table(fold, GOOD[fold]), **first)
        write_run(tmp_path / "runs" / f"1{fold}", "net", fold, table(fold, POOR[fold]), seed=1)
    run_report([tmp_path / "runs"], tmp_path / "out")
    assert [row["seeds"] for row in rows_of(tmp_path / "out" / "results.csv")] == ["0 1", "0"]


def test_images_of_one_group_are_one_mistake(tmp_path: Path) -> None:
    said = [0.3, 0.1, 0.2, 0.7, 0.2, 0.1]  # all three positives are missed, two of them of group m1
    write_run(tmp_path / "runs", "net", 0, table(0, said))
    (net,) = read_comparison([tmp_path / "runs"]).methods
    assert net.tested is not None
    missed = [case for case in worst_mistakes(net.tested.binary) if case.truth]
    assert [(case.file, case.more) for case in missed] == [("0-1.png", 1), ("0-2.png", 0)]
    run_report([tmp_path / "runs"], tmp_path / "out")
    assert Page(tmp_path / "out" / "report.html").words.count("and 1 more of its group") == 1


def test_other_data_are_refused(comparison: Path, boxed: tuple[Path, LesionData], tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="is not the data of the runs"):
        run_report([comparison], tmp_path / "out", data=boxed[0])
    assert not (tmp_path / "out").exists()


def test_external_images_are_reported_by_patient(tmp_path: Path) -> None:
    patients = (
        ("p1", 1, 0.9),
        ("p1", 1, 0.3),
        ("p2", 1, 0.8),
        ("p3", 0, 0.6),
        ("p3", 0, 0.2),
        ("p4", 0, 0.1),
    )
    rows = [
        (f"e{index}.png", "malignant" if truth else "benign", patient, repr(p))
        for index, (patient, truth, p) in enumerate(patients)
    ]
    write_run(tmp_path / "runs", "net", 0, table(0, GOOD[0]), external=rows, external_name="elsewhere")
    run_report([tmp_path / "runs"], tmp_path / "out")
    inside, outside = rows_of(tmp_path / "out" / "results.csv")
    assert (inside["trained_on"], inside["data"], outside["data"]) == ("lesions", "lesions", "elsewhere")
    assert (outside["n"], outside["groups"], outside["folds"]) == ("6", "4", "")
    assert float(outside["auc"]) == pytest.approx(8 / 9, abs=1e-6)
    external = read_comparison([tmp_path / "runs"]).methods[0].external
    assert external is not None
    by = by_patient(external.binary)
    assert by.probabilities.tolist() == pytest.approx([0.6, 0.8, 0.4, 0.1])
    assert by.positive.tolist() == [True, True, False, False]
    assert "External test: elsewhere" in Page(tmp_path / "out" / "report.html").words


def test_random_labels_have_an_interval_that_holds_a_half(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    rows = [
        (f"{i}.png", "malignant" if random.random() < 0.3 else "benign", str(i), 0, repr(random.random()))
        for i in range(300)
    ]
    write_run(tmp_path, "net", 0, rows)
    (net,) = read_comparison([tmp_path]).methods
    assert net.tested is not None
    area = summarise(net, net.tested.binary).measures["auc"]
    assert area.low < 0.5 < area.high and area.high - area.low < 0.2


def test_only_cells_of_one_layout_are_paired(comparison: Path) -> None:
    pairs = within_layouts(read_comparison([comparison]).methods)
    assert [(one.name, two.name) for one, two in pairs] == [("enas7", "random")]


def test_report_is_renewed_but_not_for_other_data(comparison: Path, tmp_path: Path) -> None:
    run_report([comparison / "fold0"], tmp_path / "out")
    run_report([comparison], tmp_path / "out")
    write_run(tmp_path / "other", "net", 0, table(0, GOOD[0]), data_digest="d2")
    with pytest.raises(RunFolderError, match="another run"):
        run_report([tmp_path / "other"], tmp_path / "out")


def test_command_prints_the_headline_or_json(
    comparison: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(comparison), "--out", str(tmp_path / "out")]) == 0
    assert "ENAS7 on lesions: AUC 0.944 ± 0.079, pooled 0.958" in capsys.readouterr().out
    assert main(["report", str(comparison), "--out", str(tmp_path / "out"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["reference"] == "hog"
    assert main(["report", str(comparison), "--out", str(tmp_path / "out"), "--prevalence", "10"]) == 1
    assert "prevalence 10.0: expected a share" in capsys.readouterr().err
