"""BUS-BRA as published."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.images import Picture, save
from trials.data.load import load
from trials.data.prepare import prepare
from trials.errors import DataError


@pytest.fixture
def busbra_folder(tmp_path: Path, picture: Picture) -> Path:
    """BUS-BRA's published layout: twelve patients, the first with two images."""
    root = tmp_path / "archive" / "BUSBRA"
    mask = np.zeros((80, 100), dtype=np.uint8)
    mask[20:60, 30:70] = 255
    rows = []
    for number in range(1, 14):
        case, side = max(1, number - 1), "r" if number == 2 else "l"
        name = f"{case:04}-{side}"
        save(picture(number, 80, 100), root / "Images" / f"bus_{name}.png")
        save(mask, root / "Masks" / f"mask_{name}.png")
        rows.append([f"bus_{name}", case, "cyst", ("benign", "malignant")[case % 2], 4, "GE", 100, 80, side])
    with (root / "bus_data.csv").open("w", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(
            ["ID", "Case", "Histology", "Pathology", "BIRADS", "Device", "Width", "Height", "Side"]
        )
        writer.writerows(rows)
    (root / "5-fold-cv.csv").write_text("ID,Pathology,BIRADS,kFold\n")
    return root


@pytest.mark.parametrize("deep", [False, True])
def test_busbra_is_cut_by_its_masks_and_grouped_by_case(deep: bool, busbra_folder: Path) -> None:
    data = load(busbra_folder.parent if deep else busbra_folder)
    assert data.layout == "busbra" and data.group_source == "column Case"
    assert {image.shape for image in data.images} == {(48, 48)}
    assert len(data.files) == 13 and len(set(data.groups)) == 12 and data.groups[0] == data.groups[1]
    assert data.files[1] == "Images/bus_0001-r.png" and data.classes[data.labels[1]] == "malignant"
    with pytest.raises(DataError, match=r"bus_data\.csv: no group column Patient"):
        load(busbra_folder, group_column="Patient")


def test_busbra_is_prepared_with_its_patients(busbra_folder: Path, tmp_path: Path) -> None:
    summary = prepare(busbra_folder, tmp_path / "crops")
    assert summary.groups == 12 and sum(summary.images.values()) == 13
    assert load(tmp_path / "crops").image_digests == load(busbra_folder).image_digests


@pytest.mark.parametrize("fault", ["mask", "image", "row", "path"])
def test_problems_of_busbra_are_named(fault: str, busbra_folder: Path) -> None:
    table = busbra_folder / "bus_data.csv"
    expected = {
        "mask": "no mask",
        "image": "there is no such file",
        "row": "row already",
        "path": "expected a",
    }
    if fault == "mask":
        (busbra_folder / "Masks" / "mask_0003-l.png").unlink()
    elif fault == "image":
        (busbra_folder / "Images" / "bus_0003-l.png").unlink()
    else:
        name = "bus_0003-l" if fault == "row" else "../x"
        table.write_text(table.read_text() + f"{name},3,cyst,benign,4,GE,100,80,l\n")
    with pytest.raises(DataError, match=expected[fault]):
        load(busbra_folder)


def test_images_missing_in_busbras_table_get_a_note(busbra_folder: Path, picture: Picture) -> None:
    save(picture(77), busbra_folder / "Images" / "bus_9999-l.png")
    assert "1 images skipped, not in bus_data.csv (Images/bus_9999-l.png)" in load(busbra_folder).notes
