"""A comparison of four methods, and a data set with boxes and devices."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tests.helpers.report_runs import write_comparison, write_run
from trials.data.dataset import LesionData
from trials.data.load import load
from trials.data.phantoms import make_phantoms


@pytest.fixture
def comparison(tmp_path: Path) -> Path:
    """Two folds of a searched network, its random control, a baseline and one that saw other data."""
    return write_comparison(tmp_path / "runs")


@pytest.fixture
def boxed(tmp_path: Path) -> tuple[Path, LesionData]:
    """A data set whose manifest has boxes and devices."""
    folder = tmp_path / "boxed"
    make_phantoms(folder, count=40, side=32)
    manifest = folder / "manifest.csv"
    with manifest.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    with manifest.open("w", newline="") as stream:
        writer = csv.DictWriter(
            stream, list(dict.fromkeys([*rows[0], "width", "height", "device", "BIRADS"]))
        )
        writer.writeheader()
        for number, row in enumerate(rows):
            size = {"width": 50 + number, "height": 30 + 7 * number % 41}
            writer.writerow({**row, **size, "device": ("<i>A</i>", "B")[number % 2], "BIRADS": number % 20})
    return folder, load(folder, covariates=["device"])


@pytest.fixture
def boxed_runs(boxed: tuple[Path, LesionData], tmp_path: Path) -> Path:
    """Runs of two folds on that data set."""
    _, data = boxed
    out = tmp_path / "boxed-runs"
    positive = data.labels == data.classes.index("malignant")
    numbers = {group: number for number, group in enumerate(dict.fromkeys(data.groups))}
    for fold in (0, 1):
        rows = [
            (file, label, group, fold, repr(float(0.3 + 0.3 * truth + 0.37 * (index % 7) / 6)))
            for index, (file, label, group, truth) in enumerate(
                zip(data.files, [data.classes[i] for i in data.labels], data.groups, positive, strict=True)
            )
            if numbers[group] % 2 == fold
        ]
        description = {"group_source": data.group_source, "left_out": [], "name": data.name}
        settings = {"data": {"covariates": ["device"]}}
        write_run(
            out / f"fold{fold}",
            "net",
            fold,
            rows,
            data_digest=data.digest,
            description=description,
            settings=settings,
        )
    return out
