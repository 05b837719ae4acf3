"""Data with a split of their own: respected, or refused with the reason."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trials.data.checks import verify
from trials.data.folds import OWN_SPLIT
from trials.data.sources import CONTRADICTORY, REPEATED, DataError, load
from trials.inputs import load_data, split_data
from trials.settings import load_settings

Write = Callable[..., Path]
ROWS = [
    (f"{split}_{label}_{index}.png", label, split)
    for split, count in (("train", 4), ("valid", 2), ("test", 3))
    for label in "01"
    for index in range(count)
]


@pytest.fixture
def patches(manifest_folder: Write) -> Path:
    """Eighteen grey patches of two classes in three parts."""
    return manifest_folder(ROWS, column="split")


def test_the_parts_of_a_run_are_those_of_the_split_whatever_the_seed(patches: Path) -> None:
    data = load(patches, positive="1")
    assert data.group_source == "identical pixels" and "slide" in data.notes[0]
    for seed in (0, 1):
        split = split_data(data, load_settings("cpu").data, folds=5, fold=None, seed=seed)
        for name, indices in (("train", split.training), ("valid", split.validation), ("test", split.test)):
            assert [data.files[i] for i in indices] == [file for file, _, part in ROWS if part == name]
        assert (split.folds, split.fold, split.source) == (1, 0, OWN_SPLIT)


def test_outer_folds_of_split_data_are_refused(patches: Path) -> None:
    data = load(patches, positive="1")
    with pytest.raises(DataError, match=r"split of their own.*leave out --folds and --fold"):
        split_data(data, load_settings("cpu").data, folds=5, fold=0, seed=0)


def test_a_draw_that_would_change_the_split_is_refused(patches: Path) -> None:
    with pytest.raises(DataError, match=r"data\.balanced_draw=null"):
        load_data(patches, load_settings("paper", {"data.positive": "1"}).data)


def test_the_positive_class_is_asked_for_by_the_option_that_names_it(patches: Path) -> None:
    with pytest.raises(DataError, match=r"only '0' .* '1' .*: --positive"):
        load(patches)


def test_training_images_that_repeat_each_other_are_trained_on_once(patches: Path) -> None:
    for copy in ("train_0_2.png", "train_0_3.png"):
        shutil.copy(patches / "train_0_0.png", patches / copy)
    data = load(patches, positive="1")
    assert [(item.file, item.reason) for item in data.left_out] == [
        ("train_0_2.png", REPEATED),
        ("train_0_3.png", REPEATED),
    ]
    assert "train_0_0.png" in data.files


def test_a_picture_with_both_labels_takes_no_part(patches: Path) -> None:
    shutil.copy(patches / "train_0_0.png", patches / "train_1_0.png")
    data = load(patches, positive="1")
    assert {(item.file, item.reason) for item in data.left_out} == {
        ("train_0_0.png", CONTRADICTORY),
        ("train_1_0.png", CONTRADICTORY),
    }


@pytest.mark.parametrize("part", ["valid", "test"])
def test_a_training_image_in_another_part_is_refused_by_name(part: str, patches: Path) -> None:
    shutil.copy(patches / "train_1_0.png", patches / f"{part}_1_1.png")
    with pytest.raises(
        DataError, match=rf"train_1_0.png \(train\) and {part}_1_1.png \({part}\) hold the same"
    ):
        load(patches, positive="1")
    assert not verify(patches, positive="1").ok


def test_what_only_looks_alike_is_not_refused(patches: Path) -> None:
    with Image.open(patches / "train_1_0.png") as image:
        image.point(lambda grey: grey * 0.8 + 20).save(patches / "test_1_0.png")
    data = load(patches, positive="1")
    assert len(set(data.groups)) == len(data.files) == len(ROWS)


def test_a_patient_in_two_parts_is_refused(patches: Path) -> None:
    manifest = patches / "manifest.csv"
    rows = list(csv.reader(manifest.open(newline="")))
    patients = {"train_0_0.png": "p", "test_0_0.png": "p"}
    with manifest.open("w", newline="") as lines:
        csv.writer(lines).writerow([*rows[0], "patient"])
        csv.writer(lines).writerows([*row, patients.get(row[0], row[0])] for row in rows[1:])
    with pytest.raises(
        DataError, match=r"train_0_0.png \(train\) and test_0_0.png \(test\) are both of group p"
    ):
        load(patches, positive="1")


@pytest.mark.parametrize("name", ["val", "Train", ""])
def test_unknown_parts_are_refused_with_the_known_ones(name: str, manifest_folder: Write) -> None:
    root = manifest_folder([*ROWS, ("x.png", "0", name)], column="split")
    with pytest.raises(DataError, match=rf"x.png is of split '{name}', expected one of train, valid, test"):
        load(root, positive="1")


@pytest.mark.parametrize(("part", "label"), [("train", "0"), ("valid", "1"), ("test", "1")])
def test_a_part_without_a_class_is_refused(part: str, label: str, manifest_folder: Write) -> None:
    root = manifest_folder([row for row in ROWS if row[1:] != (label, part)], column="split")
    with pytest.raises(DataError, match=f"no image of class {label} is of split {part}"):
        load(root, positive="1")


def test_the_split_is_in_the_digest(patches: Path) -> None:
    before = load(patches, positive="1").digest
    manifest = patches / "manifest.csv"
    manifest.write_text(manifest.read_text().replace("train_0_0.png,0,train", "train_0_0.png,0,test"))
    assert load(patches, positive="1").digest != before


def test_verify_counts_the_parts_and_judges_by_the_test_images(patches: Path) -> None:
    report = verify(patches, positive="1", folds=99)
    assert report.ok and report.fold_source == OWN_SPLIT
    assert report.counts["split"] == {"train": 8, "valid": 4, "test": 6}


def test_real_patches_are_split_as_published(real_data: Path) -> None:
    data = load(real_data / "pcam", positive="1")
    counts = {
        name: np.bincount(data.labels[data.of_split(name)]).tolist() for name in ("train", "valid", "test")
    }
    assert counts == {"train": [2000, 2000], "valid": [400, 400], "test": [400, 400]}
    assert not data.left_out and {image.shape for image in data.images} == {(96, 96, 3)}
