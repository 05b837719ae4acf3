"""Data with a split of their own: it is kept, and images in two parts leave all but the last."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trials.data import official_split
from trials.data.checks import verify
from trials.data.folds import OWN_SPLIT
from trials.data.grouping import CONTRADICTORY_COPY, REPEATED
from trials.data.load import load, load_data
from trials.data.records import SPLITS
from trials.data.split import Split
from trials.data.tables.split_names import SHORT
from trials.errors import DataError
from trials.settings.load import load_settings

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
    assert data.group_source == "copies" and "slide" in data.notes[0]
    for seed in (0, 1):
        split = Split.of(data, load_settings("cpu", {"data.positive": "1"}), seed=seed)
        for name, indices in zip(SPLITS, (split.training, split.validation, split.test), strict=True):
            assert [data.files[i] for i in indices] == [file for file, _, part in ROWS if part == SHORT[name]]
        assert (split.folds, split.fold, split.source) == (1, 0, OWN_SPLIT)


def test_an_unknown_part_is_refused_by_name(patches: Path) -> None:
    data = load(patches, positive="1")
    with pytest.raises(ValueError, match=r"part 'train' .*expected one of training, validation, test"):
        data.of_split("train")


def test_outer_folds_of_split_data_are_refused(patches: Path) -> None:
    data = load(patches, positive="1")
    with pytest.raises(DataError, match=r"split of their own.*leave out --folds and --fold"):
        Split.of(data, load_settings("cpu", {"data.positive": "1"}), fold=0)


def test_a_draw_that_would_change_the_split_is_refused(patches: Path) -> None:
    with pytest.raises(DataError, match=r"data\.balanced_draw=null"):
        load_data(patches, load_settings("paper", {"data.positive": "1"}))


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


def test_a_picture_with_both_labels_is_left_out(patches: Path) -> None:
    shutil.copy(patches / "train_0_0.png", patches / "train_1_0.png")
    data = load(patches, positive="1")
    assert {(item.file, item.reason) for item in data.left_out} == {
        ("train_0_0.png", CONTRADICTORY_COPY),
        ("train_1_0.png", CONTRADICTORY_COPY),
    }


def saved(pixels: np.ndarray, path: Path) -> None:
    Image.fromarray(np.ascontiguousarray(pixels)).save(path)


def left_out(root: Path) -> dict[str, str]:
    return {item.file: item.reason for item in load(root, positive="1").left_out}


@pytest.mark.parametrize(
    "moved", [lambda image: image, np.fliplr, np.flipud, np.rot90, lambda image: 255 - image]
)
@pytest.mark.parametrize("part", ["valid", "test"])
def test_a_copy_in_another_part_leaves_training(
    part: str, moved: Callable[[np.ndarray], np.ndarray], patches: Path
) -> None:
    saved(moved(np.asarray(Image.open(patches / "train_1_0.png"))), patches / f"{part}_1_1.png")
    assert left_out(patches) == {"train_1_0.png": "training image with a copy in validation or test"}
    report = verify(patches, positive="1")
    assert report.ok and report.counts["split"] == {"training": 7, "validation": 4, "test": 6}
    assert any("train_1_0.png (1 images)" in warning for warning in report.warnings)


def test_a_copy_in_all_parts_stays_in_the_test_alone(patches: Path) -> None:
    for copy in ("train_0_3.png", "train_1_0.png", "valid_0_1.png"):
        shutil.copy(patches / "test_0_2.png", patches / copy)
    assert left_out(patches) == {
        "train_0_3.png": "training image with a copy in validation or test",
        "train_1_0.png": "training image with a copy in validation or test",
        "valid_0_1.png": "validation image with a copy in test",
    }


def test_a_split_that_mostly_repeats_itself_is_a_problem(patches: Path) -> None:
    for index in range(3):
        shutil.copy(patches / f"test_0_{index}.png", patches / f"train_0_{index}.png")
    with pytest.raises(DataError, match=r"3 of the 8 training images .* more than a third is a fault"):
        load(patches, positive="1")


def test_an_image_resaved_in_another_part_is_a_warning(patches: Path) -> None:
    with Image.open(patches / "train_1_0.png") as image:
        image.transpose(Image.Transpose.ROTATE_90).point(lambda grey: grey * 0.8 + 20).save(
            patches / "test_1_0.png"
        )
    data = load(patches, positive="1")
    assert len(set(data.groups)) == len(data.files) == len(ROWS)
    assert "1 images look like" in data.notes[1]
    assert "train_1_0.png (training) and test_1_0.png (test)" in data.notes[1]
    assert data.notes[1] in verify(patches, positive="1").warnings


def test_that_too_many_images_are_not_compared_is_said(
    patches: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(official_split, "COMPARED", 22)  # of two parts each, validation in both pairs
    assert not any("look-alikes" in note for note in load(patches, positive="1").notes)
    monkeypatch.setattr(official_split, "COMPARED", 21)
    assert any("look-alikes across the split were not" in note for note in load(patches, positive="1").notes)


def with_patients(root: Path, patients: dict[str, str]) -> None:
    manifest = root / "manifest.csv"
    rows = list(csv.reader(manifest.open(newline="")))
    with manifest.open("w", newline="") as lines:
        csv.writer(lines).writerow([*rows[0], "patient"])
        csv.writer(lines).writerows([*row, patients.get(row[0], row[0])] for row in rows[1:])


def test_patients_of_validation_and_test_are_a_problem(patches: Path) -> None:
    with_patients(patches, {"valid_0_0.png": "q", "valid_1_0.png": "q", "test_0_1.png": "q"})
    with pytest.raises(DataError, match="2 of the 4 validation images"):
        load(patches, positive="1")


def test_a_patient_of_training_and_test_is_tested_on_alone(patches: Path) -> None:
    with_patients(patches, {"train_0_0.png": "p", "test_0_0.png": "p"})
    assert left_out(patches) == {
        "train_0_0.png": "training image of a group with images in validation or test"
    }


def test_a_copy_that_leaves_does_not_take_its_patient(patches: Path) -> None:
    with_patients(patches, {"train_0_0.png": "p", "train_0_1.png": "p"})
    shutil.copy(patches / "test_0_0.png", patches / "train_0_0.png")
    assert set(left_out(patches)) == {"train_0_0.png"}


@pytest.mark.parametrize("name", ["dev", "Contest", ""])
def test_unknown_parts_are_refused_with_the_known_ones(name: str, manifest_folder: Write) -> None:
    root = manifest_folder([*ROWS, ("x.png", "0", name)], column="split")
    with pytest.raises(DataError, match=rf"x.png is of split '{name}', expected one of training, val"):
        load(root, positive="1")


@pytest.mark.parametrize(("part", "label"), [("training", "0"), ("validation", "1"), ("test", "1")])
def test_a_part_without_a_class_is_refused(part: str, label: str, manifest_folder: Write) -> None:
    root = manifest_folder([row for row in ROWS if row[1:] != (label, SHORT[part])], column="split")
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
    assert report.counts["split"] == {"training": 8, "validation": 4, "test": 6}


def test_real_patches_are_split_as_published(real_data: Path) -> None:
    data = load(real_data / "pcam", positive="1")
    counts = {name: np.bincount(data.labels[data.of_split(name)]).tolist() for name in SPLITS}
    assert counts == {"training": [2000, 2000], "validation": [400, 400], "test": [400, 400]}
    assert data.digest == "528a2c092b33040c"
    assert not data.left_out and {image.shape for image in data.images} == {(96, 96, 3)}
