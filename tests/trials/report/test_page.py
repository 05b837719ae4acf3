"""How the page writes figures."""

import numpy as np
import pytest

from trials.evaluation.bootstrap import GroupBootstrap, Interval
from trials.evaluation.measures import decision
from trials.report.page import interval, signed


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (Interval(0.5, 0.25, 0.75), "0.500 <small>0.250 to 0.750</small>"),
        (Interval(0.5, np.nan, np.nan), "0.500"),
        (Interval(np.nan, np.nan, np.nan), "–"),
    ],
)
def test_an_interval_has_its_limits_in_small_letters(value: Interval, written: str) -> None:
    assert interval(value) == written


def test_where_nothing_is_called_wrongly_no_limits_pretend_certainty() -> None:
    right = decision("accuracy", np.ones(3), [True] * 3)
    found = GroupBootstrap([True, True, False], ["a", "b", "c"]).interval(right)
    assert found == Interval(1, 1, 1) and found.all_agree
    assert interval(found).endswith(">all draws agree</small>") and "1.000 <small" in interval(found)
    assert "all draws agree" in signed(Interval(0, 0, 0))
    assert (
        signed(Interval(-0.5, -1, 0.25)) == "\N{MINUS SIGN}0.500 <small>\N{MINUS SIGN}1.000 to +0.250</small>"
    )
