"""Exported models in use, as by somebody who has nothing but their folder."""

from __future__ import annotations

import io
import json
import runpy
import subprocess
import sys
import warnings
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class Told:
    """What a loader says: its answers, and in `words` its warnings or why it has ended."""

    ended: bool
    answers: list[dict[str, Any]]
    words: str


def alone(folder: Path, *arguments: str | Path) -> list[dict[str, Any]]:
    """Return what the loader says in a Python that knows no paths of ours."""
    command = [sys.executable, "-I", str(folder / "load_model.py"), *map(str, arguments)]
    told = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    assert told.returncode == 0, told.stderr
    answers: list[dict[str, Any]] = json.loads(told.stdout)
    return answers


def ask(folder: Path, *arguments: str | Path) -> Told:
    """Run the loader as a program in this process, which has imported what takes long."""
    said, file = io.StringIO(), str(folder / "load_model.py")
    with (
        pytest.MonkeyPatch.context() as patch,
        redirect_stdout(said),
        warnings.catch_warnings(record=True, action="always") as caught,
    ):
        patch.setattr(sys, "argv", [file, *map(str, arguments)])
        try:
            runpy.run_path(file, run_name="__main__")
        except SystemExit as end:
            return Told(True, [], str(end.code))
    return Told(False, json.loads(said.getvalue()), "\n".join(str(one.message) for one in caught))


def shares_of(answers: list[dict[str, Any]]) -> list[list[float]]:
    """Return the probabilities [n, k] of a loader's answers; of two classes the positive is the second."""
    if "probability" in answers[0]:
        return [[1 - answer["probability"], answer["probability"]] for answer in answers]
    return [list(answer["probabilities"].values()) for answer in answers]
