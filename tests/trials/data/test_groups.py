from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trials.data.dataset import examine, load
from trials.data.folds import assign_folds, inner_split
from trials.data.grouping import CONTRADICTORY, CONTRADICTORY_COPY
from trials.data.prepare import prepare
from trials.data.tables.cells import is_blank, same_key
from trials.data.tables.headings import kind_of
from trials.errors import DataError

Table = Callable[..., Path]


@pytest.fixture
def table(tmp_path: Path, picture: Callable[..., np.ndarray]) -> Table:
    """Write a manifest of the columns named (file and label first) and a picture for each row."""

    def write(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Path:
        root = tmp_path / "lesions"
        for seed, row in enumerate(rows):
            (root / row[0]).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture(seed)).save(root / row[0])
        with (root / "manifest.csv").open("w", newline="") as lines:
            csv.writer(lines).writerows([["file", "label", *columns], *rows])
        return root

    return write


def rows_of(patients: int, images: int = 2, *more: Callable[[int], str]) -> list[list[str]]:
    """So many images of each of so many patients; even patients are benign."""
    return [
        [
            f"{p:02}_{i}.png",
            ("benign", "malignant")[p % 2],
            f"P{p}",
            *(value(p * images + i) for value in more),
        ]
        for p in range(patients)
        for i in range(images)
    ]


@pytest.mark.parametrize(
    ("heading", "kind"),
    [
        *(
            (name, "patients")
            for name in ("patient_id", "PatientID", "Patient", "PATIENT NUMBER", "patientid")
        ),
        *(
            (name, "patients")
            for name in ("Patient No.", "anon_patient_id", "subject", "Subject-ID", "pid", "MRN")
        ),
        *((name, "visits") for name in ("case", "Case", "case_id", "CaseNo", "study", "StudyInstanceUID")),
        *((name, "specimens") for name in ("slide", "slide_id", "eye", "Slides", "biopsy id")),
        *((name, "lesions") for name in ("lesion_id", "Lesion", "nodule#", "tumour id")),
        *((name, "duplicates") for name in ("duplicate_group", "Duplicate Group")),
        *(
            (name, None)
            for name in ("patient_age", "sex", "device", "side", "image_id", "tumour", "lesion_type")
        ),
        *(
            (name, None)
            for name in ("birads", "kfold5", "source_file", "width", "source", "video_length", "x0")
        ),
    ],
)
def test_headings_are_matched_loosely(heading: str, kind: str | None) -> None:
    assert kind_of(heading) == kind


@pytest.mark.parametrize("heading", ["patient_id", "Patient", "CASE", "lesion id", "Slide", "subjectNumber"])
def test_a_loosely_matched_column_groups_with_a_note(table: Table, heading: str) -> None:
    data = load(table([heading], rows_of(10)))
    assert data.groups[:4] == ("P0", "P0", "P1", "P1") and data.group_source == f"column {heading}"
    assert data.notes == (f"column {heading} is taken to say which images belong together",)


def test_a_column_that_only_repeats_is_not_taken(table: Table) -> None:
    rows = rows_of(10, 2, lambda i: ("left", "right")[i % 2], lambda i: "trial A", lambda i: f"{50 + i // 2}")
    data = load(table(["woman", "eye", "study", "patient_age"], rows))
    assert data.group_source == "perceptual hash" and len(data.notes) == 2
    assert "column eye does not keep images together: its values (2) identify nothing" in data.notes[0]


@pytest.mark.parametrize("heading", ["enrolled_patient_ab", "id", "lesionfrom"])
def test_a_column_that_looks_like_one_and_is_unused_is_refused(table: Table, heading: str) -> None:
    root = table([heading], rows_of(10))
    with pytest.raises(DataError, match=f"column {heading} looks as if.*--group-column {heading}"):
        load(root)
    assert len(set(load(root, group_column=heading).groups)) == 10
    assert load(root, group_column="none").group_source == "perceptual hash"


def test_the_coarsest_column_is_used(table: Table) -> None:
    rows = rows_of(10, 2, lambda i: f"L{i}", lambda i: f"S{i // 2}")
    data = load(table(["patient_id", "lesion_id", "slide"], rows))
    assert data.group_source == "column patient_id" and len(set(data.groups)) == 10
    assert any(
        "column lesion_id does not keep images together: patient_id is coarser" in n for n in data.notes
    )


def test_the_finer_column_is_used_where_the_coarser_is_blank(table: Table) -> None:
    rows = [
        [*row[:2], "" if number < 4 else row[2], f"L{number // 2}"] for number, row in enumerate(rows_of(10))
    ]
    data = load(table(["patient", "lesion_id"], rows))
    assert data.groups[0] == data.groups[1] != data.groups[2] == data.groups[3]


def test_groups_of_duplicates_join_patients(table: Table) -> None:
    rows = [[file, label, f"d{number}", patient] for number, (file, label, patient) in enumerate(rows_of(6))]
    rows[0][2] = rows[4][2]  # of patients P0 and P2
    data = load(table(["duplicate_group", "patient"], rows))
    assert len(set(data.groups)) == 5 and data.groups[0] == data.groups[1] == data.groups[4] == data.groups[5]


