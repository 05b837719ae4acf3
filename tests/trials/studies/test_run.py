"""What a study does before and beside its experiment."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from trials.cli import main
from trials.data.phantoms import make_phantoms
from trials.data.split import Split
from trials.errors import DataError, ExperimentError, SettingsError
from trials.pipeline import search
from trials.settings.load import load_settings
from trials.studies import costs, run, timing
from trials.studies.costs import cost_of
from trials.studies.plan import Cost, make_plan
from trials.studies.run import Progress, default_methods, run_study, text
from trials.studies.timing import Timed


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "phantoms"
    make_phantoms(folder, 40)
    return folder


def studied(data: Path, out: Path, **changed: Any) -> dict[str, Any]:
    return run_study(data, out, **{"methods": ["hog", "statistics"], "seeds": 2, "folds": 2, **changed})


def test_a_dry_run_plans_and_writes_nothing(
    phantoms: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timing, "trials_at_once", lambda _: 1)  # process, for time's sake
    plan = studied(phantoms, tmp_path / "out", methods=["hog", "covariates"], dry_run=True)
    assert [cost["method"] for cost in plan["costs"]] == ["hog"] and plan["parts"] == 2
    assert plan["costs"][0]["seconds"] > 0 and plan["start_seconds"] > run.DISPATCH_SECONDS
    [left_out] = plan["left_out"]
    assert left_out["method"] == "covariates" and "none are set" in left_out["reason"]
    assert not list(tmp_path.iterdir())


def test_the_plan_of_the_first_start_is_kept_and_fills_the_experiments_file(
    phantoms: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def stop(config: Path, out: Path, **given: Any) -> list[Any]:
        asked.append(given["settings"])
        raise ExperimentError("stopped")

    timed = Timed(1.0, (Cost("hog", 1), Cost("statistics", 2)))
    monkeypatch.setattr(run, "time_methods", lambda *_, **__: timed)
    monkeypatch.setattr(run, "launch", stop)
    with pytest.raises(ExperimentError, match="stopped"):
        studied(phantoms, tmp_path)
    kept = (tmp_path / "plan.json").read_bytes()
    done = tmp_path / "fold1/part0of2/hog"
    done.mkdir(parents=True)
    (done / "run.json").write_text('{"done": true}')
    monkeypatch.setattr(run, "time_methods", None)  # it is not timed again
    with pytest.raises(ExperimentError, match="stopped"):
        studied(phantoms, tmp_path)
    assert (tmp_path / "plan.json").read_bytes() == kept
    config = yaml.safe_load((tmp_path / "study.yml").read_text())
    arguments = config["tuner"]["classArgs"]
    assert (sorted(arguments["methods"]), arguments["done"]) == (
        ["hog", "statistics"],
        ["fold1/part0of2/hog"],
    )
    assert config["maxTrialNumber"] == json.loads(kept)["trials"]
    assert Path(config["tuner"]["codeDirectory"], "tuner.py").is_file()
    assert asked == [{}, {}]
    (tmp_path / "plan.json").write_text(json.dumps(json.loads(kept) | {"max_steps": 5}))
    with pytest.raises(ExperimentError, match="stopped"):
        studied(phantoms, tmp_path)
    assert asked[-1] == {"retrain.max_steps": 5}  # its networks stop by then
    old = {key: value for key, value in json.loads(kept).items() if key != "start_seconds"}
    (tmp_path / "plan.json").write_text(json.dumps(old))
    with pytest.raises(ExperimentError, match="the plan of another version"):
        studied(phantoms, tmp_path)
    with pytest.raises(ExperimentError, match=r"begun with hours = 1\.0, not 2"):
        studied(phantoms, tmp_path, hours=2.0)
    with pytest.raises(ExperimentError, match=r"begun with settings = {}, not {'data.image_size': 32}"):
        studied(phantoms, tmp_path, settings={"data.image_size": 32})
    monkeypatch.setenv("LESION_NAS_PROFILE", "quick")  # its trials would read it
    with pytest.raises(ExperimentError, match="begun with profile = cpu, not quick"):
        studied(phantoms, tmp_path)


@pytest.mark.parametrize(
    ("changed", "error", "words"),
    [
        ({"methods": ["hgo"]}, SettingsError, "no method 'hgo'"),
        ({"methods": ["hog", "hog"]}, SettingsError, "hog: is named twice"),
        ({"methods": ["hog", "ensemble"]}, SettingsError, "ensemble: a study joins its methods itself"),
        ({"methods": ["enas_b"]}, SettingsError, "enas_b: takes settings from a tuning"),
        ({"seeds": 1}, SettingsError, "expected 2 seeds or more"),
        ({"hours": 0}, SettingsError, "hours above 0"),
        ({"hours": float("nan")}, SettingsError, "hours above 0"),
        ({"settings": {"protocol.cross_fit": 5}}, SettingsError, "cross_fit: a study sets it, by --seeds"),
        ({"settings": {"ensemble.members": "hog,cells7"}}, SettingsError, "members: a study sets it"),
        ({"config": "compare"}, ExperimentError, "expected the experiment of a study"),
    ],
)
def test_what_cannot_be_is_refused_before_anything(
    phantoms: Path, tmp_path: Path, changed: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        studied(phantoms, tmp_path, **changed)
    assert not list(tmp_path.iterdir())


def test_data_unfit_for_use_are_refused_with_all_problems(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with pytest.raises(DataError):
        studied(tmp_path / "data", tmp_path / "out")


def test_a_problem_of_the_data_is_told_once(
    phantoms: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    damaged = tmp_path / "data"
    shutil.copytree(phantoms, damaged)
    victim = min(damaged.glob("*.png"))
    victim.write_bytes(victim.read_bytes()[:200])
    assert main(["study", str(damaged), "--out", str(tmp_path / "out"), "--folds", "2"]) == 1
    assert "".join(capfd.readouterr()).count(victim.name) == 1


def test_the_methods_suit_the_data(phantoms: Path) -> None:
    split = Split.load(phantoms, load_settings("cpu"), folds=2, fold=0)
    found = default_methods(split)
    assert "statistics" not in found and ("hog_geometry" in found) == ("width" in split.data.table)


def trial(number: int, method: str, status: str, seconds: int, part: int = 0) -> dict[str, Any]:
    given = {"stage": "train", "method": method, "fold": number, "part": part, "parts": 2}
    return {
        "hyperParameters": [json.dumps({"parameters": given})],
        "status": status,
        "startTime": 0,
        "endTime": 1000 * seconds,
    }


def test_what_is_left_is_reckoned_by_what_trainings_of_the_method_took(tmp_path: Path) -> None:
    costs = [Cost("hog", 10), Cost("cells7", 100)]
    plan = make_plan(costs, folds=2, most_parts=2, at_once=2, hours=9, start_seconds=10)
    progress = Progress(plan, tmp_path)
    assert progress([]) == f"0 of 12 trainings done, about {_minutes(plan.seconds)} min left"
    assert progress([]) is None
    one = trial(0, "cells7", "SUCCEEDED", 210)
    assert (progress([one]) or "").startswith("1 of 12 trainings done")
    before, after = progress.seconds_left([]), progress.seconds_left([one])
    assert after == pytest.approx(before + (5 * 210 - 6 * 110) / 2)
    assert progress([one, trial(1, "hog", "RUNNING", 0)]) is None


def _minutes(seconds: float) -> int:
    return round(seconds / 60)


def test_a_result_is_told_in_five_lines() -> None:
    result = {
        "out": "out",
        "figures": ["ensemble on a: AUC 0.9", "ensemble on b: AUC 0.8"],
        "model": "final/ensemble",
        "exported": "out/model",
        "export_failed": None,
        "report": "out/report/report.html",
        "left_out": [{"method": "fold0/hog", "reason": "why"}],
    }
    lines = text(result).splitlines()
    assert lines[2:] == [
        "model: out/final/ensemble, exported to out/model",
        "report: out/report/report.html",
        "left out: fold0/hog: why",
    ]


def test_what_joins_methods_is_timed_by_its_members_and_may_be_cut_to_the_steps_of_few_images(
    phantoms: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load_settings("quick", {"data.image_size": 24, "retrain.filters": 2})
    split = Split.load(phantoms, settings, folds=2, fold=0)
    monkeypatch.setattr(costs, "FEW_IMAGES", 5)
    cost = cost_of("cells7_hog_geometry", split, settings, None, 2)
    assert (cost.epochs, cost.steps, cost.fewest_steps) == (12, 24, 12)  # of the 10 images of a part
    assert 0 < cost.steps * cost.step_seconds < cost.seconds + 0.1  # which are rounded
    settings = load_settings("quick", {"data.image_size": 24, "retrain.filters": 2, "retrain.epochs": 1})
    cost = cost_of("cells7", split, settings, None, 2)
    assert (cost.epochs, cost.steps, cost.fewest_steps) == (1, 2, 2)  # as was asked


@pytest.mark.parametrize(("method", "once"), [("hog_cells", True), ("hog", False)])
def test_of_an_own_split_a_fit_without_a_seed_is_planned_once(method: str, once: bool, patches: Path) -> None:
    settings = load_settings("quick", {"data.positive": "1"})
    assert cost_of(method, Split.load(patches, settings), settings, None, 2).once == once


def test_an_ensemble_costs_what_each_member_does_with_its_search_and_its_fit(
    phantoms: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(costs, "extrapolated", lambda *_: 1000.0)
    monkeypatch.setattr(search, "run_search", lambda *_, **__: {"estimate": {"seconds": 5000.0}})
    settings = load_settings("quick", {"data.image_size": 24, "retrain.filters": 2})
    split = Split.load(phantoms, settings, folds=2, fold=0)
    assert 6000 < cost_of("enas7_hog_geometry", split, settings, None, 2).seconds < 7000
    one, five = (cost_of(method, split, settings, None, 2) for method in ("cells7", "cells7_set5"))
    assert five.steps == one.steps and five.step_seconds > 2 * one.step_seconds


def test_frozen_features_are_timed_by_a_fit(phantoms: Path) -> None:
    settings = load_settings("quick", {"backbone.weights": "random"})
    split = Split.load(phantoms, settings, folds=2, fold=0)
    cost = cost_of("features:timm:test_convnext.r160_in1k", split, settings, None, 2)
    assert cost.seconds > 0 and cost.steps == 0
