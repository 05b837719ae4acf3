"""The notebooks of the docs run from first cell to last, and show what they showed when they were stored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from docs.notebooks import NOTEBOOKS, run

SMALLER = {'"search.epochs": 2, "retrain.epochs": 8': '"search.epochs": 1, "retrain.epochs": 1'}


def kinds(notebook: dict[str, Any]) -> list[list[str]]:
    """What each code cell shows: text, pictures."""
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    return [[output["output_type"] for output in cell["outputs"]] for cell in cells]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_shows_what_is_stored(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NNI_PLATFORM", raising=False)
    text = path.read_text(encoding="utf-8")
    stored = json.loads(text)
    for usual, smaller in SMALLER.items():
        text = text.replace(json.dumps(usual)[1:-1], json.dumps(smaller)[1:-1])
    copy = tmp_path / path.name
    copy.write_text(text, encoding="utf-8")
    assert kinds(run(copy)) == kinds(stored)
    assert sum("display_data" in shown for shown in kinds(stored)) >= 4  # images, cells, curves, a map