def test_one_patient_written_in_two_ways_is_one_group(table: Table) -> None:
    rows = [
        [f"{i}.png", ("benign", "malignant")[i % 2], name] for i, name in enumerate(["3", "x", "3.0", "X "])
    ]
    data = load(table(["patient"], rows))
    assert data.groups == ("3", "x", "3", "x")
    assert data.notes == ("2 groups are written in more than one way and are one each: '3' and '3.0'",)


@pytest.mark.parametrize(
    "word", ["", "unknown", "NA", "n/a", "NaN", "None", "-", "?", "NULL", "(unknown)", "--"]
)
def test_words_such_as_na_are_blank(table: Table, word: str) -> None:
    rows = rows_of(10)
    rows[0][2] = rows[3][2] = word
    data = load(table(["patient"], rows))
    assert data.groups[0] == rows[0][0] and data.groups[3] == rows[3][0]
    assert data.notes == ("2 images without patient: each is a group of its own",)


def test_blank_cells_and_equal_cells() -> None:
    assert not any(map(is_blank, ("0", "P1", "nevus", "no", "grade 0", "None-1", "Nan Hospital 3")))
    assert same_key("3") == same_key("3.0") == same_key(" 003 ") != same_key("3.5")
    assert same_key("P 1") == same_key("p1") != same_key("p10")


def test_patients_with_lesions_of_both_classes_are_kept(table: Table) -> None:
    rows = [[f"{i:02}.png", ("benign", "malignant")[i % 3 == 0], f"P{i // 3}", f"L{i}"] for i in range(45)]
    data = load(table(["patient", "lesion"], rows))
    assert not data.left_out and len(data.files) == 45 and len(set(data.groups)) == 15
    folds = assign_folds(data, 5)
    for fold in range(5):
        rest, test = folds.split(fold)
        assert np.bincount(data.labels[test]).tolist() == [6, 3]
        training, validation = inner_split(data, rest, 0.2, 0)
        sides = [{data.groups[i] for i in side} for side in (training, validation, test)]
        assert sum(map(len, sides)) == len(set.union(*sides)) == 15


def test_folds_of_mixed_groups_hold_every_class(table: Table) -> None:
    rows = [[f"{i:02}.png", ("benign", "malignant")[i in (0, 6, 12)], f"P{i // 3}"] for i in range(27)]
    data = load(table(["patient"], rows))
    for seed in range(10):
        fold = assign_folds(data, 3, seed).fold
        assert all(set(data.labels[fold == number]) == {0, 1} for number in range(3)), seed


def test_only_contradictory_copies_of_a_patient_are_left_out(table: Table) -> None:
    rows = [[f"{i:02}.png", ("benign", "malignant")[i % 3 == 0], f"P{i // 3}"] for i in range(30)]
    root = table(["patient"], rows)
    (root / "01.png").write_bytes((root / "00.png").read_bytes())  # benign, and malignant
    with Image.open(root / "03.png") as image:
        image.resize((75, 60)).save(root / "07.png")  # saved anew, as benign, under another patient
    data = load(root)
    assert {item.file: item.reason for item in data.left_out} == dict.fromkeys(
        ("00.png", "01.png", "03.png", "07.png"), CONTRADICTORY_COPY
    )
    assert len(set(data.groups)) == 10


def test_a_lesion_of_two_labels_is_contradictory_and_its_patient_stays(table: Table) -> None:
    rows = [[f"{i:02}.png", ("benign", "malignant")[i % 3 == 0], f"P{i // 3}", str(i % 3)] for i in range(30)]
    rows[1][3] = "0"  # P0's lesion 0 is malignant by the first image and benign by the second
    data = load(table(["patient_id", "lesion_no"], rows))
    assert [(item.file, item.group, item.reason) for item in data.left_out] == [
        ("00.png", "P0", CONTRADICTORY),
        ("01.png", "P0", CONTRADICTORY),
    ]
    assert data.files[0] == "02.png"


def test_real_busis_frames_hold_a_copy_with_two_labels(real_data: Path) -> None:
    data = load(real_data / "busi_frames")
    reasons = [item.reason for item in data.left_out]
    assert reasons.count(CONTRADICTORY) == 17
    assert {item.file for item in data.left_out if item.reason == CONTRADICTORY_COPY} == {
        "benign_0437.png",
        "normal_0034.png",
    }


@pytest.fixture
def folders(tmp_path: Path, picture: Callable[..., np.ndarray]) -> Callable[[str, int, int], Path]:
    """Class folders with so many sub-folders each, named by a pattern, of so many images."""

    def write(pattern: str, count: int, images: int) -> Path:
        for seed in range(2 * count * images):
            label, number = ("benign", "malignant")[seed % 2], seed // 2 // images
            folder = tmp_path / "set" / label / pattern.format(2 * number + seed % 2)
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture(seed)).save(folder / f"{seed}.png")
        return tmp_path / "set"

    return write


