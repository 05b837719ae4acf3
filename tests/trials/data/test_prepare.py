"""Frames with masks become crops with a manifest."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.images import Picture, save
from trials.data.load import load
from trials.data.prepare import prepare
from trials.errors import DataError

Rows = list[tuple[str, str, str]]


def test_prepared_patients_stay_patients(
    tmp_path: Path, picture: Callable[..., np.ndarray], capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in range(24):
        folder = tmp_path / "set" / ("benign", "malignant")[seed % 2] / f"P{seed // 4}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(seed, 80, 100)).save(folder / f"i{seed}.png")
        mask = np.zeros((80, 100), dtype=np.uint8)
        mask[20:60, 30:70] = 255
        Image.fromarray(mask).save(folder / f"i{seed}_mask.png")
    prepare(tmp_path / "set", tmp_path / "crops")
    assert "6 of them" in capsys.readouterr().err
    data = load(tmp_path / "crops")
    assert data.group_source == "column patient" and len(set(data.groups)) == 6 and not data.left_out


def test_prepared_boxes_are_in_pixels_of_the_source(tmp_path: Path, picture: Picture) -> None:
    mask = np.zeros((900, 1000), dtype=np.uint8)
    mask[100:700, 100:900] = 255
    source = tmp_path / "frames"
    for seed in range(4):
        label = ("benign", "malignant")[seed % 2]
        save(picture(seed, 900, 1000), source / label / f"{seed}.png")
        save(mask, source / label / f"{seed}_GT.png")
    prepare(source, tmp_path / "crops")
    with (tmp_path / "crops" / "manifest.csv").open(newline="") as lines:
        row = next(csv.DictReader(lines))
    assert [row[key] for key in ("x0", "y0", "x1", "y1")] == ["20", "40", "980", "760"]
    assert (row["width"], row["height"]) == ("960", "720")
    assert Image.open(tmp_path / "crops" / row["file"]).size == (512, 384)


def test_prepared_crops_load_as_the_frames_they_come_from(busi_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "crops"
    summary = prepare(busi_folder, out)
    assert summary.images == {"benign": 6, "malignant": 6} and summary.without_lesion == 1
    crops, frames = load(out), load(busi_folder)
    assert crops.files[0] == "benign_0001.png" and crops.group_source == "column duplicate_group"
    assert crops.image_digests == frames.image_digests and crops.groups == frames.groups
    with (out / "manifest.csv").open(newline="") as lines:
        row = next(csv.DictReader(lines))
    assert [int(row[key]) for key in ("x0", "y0", "x1", "y1")] == [26, 16, 74, 64]
    assert row["source_file"] == "benign/benign (1).png" and len(row["source_sha256"]) == 64


def test_prepare_refuses_what_it_cannot_do_and_leaves_nothing(
    busi_folder: Path,
    tmp_path: Path,
    manifest_folder: Callable[..., Path],
    balanced_rows: Callable[..., Rows],
) -> None:
    with pytest.raises(DataError, match="has no masks"):
        prepare(manifest_folder(balanced_rows(2, 2)), tmp_path / "out")
    (busi_folder / "benign" / "benign (2)_mask.png").write_bytes(b"")
    with pytest.raises(DataError, match="is empty"):
        prepare(busi_folder, tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"busi", "lesions"}


def test_real_busi_layout_is_prepared_with_its_duplicates_found(real_data: Path, tmp_path: Path) -> None:
    summary = prepare(real_data / "busi_layout_sample", tmp_path / "crops")
    assert summary.images == {"benign": 12, "malignant": 10} and summary.without_lesion == 3
    with (real_data / "busi" / "manifest.csv").open(newline="") as lines:
        truth = {Path(row["source_file"]).name: row["duplicate_group"] for row in csv.DictReader(lines)}
    with (tmp_path / "crops" / "manifest.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    pairs = {(row["duplicate_group"], truth[Path(row["source_file"]).name]) for row in rows}
    assert (
        len(pairs) == len({found for found, _ in pairs}) == len({true for _, true in pairs}) == summary.groups
    )
