"""Rows of a CSV file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from trials.data.load import load
from trials.errors import DataError


def test_cells_beyond_the_headings_are_refused(manifest_folder: Callable[..., Path]) -> None:
    root = manifest_folder([("a.png", "benign", "1"), ("b.png", "malignant", "2")])
    (root / "manifest.csv").write_text("file,label,patient\na.png,benign,1\nb.png,malignant, right,2\n")
    with pytest.raises(DataError, match=r"manifest\.csv, line 3: 4 cells, but the first line has 3"):
        load(root)


def test_columns_without_a_heading_are_skipped(manifest_folder: Callable[..., Path]) -> None:
    root = manifest_folder([("a.png", "benign", "1"), ("b.png", "malignant", "2")])
    (root / "manifest.csv").write_text(",file,label,patient,,\n0,a.png,benign,1,,\n1,b.png,malignant,2,,\n")
    assert load(root).groups == ("1", "2")
