"""A run that failed stands in evaluation and report, with its reason, where it failed everywhere too."""

import csv
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from trials.cli import main
from trials.errors import RunFolderError
from trials.models.network import TrainedModel
from trials.pipeline.evaluate import text_table
from trials.pipeline.publish import run_publish
from trials.runs.folder import RunFolder, failure, is_done
from trials.stage import run_stage

Retrain = Callable[..., Mapping[str, Any]]


def fail(folder: Path, **identity: Any) -> None:
    with pytest.raises(ValueError, match="at loss"), RunFolder(folder, identity):
        raise ValueError("the training diverged at loss 4e6")


@pytest.fixture
def pipeline(finished: tuple[Path, Path], tmp_path: Path) -> Path:
    """Two folds of enas3, which came to their end, and of enas4, which failed in both."""
    for fold in (0, 1):
        place = tmp_path / "runs" / f"fold{fold}"
        shutil.copytree(finished[fold], place / "enas3")
        fail(place / "enas4", verb="retrain", method="enas4", fold=fold, seed=0)
    return tmp_path / "runs"


def test_a_layout_that_failed_in_every_fold_stands_in_the_evaluation(pipeline: Path) -> None:
    parameters = {"stage": "evaluate", "folds": 2, "seed": 0, "layouts": ["enas3", "enas4"]}
    parameters["failed"] = ["fold0/enas4", "fold1/enas4"]
    run_stage(parameters, pipeline, pipeline, "quick")
    result = json.loads((pipeline / "evaluation" / "evaluation.json").read_text())
    failed = result["methods"]["enas4"]
    assert [one["fold"] for one in failed["failed"]] == [0, 1]
    assert failed["failed"][0]["reason"] == "the training diverged at loss 4e6"
    assert failed["frozen"] is None and failed["runs"] == []
    text = (pipeline / "evaluation" / "evaluation.txt").read_text()
    assert text == f"{text_table(result)}\n"
    assert "enas4, fold 1: failed: the training diverged at loss 4e6" in text
    with (pipeline / "evaluation" / "evaluation.csv").open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["method"] == "enas4"]
    assert {row["images"] for row in rows} == {"fold 0: failed", "fold 1: failed"}
    assert not any(row["auc"] or row["n"] for row in rows)


def test_a_failed_search_takes_its_layouts_with_it_and_says_so(pipeline: Path) -> None:
    fail(pipeline / "fold2" / "search", verb="search", fold=2)
    parameters = {"stage": "evaluate", "folds": 3, "seed": 0, "layouts": ["enas3", "enas4"]}
    run_stage(parameters | {"failed": ["fold2/search", "fold0/enas4"]}, pipeline, pipeline, "quick")
    found = json.loads((pipeline / "evaluation" / "evaluation.json").read_text())["methods"]
    reason = "its search failed: the training diverged at loss 4e6"
    assert found["enas3"]["failed"] == [{"fold": 2, "seed": 0, "reason": reason}]
    assert [one["fold"] for one in found["enas4"]["failed"]] == [2, 0]


def test_where_everything_failed_the_reasons_are_what_is_told(tmp_path: Path) -> None:
    fail(tmp_path / "fold0" / "search", verb="search", fold=0)
    failed = ["fold0/search", "fold1/search"]
    parameters = {"stage": "evaluate", "folds": 2, "layouts": ["enas7"], "failed": failed}
    words = r"enas7, fold 0: its search failed: the training .* enas7, fold 1: .*no reason"
    with pytest.raises(ValueError, match=words):
        run_stage(parameters, tmp_path, tmp_path, "quick")
    assert main(["report", str(tmp_path), "--out", str(tmp_path / "out")]) == 1


def test_a_method_that_failed_everywhere_stands_in_the_report(
    pipeline: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(pipeline), "--out", str(tmp_path / "report"), "--json"]) == 0
    failed = json.loads(capsys.readouterr().out)["failed"]
    assert [(one["method"], one["fold"]) for one in failed] == [("enas4", 0), ("enas4", 1)]
    page = (tmp_path / "report" / "report.html").read_text()
    assert '<table id="failed">' in page and "<th>enas4, fold 1</th>" in page
    assert "the training diverged at loss 4e6" in page
    assert main(["report", str(pipeline), "--out", str(tmp_path / "report")]) == 0
    assert "enas4, fold 1: failed" in capsys.readouterr().out


def test_a_run_that_fails_leaves_its_reason_until_it_goes_on(
    retrain: Retrain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:

        def full(*_: object, **__: object) -> None:
            raise OSError(28, "No space left on device", "out/model")

        patched.setattr(TrainedModel, "logits", full)
        with pytest.raises(OSError, match="No space"):
            retrain(tmp_path / "run")
    assert "out/model: the disk is full" in str(failure(tmp_path / "run"))
    assert main(["evaluate", str(tmp_path / "run"), "--out", str(tmp_path / "out")]) == 1
    retrain(tmp_path / "run")
    assert is_done(tmp_path / "run") and failure(tmp_path / "run") is None


def test_an_interrupted_run_has_not_failed(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), RunFolder(tmp_path / "run", {}):
        raise KeyboardInterrupt
    assert failure(tmp_path / "run") is None


@pytest.mark.parametrize(("runs", "out"), [("nowhere", "../out"), ("", ""), ("", "fold9")])
def test_publishing_of_nothing_is_refused(runs: str, out: str, pipeline: Path) -> None:
    before = sorted(pipeline.rglob("*"))
    with pytest.raises(RunFolderError, match=r"no such folder|lies in"):
        run_publish([pipeline / runs], pipeline / out)
    assert sorted(pipeline.rglob("*")) == before and not (pipeline / "../out").exists()


def test_publishing_of_failed_runs_alone_is_refused(tmp_path: Path) -> None:
    fail(tmp_path / "runs" / "net", verb="train", method="net", fold=0)
    with pytest.raises(RunFolderError, match="no finished run there"):
        run_publish([tmp_path / "runs"], tmp_path / "out")
    assert not (tmp_path / "out").exists()
