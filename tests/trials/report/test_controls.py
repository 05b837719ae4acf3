"""Scores that need no training, beside a search's own, of candidates as plain data."""

from __future__ import annotations

from typing import Any

import pytest

from trials.report.controls import PROXIES, SHARED, controls_of, losses

ALONE = [
    0.90,
    0.91,
    0.92,
    0.93,
    0.94,
]  # AUCs of five candidates, which shared weights rank the other way round


def candidates(**proxies: Any) -> list[dict[str, Any]]:
    return [
        {
            "candidate": {"place": number},
            "parameters": 1000 * number,
            "macs": 7,
            "proxies": {name: scores[number - 1] for name, scores in proxies.items()},
        }
        for number in range(1, 6)
    ]


def test_each_score_is_told_beside_shared_weights() -> None:
    told = {one.label: one for one in controls_of(candidates(synflow=[5, 4, 3, 2, 1]), ALONE)}
    assert list(told) == [SHARED, *PROXIES.values()]
    assert (told[SHARED].tau.estimate, told[SHARED].chosen) == (-1, 0.90)
    assert (told["parameters"].tau.estimate, told["parameters"].chosen) == (1, 0.94)
    assert told["parameters"].difference.estimate == told["parameters"].difference.low == 2
    assert told["synaptic flow"].tau.estimate == -1 and told["synaptic flow"].difference.estimate == 0


@pytest.mark.parametrize("proxies", [{}, {"naswot": [1, 2, None, 4, 5]}])
def test_a_score_that_is_not_known_of_all_or_equal_is_left_open(proxies: dict[str, Any]) -> None:
    _, _, macs, _, naswot = controls_of(candidates(**proxies), ALONE)
    assert naswot.row() == ("NASWOT", *[None] * 7)
    assert macs.row() == ("multiply-adds", *[None] * 7)  # equal in all


def test_a_search_that_loses_is_said_to_lose() -> None:
    controls = controls_of(candidates(naswot=[1, 2, 3, 5, 4]), ALONE)
    worse, chosen = losses(controls, 0.935)
    assert (
        "tau of -1.00, order candidates worse than parameters (2.00 more, 2.00 to 2.00) and NASWOT" in worse
    )
    assert "0.935, is worse than the candidate chosen by parameters (0.940), from one training each" in chosen
    assert len(list(losses(controls, None))) == 1


def test_a_search_that_loses_to_nothing_is_not() -> None:
    best_first = list(reversed(ALONE))
    assert not list(losses(controls_of(candidates(naswot=[5, 4, 3, 1, 2]), best_first), 0.95))
