"""Ranking: candidates of a search trained alone, and what a report makes of them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from search_space.enas.proxies import synflow
from tests.helpers.runs import rank_on, train_on
from tests.helpers.tiny import TINY
from trials.data.folds import assign_folds
from trials.data.load import load
from trials.errors import SettingsError
from trials.models.specs import CellNetwork, Shape
from trials.models.zoo import build
from trials.pipeline.found import read_ranking
from trials.pipeline.ranking import COUNT
from trials.report.controls import PROXIES, SHARED
from trials.report.report import run_report, text
from trials.training.seeding import seed_everything

SMALL = TINY | {"data.validation_fraction": 0.4, "search.final_samples": 6}
PLACE: dict[str, Any] = {"folds": 2, "fold": 0, "profile": "quick", "overrides": SMALL}


@pytest.fixture(scope="module")
def ranked(lesions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fold's folder with one method, three candidates of its random search and what ENAS found."""
    home = tmp_path_factory.mktemp("ranked") / "fold0"
    train_on(lesions, "geometry", out=home / "geometry", **PLACE)
    for index in range(4):
        rank_on(lesions, index, out=home / f"enas3-candidate{index}", layout="enas3", count=3, **PLACE)
    return home


@pytest.fixture(scope="module")
def reported(ranked: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """What a report of these tells, and its folder."""
    out = tmp_path_factory.mktemp("reported")
    return run_report([ranked], out), out


def metrics(folder: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
    return told


def test_candidates_are_std_over_the_whole_ranking(ranked: Path) -> None:
    told = [metrics(ranked / f"enas3-candidate{index}")["candidate"] for index in range(4)]
    assert [one["strategy"] for one in told] == ["enas", "random", "random", "random"]
    assert [one["place"] for one in told] == [1, 1, 3, 6] and {one["of"] for one in told} == {6}
    for index, one in enumerate(told):
        score, architecture = read_ranking(ranked / ("search-random" if index else "search"))[
            one["place"] - 1
        ]
        described = json.loads((ranked / f"enas3-candidate{index}" / "model.json").read_text())
        assert one["score"] == score and described["network"]["architecture"] == architecture.to_sample()


def test_no_candidate_sees_or_is_scored_on_the_outer_fold(ranked: Path, lesions: Path) -> None:
    data = load(lesions)
    test = {data.files[i] for i in assign_folds(data, 2).split(0)[1]}
    searched = json.loads((ranked / "search-random" / "search.json").read_text())["data"]
    for index in range(4):
        folder = ranked / f"enas3-candidate{index}"
        assert metrics(folder)["test"] is None
        assert len((folder / "predictions.csv").read_text().splitlines()) == 1
        scored = (folder / "validation_predictions.csv").read_text()
        assert len(scored.splitlines()) - 1 == searched["validation"] and not any(f in scored for f in test)
        seen = json.loads((folder / "retrain.json").read_text())["seen"]["image_digests"]
        assert not {data.image_digests[i] for i in assign_folds(data, 2).split(0)[1]} & set(seen)


def test_proxies_are_of_the_network_before_it_has_learned(ranked: Path) -> None:
    told = [metrics(ranked / f"enas3-candidate{index}")["proxies"] for index in range(4)]
    assert all(one["naswot"] > 0 for one in told) and len({one["naswot"] for one in told}) > 1
    described = json.loads((ranked / "enas3-candidate2" / "model.json").read_text())
    shape = Shape(described["channels"], 2, described["image_size"])
    seed_everything(0)
    network = build(CellNetwork(**described["network"]), shape)
    assert told[2]["synflow"] == synflow(network, shape.channels, shape.side)


def test_a_finished_candidate_is_only_reported(
    ranked: Path, lesions: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ranked / "enas3-candidate1"
    assert rank_on(lesions, 1, out=out, layout="enas3", count=3, **PLACE) == metrics(out)
    assert "done already" in capsys.readouterr().err


def test_a_report_tells_search_quality_beside_the_methods(
    ranked: Path, reported: tuple[dict[str, Any], Path]
) -> None:
    result, out = reported
    assert [row["method"] for row in result["results"]] == ["geometry"]
    (quality,) = result["search_quality"]
    alone = [metrics(ranked / f"enas3-candidate{index}")["validation"]["auc"] for index in range(4)]
    assert (quality["n"], quality["of"], quality["auc_found"]) == (3, 6, alone[0])
    pairs = [np.sign(alone[i] - alone[j]) for i, j in ((1, 2), (1, 3), (2, 3))]
    if 0 not in pairs:  # else tau-b has another denominator
        assert quality["tau"] == pytest.approx(sum(pairs) / 3, abs=1e-5)
    below = np.mean([(alone[0] > one) + (alone[0] == one) / 2 for one in alone[1:]])
    assert quality["percentile"] == pytest.approx(100 * below)
    page = (out / "report.html").read_text()
    assert "<h2>Search quality</h2>" in page and 'aria-label="Search quality"' in page
    random = metrics(ranked / "enas3-candidate1")["candidate"]
    told = json.loads((ranked / "search-random" / "search.json").read_text())["reliability"]
    assert {name: random[name] for name in told["accuracy"]} == told["accuracy"]
    for name in ("reliability", "tau_ceiling", "reward_error"):
        assert quality[name] == pytest.approx(told["accuracy"][name], abs=1e-6)
    assert f"reliability {quality['reliability']:.2f} allows a tau of" in text(result)
    assert "largest tau to expect" in page
    assert "Kendall's tau" in text(result)
    assert len((out / "search_quality.csv").read_text().splitlines()) == 2


def test_a_report_tells_scores_without_training_beside_the_search(
    ranked: Path, reported: tuple[dict[str, Any], Path]
) -> None:
    result, out = reported
    (quality,), rows = result["search_quality"], result["search_controls"]
    assert [row["score"] for row in rows] == [SHARED, *PROXIES.values()]
    assert rows[0]["tau"] == quality["tau"] and rows[0]["difference"] == 0
    parameters = [metrics(ranked / f"enas3-candidate{index}")["parameters"] for index in (1, 2, 3)]
    alone = [metrics(ranked / f"enas3-candidate{index}")["validation"]["auc"] for index in (1, 2, 3)]
    assert rows[1]["auc_chosen"] == pytest.approx(alone[np.argmax(parameters)], abs=1e-6)
    page = (out / "report.html").read_text()
    assert "Scores without any training" in page and "synaptic flow" in page
    for row in rows[1:]:
        if row["difference"] and row["difference"] > 0:
            assert f"{row['score']} (" in text(result) and "order candidates worse than" in page


def test_candidates_that_cannot_be_are_refused_before_any_search(lesions: Path, tmp_path: Path) -> None:
    for index, count, words in ((4, 3, "candidate 4 of 3"), (1, 7, "final_samples = 6")):
        with pytest.raises(SettingsError, match=words):
            rank_on(lesions, index, out=tmp_path / "out", count=count, **PLACE)
    assert not list(tmp_path.iterdir())


def test_a_dry_run_searches_and_writes_nothing(lesions: Path, tmp_path: Path) -> None:
    told = rank_on(lesions, 0, out=tmp_path / "out", layout="enas3", count=3, dry_run=True, **PLACE)
    assert told["data"]["test"] == 0 and told["estimate"]["seconds"] > 0
    assert not list(tmp_path.iterdir())


def test_the_experiment_is_what_enas_found_and_all_candidates() -> None:
    config = yaml.safe_load((Path(__file__).parents[3] / "nni_config" / "rank.yml").read_text())
    grid = {name: values["_value"] for name, values in config["searchSpace"].items()}
    assert grid["count"] == [COUNT] and grid["index"] == list(range(COUNT + 1))
    assert config["maxTrialNumber"] == len(grid["index"]) * len(grid["fold"]) * len(grid["seed"])