@pytest.mark.parametrize("pattern", ["P{:02}", "patient {}", "{:03}", "SOB_B_{}-22549AB", "images/case_{}"])
def test_folders_of_patients_are_recognised(folders: Callable[..., Path], pattern: str) -> None:
    root = folders(pattern, 6, 3)
    data = load(root)
    assert data.group_source == "folders and perceptual hash" and len(set(data.groups)) == 12
    assert "12 of them" in data.notes[-1] and "--group-column none" in data.notes[-1]
    assert load(root, group_column="none").group_source == "perceptual hash"


@pytest.mark.parametrize("pattern", ["images", "batch{}", "{}0X", "adenoma", "2019", "scanner {}"])
def test_other_folders_are_not_patients_and_a_note_says_so(
    folders: Callable[..., Path], pattern: str
) -> None:
    root = folders(pattern, 6, 3)
    data = load(root)
    assert data.group_source == "perceptual hash" and "not taken for patients" in data.notes[-1]
    assert load(root, group_column="folder").group_source == "folders and perceptual hash"


def test_folders_in_a_manifest_are_recognised_too(table: Table) -> None:
    rows = [[f"P{p}/{i}.png", ("benign", "malignant")[p % 2]] for p in range(10) for i in range(3)]
    data = load(table([], rows))
    assert len(set(data.groups)) == 10 and data.group_source == "folders and perceptual hash"


@pytest.mark.parametrize("parts", [("Training", "val", "test_set"), ("train", "valid", "test")])
def test_a_patient_in_two_parts_of_a_split_is_one_group(parts: Sequence[str], table: Table) -> None:
    rows = [
        [f"{part}/P{p and 10 * number + p}/{i}.png", ("benign", "malignant")[i], part]
        for number, part in enumerate(parts)
        for p in range(10)
        for i in range(2)
    ]
    left_out = load(table(["split"], rows)).left_out
    assert [item.file for item in left_out] == [f"{part}/P0/{i}.png" for part in parts[:2] for i in range(2)]


def test_a_patient_in_both_class_folders_is_one_group(
    tmp_path: Path, picture: Callable[..., np.ndarray]
) -> None:
    for seed in range(40):
        folder = tmp_path / ("benign", "malignant")[seed % 2] / f"P{seed // 4}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(seed)).save(folder / f"{seed}.png")
    data = load(tmp_path)
    assert len(set(data.groups)) == 10 and not data.left_out


def test_a_large_group_gets_a_note(table: Table) -> None:
    rows = [[*row[:2], "withheld" if number < 8 else row[2]] for number, row in enumerate(rows_of(16))]
    data = load(table(["patient"], rows))
    assert data.notes[-1].startswith("group withheld holds 8 of 32 images (25%), by column patient")


def test_many_images_without_a_patient_are_a_problem(table: Table) -> None:
    rows = [[*row[:2], "" if number < 8 else row[2]] for number, row in enumerate(rows_of(16))]
    root = table(["patient"], rows)
    (problem,) = examine(root).problems
    assert "8 of 32 images are without patient" in problem and "--accept groups" in problem
    assert examine(root, accept=["groups"]).problems == ()


def test_many_images_left_out_for_one_reason_are_a_problem(table: Table) -> None:
    rows = [[*row, row[2]] for row in rows_of(16)]
    for row in rows[1:16:2]:  # the second image of each of eight lesions
        row[1] = "benign" if row[1] == "malignant" else "malignant"
    root = table(["patient", "lesion_id"], rows)
    (problem,) = examine(root).problems
    assert "16 of 32 images are left out: its group" in problem and "--accept left_out" in problem
    assert len(load(root, accept=["left_out"]).files) == 16
    assert examine(root, accept=["everything"]).problems == (
        "accept everything: expected one of labels, left_out, groups",
    )


def test_findings_go_to_standard_error(table: Table, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        *[[*row, row[2]] for row in rows_of(16)],
        ["x.png", "benign", "P0", "P0"],
        ["y.png", "malignant", "P0", "P0"],
    ]
    load(table(["patient", "lesion"], rows))
    said = capsys.readouterr().err.splitlines()
    assert said[0] == f"data: 4 images left out: {CONTRADICTORY} (00_0.png, 00_1.png, x.png, ...)"
    assert said[1].startswith("data: column lesion does not keep images together")


def test_many_images_joined_to_another_group_are_a_problem(table: Table) -> None:
    root = table(["patient"], rows_of(16))
    for number in range(0, 16, 4):  # patients 0 and 2, 4 and 6, ... have each other's first picture
        (root / f"{number + 2:02}_0.png").write_bytes((root / f"{number:02}_0.png").read_bytes())
    (problem,) = examine(root).problems
    assert "8 of 32 images are joined to another group" in problem and "--accept groups" in problem
    data = load(root, accept=["groups"])
    assert data.notes == (
        "groups that hold copies of one picture are one group, by the first's name: P0 and P2; P4 and P6; "
        "P8 and P10; ...",
    )


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
