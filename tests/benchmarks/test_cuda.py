"""What is to be timed on CUDA runs without it, and then says nothing about speed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks import measure
from benchmarks.speed import cuda


def test_without_cuda_the_steps_run_and_neither_figures_nor_a_file_come_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "results").mkdir()
    monkeypatch.setattr(measure, "ROOT", tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    ran = []
    make = cuda.repeat_step

    def counting(*arguments: object, **options: bool) -> object:
        step = make(*arguments, **options)
        return lambda: ran.append((options["mixed"], options["last"])) or step()

    monkeypatch.setattr(cuda, "repeat_step", counting)
    cuda.main()
    assert set(ran) == {(False, True), (True, False), (True, True)}
    assert "not measured" in capsys.readouterr().out
    assert not list((tmp_path / "results").iterdir())
