"""Where the stages of an experiment read and write."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from trials import stage
from trials.data.split import Split
from trials.pipeline import ranking, search
from trials.settings.schema import Settings
from trials.stage import run_stage

DATA, OUT = Path("data"), Path("out")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, tuple[Any, ...], dict[str, Any]]]:
    """What the verbs are called with, instead of running them."""
    made: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def split(data: Path, settings: Settings, **place: Any) -> Any:
        return SimpleNamespace(data=data, **place)

    monkeypatch.setattr(Split, "load", split)
    monkeypatch.setattr(stage, "load_external", lambda path, settings, data: path)
    homes = {  # two are imported when they are needed
        **dict.fromkeys(("run_retrain", "run_train", "run_evaluate"), stage),
        **{"run_search": search, "run_rank": ranking},
    }
    for verb, home in homes.items():
        monkeypatch.setattr(
            home, verb, lambda *arguments, verb=verb, **named: made.append((verb, arguments, named))
        )
    return made


def test_a_retraining_takes_the_architecture_of_its_own_folds_search(calls: list[Any]) -> None:
    run_stage({"stage": "search", "folds": 5, "fold": 2}, DATA, OUT, "quick")
    run_stage({"stage": "retrain", "folds": 5, "fold": 2, "layout": "enas7"}, DATA, OUT, "quick")
    (_, (searched, _, search), _), (_, (retrained, _, architecture, out), _) = calls
    assert architecture == search / "architecture.json" == OUT / "fold2/search/architecture.json"
    assert out == OUT / "fold2/enas7"
    assert (searched.folds, searched.fold) == (retrained.folds, retrained.fold) == (5, 2)


def test_trials_that_differ_in_seed_or_settings_do_not_share_a_folder(calls: list[Any]) -> None:
    base = {"stage": "retrain", "folds": 5, "fold": 0, "layout": "enas7"}
    for differing in ({}, {"seed": 1}, {"retrain.epochs": 7}, {"retrain.epochs": 8}):
        run_stage(base | differing, DATA, OUT, "quick", architecture=Path("architecture.json"))
    assert len({arguments[-1] for _, arguments, _ in calls}) == 4
    assert [settings.retrain.epochs for _, (_, settings, *_), _ in calls][2:] == [7, 8]


def test_a_method_runs_in_its_folds_folder_with_what_differs_from_the_profile(calls: list[Any]) -> None:
    grid = {"stage": "train", "folds": 5, "fold": 2, "seed": 0, "method": "hog"}
    run_stage(grid, DATA, OUT, "quick", external=Path("other"))
    run_stage({**grid, "retrain.epochs": 7}, DATA, OUT, "quick")
    (_, (split, settings, name, out), first), (_, (_, changed, _, other), second) = calls
    assert (split.data, name) == (DATA, "hog") and out == OUT / "fold2/hog" != other
    assert (first["external"], second["external"]) == (Path("other"), None)
    assert (settings.given, changed.given) == ({}, {"retrain.epochs": 7})
    assert (split.folds, split.fold, split.seed, settings.profile) == (5, 2, 0, "quick")


def test_a_candidate_shares_its_searches_with_the_methods_of_fold_and_seed(calls: list[Any]) -> None:
    grid = {"folds": 5, "fold": 2, "seed": 1}
    run_stage({"stage": "train", "method": "enas7", **grid}, DATA, OUT, "quick")
    run_stage({"stage": "rank", "layout": "enas7", "index": 3, "count": 12, **grid}, DATA, OUT, "quick")
    (_, (*_, trained), _), (_, (split, settings, index, out), candidate) = calls
    assert (split.data, index) == (DATA, 3) and out == OUT / "seed1/fold2/enas7-candidate3"
    assert out.parent == trained.parent
    assert (candidate["count"], candidate["layout"], settings.given) == (12, "enas7", {})


def test_the_evaluation_takes_the_retrainings_that_came_to_their_end(
    calls: list[Any], tmp_path: Path
) -> None:
    for fold, done in enumerate(("true", "false")):
        (tmp_path / f"fold{fold}/enas7").mkdir(parents=True)
        (tmp_path / f"fold{fold}/enas7/metrics.json").write_text("{}")
        (tmp_path / f"fold{fold}/enas7/run.json").write_text(f'{{"done": {done}}}')
    run_stage({"stage": "evaluate", "folds": 2, "layouts": ["enas7"]}, DATA, tmp_path, "quick")
    assert calls == [("run_evaluate", ([tmp_path / "fold0/enas7"], tmp_path / "evaluation"), {"failed": []})]


def test_without_folds_results_stand_in_the_folder_itself(calls: list[Any]) -> None:
    for differing in ({}, {"seed": 1}, {"boosted.fusion": True}):
        run_stage({"stage": "train", "method": "boosted", **differing}, DATA, OUT, "patches")
    run_stage({"stage": "search"}, DATA, OUT, "patches")
    run_stage({"stage": "retrain", "layout": "enas7"}, DATA, OUT, "patches")
    places = ["boosted", "seed1/boosted", "boosted.fusion=True/boosted", "search", "enas7"]
    assert [arguments[-1] for _, arguments, _ in calls] == [OUT / place for place in places]
    assert {split.fold for _, (split, *_), _ in calls} == {None}
    assert calls[-1][1][2] == OUT / "search/architecture.json"


def test_tuning_trains_without_a_test_and_apart(calls: list[Any]) -> None:
    choices = {"stage": "tune", "method": "boosted", "boosted.attention": "cbam"}
    run_stage(choices | {"data.smallest_crop": None}, DATA, OUT, "patches")
    run_stage({"stage": "train", "method": "boosted"}, DATA, OUT, "patches")
    (_, (_, settings, name, out), tuned), (_, _, trained) = calls
    assert name == "boosted" and (tuned["tested"], trained["tested"]) == (False, True)
    assert out == OUT / "tuning/boosted.attention=cbam-data.smallest_crop=None/boosted"
    assert settings.given == {"boosted.attention": "cbam", "data.smallest_crop": None}


def test_the_words_of_version_0_1_still_work(calls: list[Any]) -> None:
    run_stage({"stage": "contend", "contestant": "hog"}, DATA, OUT, "quick")
    ((verb, (_, _, name, out), _),) = calls
    assert (verb, name, out) == ("run_train", "hog", OUT / "hog")


def test_trials_of_a_tuning_lie_in_their_folds_folder_and_share_its_search(calls: list[Any]) -> None:
    parameters = {"stage": "tune", "method": "enas_b", "folds": 5, "fold": 2, "seed": 1}
    run_stage(parameters | {"retrain.dropout": 3 * 0.1, "enas_b.cells": 11}, DATA, OUT, "quick")
    ((_, (_, settings, _, out), tuned),) = calls
    assert tuned["home"] == OUT / "seed1/fold2"
    assert out == tuned["home"] / "tuning/enas_b.cells=11-retrain.dropout=0.3/enas_b"
    assert settings.given["retrain.dropout"] == 0.30000000000000004


@pytest.mark.parametrize(("text", "fold"), [("3", 3), ("", None)])
def test_a_fold_that_the_tuner_does_not_choose_comes_from_the_command(
    text: str, fold: int | None, calls: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "trial_parameters", lambda: {"stage": "tune", "method": "enas_b"})
    assert stage.main(["--data", "data", "--out", "out", "--profile", "quick", "--fold", text]) == 0
    assert calls[0][1][0].fold == fold


def test_a_fold_that_is_no_number_is_refused(
    calls: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stage, "trial_parameters", lambda: {"stage": "tune", "method": "enas_b"})
    assert stage.main(["--data", "data", "--out", "out", "--fold", "first"]) == 1
    assert "--fold first: folds are whole numbers" in capsys.readouterr().err and not calls


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"stage": "serach"}, "search, retrain, train, tune, rank, evaluate, finish"),
        ({"stage": "search", "search.epoch": 3}, "search.epochs"),
        ({"stage": "evaluate", "layouts": ["enas7"]}, "nothing to evaluate"),
    ],
)
def test_what_cannot_run_is_refused_with_the_way_out(
    parameters: dict[str, Any], words: str, calls: list[Any], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=words):
        run_stage({"folds": 2, "fold": 0, **parameters}, DATA, tmp_path, "quick")
    assert not calls


def test_what_the_command_says_of_the_data_reaches_every_stage_and_names_no_folder(calls: list[Any]) -> None:
    of_data = {"data.group_column": "case", "data.accept": ["labels"]}
    base = {"folds": 5, "fold": 0}
    for named in (
        {"stage": "search"},
        {"stage": "retrain", "layout": "enas7"},
        {"stage": "train", "method": "hog"},
        {"stage": "rank", "layout": "enas7", "index": 3, "count": 12},
    ):
        run_stage({**base, **named}, DATA, OUT, "quick", of_data=of_data)
    outs = [arguments[-1].relative_to(OUT).as_posix() for _, arguments, _ in calls]
    assert outs == ["fold0/search", "fold0/enas7", "fold0/hog", "fold0/enas7-candidate3"]
    for _, (_, settings, *_), _ in calls:
        assert settings.data.group_column == "case" and settings.data.accept == ("labels",)


def test_the_command_line_says_what_it_is_of_the_data(
    calls: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "settings.json").write_text('{"data.positive": "cyst", "data": {"accept": ["groups"]}}')
    monkeypatch.setattr(stage, "trial_parameters", lambda: {"stage": "search"})
    monkeypatch.setattr(stage, "watch", lambda seconds, end: None)
    words = ["--data", "d", "--out", str(OUT), "--profile", "quick"]
    words += ["--settings", str(tmp_path / "settings.json")]
    assert stage.main([*words, "--group-column", "case", "--accept", "labels,left_out"]) == 0
    settings = calls[0][1][1]
    assert settings.data.accept == ("labels", "left_out") and settings.data.group_column == "case"
    assert settings.data.positive == "cyst" and calls[0][1][-1] == OUT / "search"


def test_what_the_command_does_not_say_comes_from_the_environment(
    calls: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "settings.json").write_text('{"retrain.epochs": 7}')
    named = {"DATASET": "d", "OUT": "o", "PROFILE": "quick", "EXTERNAL": "e", "GROUP_COLUMN": "case"}
    named |= {"ACCEPT": "labels,left_out", "SETTINGS": str(tmp_path / "settings.json"), "ARCHITECTURE": ""}
    for name, value in named.items():
        monkeypatch.setenv(f"LESION_NAS_{name}", value)
    monkeypatch.setattr(stage, "trial_parameters", lambda: {"stage": "train", "method": "hog"})
    monkeypatch.setattr(stage, "watch", lambda seconds, end: None)
    assert stage.main([]) == stage.main(["--out", "other", "--profile", "cpu"]) == 0
    (_, (split, settings, _, out), given), (_, (_, other, _, elsewhere), _) = calls
    assert (split.data, out, given["external"]) == (Path("d"), Path("o/hog"), Path("e"))
    assert (settings.profile, settings.retrain.epochs, settings.data.group_column) == ("quick", 7, "case")
    assert settings.data.accept == ("labels", "left_out")
    assert (other.profile, elsewhere) == ("cpu", Path("other/hog"))  # the command line comes first


def test_a_trial_of_no_images_is_told_to_name_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("LESION_NAS_DATASET", raising=False)
    with pytest.raises(SystemExit):
        stage.main([])
    assert "export LESION_NAS_DATASET=FOLDER" in capsys.readouterr().err
