"""Progress goes to standard error: bars to a terminal, lines to a log, nothing for what is done at once."""

from __future__ import annotations

import io
import re
import sys

import pytest

from search_space import progress as module
from search_space.progress import progress


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AT_ONCE", "FIRST", "BETWEEN"):
        monkeypatch.setattr(module, name, 0.0)


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    shown = capsys.readouterr()
    assert not shown.out and "\r" not in shown.err
    return shown.err.splitlines()


@pytest.mark.usefixtures("at_once")
def test_a_log_gets_lines_with_the_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress("abc", "letters read")) == ["a", "b", "c"]
    first, *_, last = lines(capsys)
    assert first.startswith("letters read: 0 of 3")
    assert re.fullmatch(r"letters read: 3 of 3, \d+:\d\d passed, 00:00 left", last)


@pytest.mark.usefixtures("at_once")
def test_a_log_is_not_filled(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(module, "BETWEEN", 1e9)
    assert sum(progress(range(1000), "numbers added")) == 499_500
    assert len(lines(capsys)) == 1


def test_what_is_done_at_once_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert sum(progress(range(1000), "numbers added")) == 499_500
    assert lines(capsys) == []


@pytest.mark.usefixtures("at_once")
def test_what_goes_on_counts_what_was_done_before(capsys: pytest.CaptureFixture[str]) -> None:
    bar = progress(what="steps", total=5, done=3)
    bar.update()
    bar.close()
    assert [line.partition(",")[0] for line in lines(capsys)][-1] == "steps: 4 of 5"


@pytest.mark.usefixtures("at_once")
def test_a_terminal_gets_a_bar_which_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    assert list(progress("ab", "letters read")) == ["a", "b"]
    drawn = sys.stderr.getvalue()
    assert "letters read" in drawn and "0/2" in drawn and drawn.endswith("\r") and "\n" not in drawn
