"""The ISIC challenges of 2018 and 2019 as published."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.helpers.images import write_table
from trials.data.load import load
from trials.data.readers.isic_challenge import ISIC_CHALLENGE
from trials.data.readers.testing import ReaderTests, save_picture
from trials.errors import DataError

TASK = "ISIC2018_Task3"
CLASSES = ("MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC")
OF_2019 = ("MEL", "NV", "BCC", "AK", "BKL", "DF", "VASC", "SCC", "UNK")


def names(start: int = 0) -> list[str]:
    return [f"ISIC_{number:07}" for number in range(start, start + 12)]


def one_hot(classes: Sequence[str], label: str) -> tuple[str, ...]:
    return tuple("1.0" if name == label else "0.0" for name in classes)


def write_part(folder: Path, part: str, start: int = 0) -> Path:
    """Write a part of the challenge of 2018: the ground truth in a folder of its own, and images."""
    for seed, name in enumerate(names(start), start=start):
        save_picture(folder / f"{TASK}_{part}_Input" / f"{name}.jpg", seed)
    truth = folder / f"{TASK}_{part}_GroundTruth"
    truth.mkdir()
    rows = [
        (name, *one_hot(CLASSES, ("MEL", "NV", "BCC")[i // 2 % 3])) for i, name in enumerate(names(start))
    ]
    write_table(truth / f"{truth.name}.csv", ("image", *CLASSES), *rows)
    return folder


def write_lesions(folder: Path) -> Path:
    rows = [(name, f"HAM_{i // 2:07}", "histopathology") for i, name in enumerate(names())]
    write_table(
        folder / f"{TASK}_Training_LesionGroupings.csv",
        ("image", "lesion_id", "diagnosis_confirm_type"),
        *rows,
    )
    return folder


class TestOf2018(ReaderTests):
    reader = ISIC_CHALLENGE
    positive = "MEL"

    def write_data(self, folder: Path) -> Path:
        return write_lesions(write_part(folder, "Training"))


class TestOf2019(ReaderTests):
    reader = ISIC_CHALLENGE
    positive = "MEL"

    def write_data(self, folder: Path) -> Path:
        for seed, name in enumerate(names()):
            save_picture(folder / "ISIC_2019_Training_Input" / f"{name}.jpg", seed)
        rows = [(name, *one_hot(OF_2019, ("MEL", "SCC")[i // 2 % 2])) for i, name in enumerate(names())]
        write_table(folder / "ISIC_2019_Training_GroundTruth.csv", ("image", *OF_2019), *rows)
        lesions = [(name, "50", "back", f"L{i // 2}", "male") for i, name in enumerate(names())]
        headings = ("image", "age_approx", "anatom_site_general", "lesion_id", "sex")
        write_table(folder / "ISIC_2019_Training_Metadata.csv", headings, *lesions)
        return folder

    def test_lesions_of_the_metadata_are_groups(self, path: Path) -> None:
        data = self.load(path)
        assert data.group_source == "column lesion_id" and len(set(data.groups)) == 6

    def test_columns_of_weights_are_no_classes(self, path: Path) -> None:
        table = path / "ISIC_2019_Training_GroundTruth.csv"
        before = self.load(path).digest
        first, *lines = table.read_text().splitlines()
        more = [f"{first},score_weight,validation_weight", *(f"{line},1.0,0.0" for line in lines)]
        table.write_text("\n".join(more))
        assert self.load(path).digest == before


def test_one_hot_columns_become_one_class_and_lesions_groups(tmp_path: Path) -> None:
    data = load(write_lesions(write_part(tmp_path, "Training")), positive="MEL")
    assert data.layout == "isic_challenge" and data.splits is None
    assert [data.classes[label] for label in data.labels[:6]] == ["MEL"] * 2 + ["NV"] * 2 + ["BCC"] * 2
    assert data.group_source == "column lesion_id" and len(set(data.groups)) == 6
    assert data.files[0] == f"{TASK}_Training_Input/ISIC_0000000.jpg"


def test_without_a_table_of_lesions_groups_come_from_the_images(tmp_path: Path) -> None:
    assert load(write_part(tmp_path, "Training"), positive="MEL").group_source == "perceptual hash"


def test_ground_truths_of_all_parts_are_the_split(tmp_path: Path) -> None:
    for number, part in enumerate(("Training", "Validation", "Test")):
        write_part(tmp_path, part, 12 * number)
    data = load(write_lesions(tmp_path), positive="MEL", accept=["groups"])  # lesions of training alone
    for number, part in enumerate(("training", "validation", "test")):
        assert [Path(data.files[i]).stem for i in data.of_split(part)] == names(12 * number)


def test_two_parts_are_refused_with_the_way_out(tmp_path: Path) -> None:
    write_part(write_part(tmp_path, "Training"), "Test", 12)
    with pytest.raises(DataError, match="expected one of them, or one each of training, validation, test"):
        load(tmp_path, positive="MEL")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            ("1.0", "1.0", "0", "0", "0", "0", "0"),
            r"several classes .*such as ISIC_9 of MEL and NV",
        ),
        (("0", "0", "0", "0", "0", "0", "0"), r"1 of 13 images are of no class \(ISIC_9\)"),
        (("0.7", "0.3", "0", "0", "0", "0", "0"), "ISIC_9 has MEL = '0.7', expected 0 or 1"),
        (("1", "", "0", "0", "0", "0", "0"), "ISIC_9 has NV = '', expected 0 or 1"),
    ],
)
def test_rows_without_one_class_are_refused(row: tuple[str, ...], message: str, tmp_path: Path) -> None:
    table = (
        write_part(tmp_path, "Training") / f"{TASK}_Training_GroundTruth" / f"{TASK}_Training_GroundTruth.csv"
    )
    table.write_text(f"{table.read_text()}ISIC_9,{','.join(row)}\n")
    with pytest.raises(DataError, match=message):
        load(tmp_path, positive="MEL")
