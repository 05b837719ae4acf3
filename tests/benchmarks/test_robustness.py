"""A short campaign: the stages of `make demo` end with the instructions of another processor too."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from benchmarks.robustness import campaign, kill_campaign, lost_hosts, stability
from tests.helpers.tiny import TINY


def test_demo_holds_on_an_older_processor_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign, "LAYOUTS", ("enas7",))  # the larger one has the same layers
    row = campaign.demo("avx2, default", 2, tmp_path, images=24, settings=TINY)
    assert (row["stages"], row["failed"], row["not_finite"]) == (3, 0, 0)
    assert 0 <= row["enas7_auc"] <= 1


def test_numbers_that_are_not_finite_are_counted(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"auc": NaN, "rows": [1.0, Infinity]}')
    (tmp_path / "b.csv").write_text("file,probability\nnan.png,nan\nb.png,0.5\n")
    assert campaign.not_finite(tmp_path) == 3


def test_failed_stage_is_counted_and_not_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign, "run_stage", lambda *_: False)
    row = campaign.demo("own", 0, tmp_path)
    assert row["failed"] == 4
    assert row["enas7_auc"] is None
    assert json.loads(row["cells"]) == []


def test_published_campaign_has_no_failure() -> None:
    with (campaign.ROOT / "results" / campaign.TABLE).open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert {row["instructions"] for row in rows} == set(campaign.INSTRUCTIONS)
    assert len({row["seed"] for row in rows}) == 12
    assert all((row["failed"], row["not_finite"]) == ("0", "0") for row in rows)


def test_a_campaign_holds_if_nothing_failed_and_all_is_finite() -> None:
    held = {"failed": 0, "not_finite": 0}
    assert campaign.verdict([held, held]) == ("2 demos: 0 stages failed, 0 numbers not finite", True)
    text, holds = campaign.verdict([held, {"failed": 1, "not_finite": 3}])
    assert text == "2 demos: 1 stages failed, 3 numbers not finite" and not holds


def test_cells_are_numbered_in_order_of_first_appearance() -> None:
    rows = campaign.numbered([{"cells": name} for name in ("x", "y", "x")])
    assert [row["cells"] for row in rows] == [1, 2, 1]


def test_stability_counts_what_diverges_in_each_group() -> None:
    group = {"profile": "cpu", "layout": "enas7", "remedy": "none"}
    records = [
        {**group, "kind": "random", "largest_loss": 0.7, "auc": 0.8},
        {**group, "kind": "random", "largest_loss": 3.0, "auc": 0.6},
        {**group, "kind": "random", "largest_loss": None, "auc": None},
        {**group, "kind": "found", "largest_loss": None, "auc": None},
    ]
    found, random = stability.rows(records)
    assert (random["architectures"], random["not finite"], random["loss above 2"]) == (3, 1, 1)
    assert (random["median largest loss"], random["largest loss"]) == ("3", "inf")
    assert (random["mean AUC"], random["lowest AUC"]) == (0.7, 0.6)
    assert (found["kind"], found["mean AUC"], found["largest loss"]) == ("found", None, "inf")


def test_kills_that_came_too_late_do_not_count() -> None:
    lives = [
        {"kills": [{"target": "trial", "stage": "search", "killed": 1}], "lost": []},
        {
            "kills": [
                {"target": "group", "stage": "search", "killed": 4},
                {"target": "manager", "stage": "retrain", "killed": 0},
            ],
            "lost": ["evaluation: not done", "fold0/search/candidates.json"],
        },
    ]
    assert kill_campaign.counted(lives) == {
        "kills": 2,
        "by_target": {"trial": 1, "group": 1},
        "by_stage": {"search": 2},
        "lives": 2,
        "losses": 1,
    }


def test_a_way_to_lose_a_host_is_missed_if_anything_was_lost() -> None:
    lost, seconds = lost_hosts.rounds("power", [0.0, 2.0], [100.0, 140.0])
    assert (lost["median"], lost["max"], lost["met"]) == (1, 2, False)
    assert (seconds["median"], seconds["n"]) == (120, 2)
    assert lost_hosts.rounds("power", [0.0], [1.0])[0]["met"]
