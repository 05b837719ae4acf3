"""New folders are written whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from trials.data.phantoms import make_phantoms
from trials.data.prepare import prepare
from trials.errors import DataError


@pytest.mark.parametrize(
    "make", [lambda source, out: prepare(source, out), lambda _, out: make_phantoms(out, count=2)]
)
def test_nothing_is_written_over(
    make: Callable[[Path, Path], object], busi_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "kept.txt").write_text("mine")
    with pytest.raises(DataError, match="not an empty folder"):
        make(busi_folder, out)
    assert [path.name for path in out.iterdir()] == ["kept.txt"]


def test_interrupted_writing_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trials.data.phantoms.write_manifest", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        make_phantoms(tmp_path / "out", count=2, side=40)
    assert list(tmp_path.iterdir()) == []
