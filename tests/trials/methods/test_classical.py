"""An SVM of few patients: its order is never turned round, and what could not be chosen is said."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.svm import SVC

from tests.helpers.runs import train_on
from trials.cli import main
from trials.data.load import load
from trials.data.phantoms import make_phantoms
from trials.methods.learners import Samples, SVMLearner


def patients(positives: int, seed: int, signal: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two images each of so many malignant patients and of 20 others: features, truth, groups."""
    random = np.random.default_rng(seed)
    truth = np.repeat(np.arange(positives + 20) < positives, 2)
    features = random.normal(size=(len(truth), 6))
    features[truth] += signal
    return features, truth, np.repeat(np.arange(positives + 20), 2).astype(str)


@pytest.mark.parametrize("positives", [1, 2, 3])
@pytest.mark.parametrize("seed", range(6))
def test_the_order_is_the_svms_however_few_the_malignant_patients(positives: int, seed: int) -> None:
    features, truth, groups = patients(positives, seed)
    fitted = SVMLearner()(Samples(features, truth, groups), 0)
    odds = fitted.classifier.scores(features)
    assert np.isfinite(odds).all()
    orders = [SVC(C=C).fit(features, truth).decision_function(features) for C in (0.3, 1, 3, 10, 30)]
    assert any((np.argsort(odds) == np.argsort(order)).all() for order in orders)
    assert roc_auc_score(truth, odds) > 0.9
    assert (positives < 3) <= bool(fitted.warnings)


def test_one_malignant_patient_chooses_no_c_and_says_so() -> None:
    features, truth, groups = patients(1, 0)
    fitted = SVMLearner()(Samples(features, truth, groups), 0)
    assert "1 groups with positive images and 20 with others" in fitted.warnings[0] and not fitted.calibrated
    expected = SVC(C=1).fit(features, truth).decision_function(features)
    assert fitted.classifier.scores(features) == pytest.approx(expected)


def test_two_malignant_patients_choose_by_two_inner_folds_and_say_so() -> None:
    assert any("2 inner folds, not 3" in note for note in SVMLearner()(Samples(*patients(2, 0)), 0).warnings)


def test_a_sigmoid_that_would_turn_the_order_round_is_not_taken() -> None:
    """Without a signal, held-out decision values are below chance as often as above."""
    turned = []
    for seed in range(12):
        features, truth, groups = patients(4, seed, signal=0.0)
        fitted = SVMLearner()(Samples(features, truth, groups), 0)
        assert (
            roc_auc_score(truth, fitted.classifier.scores(features)) > 0.5
        )  # the SVM's, on what it was fitted to
        turned += [note for note in fitted.warnings if "turn the SVM's order round" in note]
    assert turned


def test_many_patients_need_no_note_and_are_calibrated() -> None:
    features, truth, groups = patients(20, 0, signal=0.4)
    fitted = SVMLearner()(Samples(features, truth, groups), 0)
    assert not fitted.warnings and fitted.calibrated
    shares = 1 / (1 + np.exp(-fitted.classifier.scores(features)))
    assert 0.3 < shares.mean() < 0.7


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Phantoms of which three patients are malignant: one is tested, one validates, one is trained on."""
    folder = tmp_path_factory.mktemp("few") / "few"
    make_phantoms(folder, count=60, side=32)
    data = load(folder)
    malignant = [
        file
        for file, label in zip(data.files, data.labels, strict=True)
        if data.classes[label] == "malignant"
    ]
    keep = dict.fromkeys(
        group for file, group in zip(data.files, data.groups, strict=True) if file in malignant
    )
    kept = set(list(keep)[:3])
    manifest = folder / "manifest.csv"
    lines = manifest.read_text().splitlines()
    gone = {
        file
        for file, group in zip(data.files, data.groups, strict=True)
        if file in malignant and group not in kept
    }
    manifest.write_text("\n".join(line for line in lines if line.split(",")[0] not in gone) + "\n")
    for file in gone:
        (folder / file).unlink()
    return folder


def test_what_an_svm_could_not_do_is_in_the_record_the_output_and_the_report(
    few: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides: Mapping[str, object] = {"data.balanced_draw": None}
    metrics = train_on(
        few, "hog", out=tmp_path / "fold0" / "hog", profile="quick", overrides=overrides, folds=3, fold=0
    )
    (note, *_) = metrics["warnings"]
    assert "groups with positive images" in note
    assert note in capsys.readouterr().err
    arguments = ["train", "--data", str(few), "--method", "hog", "--profile", "quick", "--folds", "3"]
    assert (
        main(
            [
                *arguments,
                "--fold",
                "0",
                "--out",
                str(tmp_path / "fold0" / "hog"),
                "--set",
                "data.balanced_draw=null",
            ]
        )
        == 0
    )
    assert note in capsys.readouterr().out
    assert main(["report", str(tmp_path / "fold0"), "--out", str(tmp_path / "report")]) == 0
    assert note in capsys.readouterr().out
    assert note.replace("'", "&#39;") in (tmp_path / "report" / "report.html").read_text()
    assert main(["evaluate", str(tmp_path / "fold0" / "hog"), "--out", str(tmp_path / "evaluation")]) == 0
    assert note in capsys.readouterr().out
