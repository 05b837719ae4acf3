"""Exported models in use, as by somebody who has nothing but their folder."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any


def alone(folder: Path, *arguments: str | Path) -> list[dict[str, Any]]:
    """Return what the loader says in a Python that knows no paths of ours."""
    command = [sys.executable, "-I", str(folder / "load_model.py"), *map(str, arguments)]
    told = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    assert told.returncode == 0, told.stderr
    answers: list[dict[str, Any]] = json.loads(told.stdout)
    return answers


def shares_of(answers: list[dict[str, Any]]) -> list[list[float]]:
    """Return the probabilities [n, k] of a loader's answers; of two classes the positive is the second."""
    if "probability" in answers[0]:
        return [[1 - answer["probability"], answer["probability"]] for answer in answers]
    return [list(answer["probabilities"].values()) for answer in answers]
