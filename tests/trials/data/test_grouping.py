"""Which images stay together, and which of one group are labelled alike."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from trials.data.folds import assign_folds, inner_split
from trials.data.grouping import CONTRADICTORY, CONTRADICTORY_COPY
from trials.data.load import load

Table = Callable[..., Path]


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


def test_contradictory_groups_are_left_out(manifest_folder: Callable[..., Path]) -> None:
    rows = [
        ("a.png", "benign", "1"),
        ("b.png", "malignant", "1"),
        ("c.png", "benign", "2"),
        ("d.png", "malignant", "3"),
    ]
    data = load(manifest_folder(rows))
    assert data.files == ("c.png", "d.png")
    assert [(item.file, item.group) for item in data.left_out] == [("a.png", "1"), ("b.png", "1")]


def test_identical_pixels_join_groups_and_their_contradiction_counts(
    manifest_folder: Callable[..., Path],
) -> None:
    rows = [
        (f"{name}.png", label, name)
        for name, label in zip("abcde", ["benign"] * 3 + ["malignant"] * 2, strict=True)
    ]
    root = manifest_folder(rows)
    shutil.copy(root / "a.png", root / "b.png")
    shutil.copy(root / "c.png", root / "e.png")
    data = load(root)
    assert data.files == ("a.png", "b.png", "d.png") and data.groups == ("a", "a", "d")
    assert {item.file for item in data.left_out} == {"c.png", "e.png"}
    assert data.notes == (
        "groups that hold copies of one picture are one group, by the first's name: a and b; c and e",
    )
