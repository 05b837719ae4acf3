"""HAM10000 as published, and tables of the ISIC Archive."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.images import write_table
from trials.data.grouping import CONTRADICTORY
from trials.data.load import load
from trials.data.readers.ham10000 import HAM10000
from trials.data.readers.testing import ReaderTests, save_picture
from trials.errors import DataError

HEADINGS = ("lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization")
TABLE = "HAM10000_metadata.csv"
Rows = list[tuple[str, ...]]


def published() -> Rows:
    """Two images of each of eight lesions."""
    return [
        (f"HAM_{i // 2:07}", f"ISIC_{i:07}", ("mel", "nv")[i // 2 % 2], "histo", "50.0", "female", "back")
        for i in range(16)
    ]


def write(folder: Path, rows: Rows, table: str = TABLE, headings: tuple[str, ...] = HEADINGS) -> Path:
    """Write a table, and an image of each row in one of two folders of parts."""
    for seed, row in enumerate(rows):
        save_picture(folder / f"HAM10000_images_part_{1 + seed % 2}" / f"{row[1]}.jpg", seed)
    write_table(folder / table, headings, *rows)
    return folder


class TestHam10000(ReaderTests):
    reader = HAM10000
    positive = "mel"

    def write_data(self, folder: Path) -> Path:
        return write(folder, published())


class TestIsicArchive(ReaderTests):
    reader = HAM10000
    positive = "melanoma"

    def write_data(self, folder: Path) -> Path:
        rows = [(f"IP_{i // 4}", f"ISIC_{i:07}", ("melanoma", "nevus")[i // 4 % 2]) for i in range(24)]
        return write(folder, rows, "metadata.csv", ("patient_id", "isic_id", "diagnosis"))


@pytest.mark.parametrize("table", [TABLE, "HAM10000_metadata"])
def test_images_of_a_lesion_are_one_group_in_whatever_part_they_lie(table: str, tmp_path: Path) -> None:
    data = load(write(tmp_path, published(), table), positive="mel")
    assert data.layout == "ham10000" and data.classes == ("mel", "nv")
    assert data.group_source == "column lesion_id" and data.groups[:3] == ("HAM_0000000",) * 2 + (
        "HAM_0000001",
    )
    assert data.files[:2] == (
        "HAM10000_images_part_1/ISIC_0000000.jpg",
        "HAM10000_images_part_2/ISIC_0000001.jpg",
    )


def test_patients_are_the_groups_where_they_are_known_and_lesions_have_one_label(tmp_path: Path) -> None:
    rows = [(lesion, image, dx, f"P{i // 6}") for i, (lesion, image, dx, *_) in enumerate(published())]
    rows[1] = (*rows[1][:2], "nv", rows[1][3])  # of the first lesion, whose other image is mel
    folder = write(tmp_path, rows, headings=("lesion_id", "image_id", "dx", "patient_id"))
    data = load(folder, positive="mel")
    assert data.group_source == "column patient_id" and len(set(data.groups)) == 3
    assert [item.reason for item in data.left_out] == [CONTRADICTORY] * 2
    assert load(folder, positive="mel", group_column="lesion_id").group_source == "column lesion_id"
    with pytest.raises(DataError, match="no group column site, only lesion_id, patient_id"):
        load(folder, positive="mel", group_column="site")


def test_images_without_a_row_get_a_note(tmp_path: Path) -> None:
    folder = write(tmp_path, published())
    save_picture(folder / "HAM10000_images_part_2" / "ISIC_0099999.jpg", 99)
    note = f"1 images skipped, not in {TABLE} (HAM10000_images_part_2/ISIC_0099999.jpg)"
    assert note in load(folder, positive="mel").notes


def test_a_part_that_was_not_unpacked_is_a_problem(tmp_path: Path) -> None:
    folder = write(tmp_path, published())
    for path in (folder / "HAM10000_images_part_2").iterdir():
        path.unlink()
    with pytest.raises(DataError, match=r"8 images of .* not there \(ISIC_0000001\.jpg, .*all their parts"):
        load(folder, positive="mel")


def test_images_that_are_there_twice_are_named(tmp_path: Path) -> None:
    folder = write(tmp_path, published())
    save_picture(folder / "ham10000_images_part_1" / "ISIC_0000000.jpg", 0)
    with pytest.raises(DataError, match=r"1 images are there more than once, such as HAM.* and ham"):
        load(folder, positive="mel")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (("HAM_1", "", "nv"), "1 rows name no image"),
        (("HAM_1", "ISIC_0000000", "nv"), r"1 images have more than one row \(ISIC_0000000\)"),
        (("HAM_1", "ISIC_0000001", ""), r"1 images have no dx \(ISIC_0000001\)"),
    ],
)
def test_faulty_rows_are_refused(changed: tuple[str, ...], message: str, tmp_path: Path) -> None:
    folder = write(tmp_path, published())
    write_table(folder / TABLE, HEADINGS, *published(), changed)
    with pytest.raises(DataError, match=message):
        load(folder, positive="mel")


def test_two_tables_and_one_with_tabs_are_refused_with_the_way_out(tmp_path: Path) -> None:
    folder = write(tmp_path, published())
    write_table(folder / "ISIC2018_Task3_Test_GroundTruth.csv", HEADINGS, *published())
    with pytest.raises(DataError, match=r"HAM10000_metadata\.csv, ISIC2018.* all name images.*keep one"):
        load(folder, positive="mel")
    (folder / "ISIC2018_Task3_Test_GroundTruth.csv").unlink()
    (folder / TABLE).rename(folder / "HAM10000_metadata.tab")
    with pytest.raises(DataError, match="original format, as CSV"):
        load(folder, positive="mel")
