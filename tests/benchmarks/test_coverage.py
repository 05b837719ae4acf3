"""Cross-validated AUCs scatter more than their intervals say, where there is nothing to learn."""

from __future__ import annotations

import pytest

from benchmarks import coverage


def test_scatter_over_data_sets_exceeds_that_of_the_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coverage, "DATA_SETS", 60)
    monkeypatch.setattr(coverage, "NEW", 1000)
    row = coverage.simulated(60, 2, 5, 0.5)
    assert row["truth"] == pytest.approx(0.5, abs=0.01)
    assert row["sd"] > 1.2 * row["sd_of_intervals"]  # twice its standard error
    assert row["missed"] > 0.05
    easy = coverage.simulated(60, 2, 5, 0.9)
    assert easy["truth"] == pytest.approx(0.9, abs=0.03)
    assert easy["sd"] < row["sd"]
