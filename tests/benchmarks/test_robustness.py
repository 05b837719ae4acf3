"""A short campaign: the demo's stages end, on this processor and with another's instructions."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from benchmarks.robustness import campaign


def test_demo_holds_on_this_processor_and_on_an_older_one(tmp_path: Path) -> None:
    rows = [
        campaign.demo(name, seed, tmp_path / f"{seed}", images=60)
        for name, seed in (("own", 1), ("avx2, default", 2))
    ]
    for row in rows:
        assert (row["stages"], row["failed"], row["not_finite"]) == (4, 0, 0)
        assert 0 <= row["enas7_auc"] <= 1
        assert 0 <= row["enas17_auc"] <= 1


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
