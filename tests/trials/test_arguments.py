"""Numbers and pairs that cannot be are refused up front: by name, value, expectation and way out."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from trials.cli import main
from trials.errors import SettingsError
from trials.settings.load import load_settings
from trials.settings.schema import check_folds
from trials.stage import main as stage
from trials.stage import run_stage


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return what is said of arguments of the command that are wrong usage."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    return capsys.readouterr().err


RUN = {
    "search": ["search"],
    "retrain": ["retrain", "--architecture", "a.json", "--layout", "enas7"],
    "train": ["train", "--method", "hog"],
    "rank": ["rank", "--index", "1"],
}


@pytest.mark.parametrize("verb", RUN)
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--folds", "0"], "--folds: 0: expected a whole number from 1 up"),
        (["--folds", "0", "--fold", "0"], "--folds: 0: expected"),
        (["--folds", "-5", "--fold", "0"], "--folds: -5: expected"),
        (["--folds", "two", "--fold", "0"], "--folds: two: expected a whole number"),
        (["--folds", "5"], "--folds needs --fold"),
        (["--folds", "5", "--fold", "5"], "fold = 5: there are 5 folds, counted from 0"),
        (["--fold", "-1"], "--fold: -1: expected a whole number from 0 up"),
        (["--seed", "-1"], "--seed: -1: expected a whole number from 0 to 4294967295"),
        (["--seed", "4294967296"], "--seed: 4294967296: expected"),
        (["--seed", "1.5"], "--seed: 1.5: expected"),
        (["--set", "retrain.epochs=true"], "retrain.epochs = True: expected a number"),
        (["--set", "retrain.epochs=NaN"], "retrain.epochs = nan"),
        (["--set", "retrain.learning_rate=Infinity"], "retrain.learning_rate = inf"),
        (["--set", "search.learning_rate=1e999"], "search.learning_rate = inf"),
        (["--set", "retrain.epochs=-3"], "retrain.epochs = -3"),
        (["--set", "retrain.learning_rate_min=0.5"], "retrain.learning_rate_min = 0.5 is above"),
        (
            ["--set", "search.learning_rate_min=0.5"],
            "search.learning_rate_min = 0.5 is above search.learning_rate",
        ),
        (["--set", "retrain.loss=ordinal"], "retrain.loss = ordinal is for ordered classes: name them"),
        (["--set", "data.image_size=5000"], "data.image_size = 5000"),
        (["--positive", ""], "data.positive = ''"),
    ],
)
def test_runs_refuse_what_cannot_be(
    verb: str, arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(capsys, *RUN[verb], "--data", "nowhere", "--out", str(tmp_path / "out"), *arguments)
    assert words in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["verify", "nowhere", "--folds", "0"], "--folds: 0: expected a whole number from 2 up"),
        (["verify", "nowhere", "--folds", "1"], "--folds: 1: expected"),
        ([*RUN["rank"][:1], "--index", "-1"], "--index: -1: expected"),
        ([*RUN["rank"], "--count", "1"], "--count: 1: expected a whole number from 2 up"),
        (["search", "--devices", "0"], "--devices: 0: expected a whole number from 1 up"),
        (["architecture", "a.json", "--filters", "0"], "--filters: 0: expected"),
        (["architecture", "a.json", "--channels", "-3"], "--channels: -3: expected"),
        (["architecture", "a.json", "--classes", "1"], "--classes: 1: expected a whole number from 2 up"),
        (["architecture", "a.json", "--image-size", "0"], "--image-size: 0: expected"),
        (
            ["study", "nowhere", "--out", "out", "--port", "70000"],
            "--port: 70000: expected a whole",
        ),
        (["launch", "study", "--port", "web"], "--port: web: expected a whole number from 0 to 65535"),
        (["evaluate", "run", "--out", "o", "--group-column", "case"], "--group-column is of --data: name"),
        (["report", "run", "--out", "o", "--group-column", "case"], "--group-column is of --data: name"),
        (
            [*RUN["train"], "--data", "nowhere", "--out", "o", "--external-group-column", "case"],
            "--external-group-column is of --external",
        ),
        (["verify", "nowhere", "--set", "retrain.epochs=3"], "retrain.epochs: verify reads data alone"),
    ],
)
def test_other_verbs_refuse_what_cannot_be(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert words in refused(capsys, *arguments)


@pytest.mark.parametrize("verb", RUN)
@pytest.mark.parametrize("inside", [False, True])
def test_a_dry_run_refuses_a_file_for_a_folder(
    verb: str, inside: bool, tmp_path: Path, lesions: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    out = tmp_path / "notes.txt" / "out" if inside else tmp_path / "notes.txt"
    run = [*RUN[verb], "--data", str(lesions), "--out", str(out), "--dry-run"]
    assert main(run) == 1
    said = capsys.readouterr().err
    assert "notes.txt: expected a folder to write to, found a file; name another" in said
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_report_refuses_its_place_before_the_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").write_text("mine")
    assert main(["report", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    assert "found a file" in capsys.readouterr().err


@pytest.mark.parametrize("prevalence", ["1.5", "nan", "0", "-0.1", "inf"])
def test_a_report_refuses_a_prevalence_that_cannot_be(
    prevalence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = ["report", str(tmp_path), "--out", str(tmp_path / "out"), "--prevalence", prevalence]
    assert main(report) == 1
    assert f"prevalence {float(prevalence)}: expected a share between 0 and 1" in capsys.readouterr().err


def test_equal_rates_and_a_raised_pair_are_taken() -> None:
    rates = {"retrain.learning_rate": 1e-5, "retrain.learning_rate_min": 1e-5}
    assert load_settings("quick", rates).retrain.learning_rate_min == 1e-5
    with pytest.raises(SettingsError, match=r"learning_rate = 1e-05: raise the one or lower the other"):
        load_settings("quick", {"retrain.learning_rate": 1e-5})


@pytest.mark.parametrize(
    ("folds", "fold", "seed"), [(0, None, 0), (-1, 0, 0), (2, 2, 0), (2, -1, 0), (2, 0, -1), (2, 0, 2**32)]
)
def test_folds_that_cannot_be(folds: int, fold: int | None, seed: int) -> None:
    with pytest.raises(SettingsError, match=r"(folds|fold|seed) = "):
        check_folds(folds, fold, seed)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"folds": 0}, "folds = 0: expected 1 or more"),
        ({"folds": True}, "folds = True: expected a whole number"),
        ({"fold": -1}, "fold = -1: expected 0 or more"),
        ({"fold": 7}, "fold = 7: there are 2 folds"),
        ({"fold": 0.5}, "fold = 0.5: expected a whole number"),
        ({"fold": "0"}, "fold = '0': expected a whole number"),
        ({"seed": float("nan")}, "seed = nan: expected a whole number"),
        ({"seed": -2}, "seed = -2: expected 0 or more"),
        ({"stage": "rank", "layout": "enas7", "index": -1, "count": 3}, "index = -1"),
        ({"stage": "rank", "layout": "enas7"}, "stage rank: no index among"),
        ({"stage": "retrain"}, "stage retrain: no layout among"),
        ({"stage": "evaluate"}, "stage evaluate: no layouts among"),
        ({"stage": "evaluate", "layouts": []}, r"layouts = \[\]: expected a list"),
        ({"stage": "dance"}, "stage 'dance': expected search, retrain"),
        ({"retrain.epochs": True}, "retrain.epochs = True"),
    ],
)
def test_a_trials_parameters_that_cannot_be_are_refused(
    changes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    parameters = {"stage": "search", "folds": 2, "fold": 0, "seed": 0} | changes
    with pytest.raises(ValueError, match=words):
        run_stage(parameters, tmp_path / "nowhere", tmp_path / "out", "quick")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--phantoms", "0"], "--phantoms: 0: expected 2 images or more"),
        (["--phantoms", "-4"], "expected"),
        (["--data", "x", "--patience", "0"], "--patience: 0: expected minutes"),
        (["--data", "x", "--patience", "nan"], "--patience: nan: expected minutes"),
        (["--data", "x", "--patience", "inf"], "--patience: inf: expected minutes"),
    ],
)
def test_a_trials_command_refuses_what_cannot_be(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        stage([*arguments, "--out", str(tmp_path / "out")])
    assert ended.value.code == 2 and words in capsys.readouterr().err


def test_an_untested_run_is_no_evaluation(
    retrain: Callable[..., Mapping[str, Any]],
    lesions: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = ["train", "--method", "hog", "--data", str(lesions), "--profile", "quick", "--untested"]
    assert main([*run, "--folds", "2", "--fold", "0", "--out", str(tmp_path / "run")]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(tmp_path / "run"), "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert "judged by its validation images alone" in said and "without --untested" in said
