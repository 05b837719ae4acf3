from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.images import rings
from trials.data.dataset import LesionData
from trials.data.folds import assign_folds, check_folds, inner_split, write_folds
from trials.data.load import load
from trials.errors import DataError

Rows = list[tuple[str, str, str]]


def assert_groups_stay_whole(data: LesionData, *sides: Sequence[int]) -> None:
    groups = [{data.groups[index] for index in side} for side in sides]
    assert sum(map(len, groups)) == len(set().union(*groups))


@pytest.fixture
def lesions(manifest_folder: Callable[..., Path], balanced_rows: Callable[..., Rows]) -> LesionData:
    """Two classes of 24 images in 12 groups each."""
    return load(manifest_folder(balanced_rows(24, 12)))


@pytest.mark.parametrize("seed", range(5))
def test_folds_never_split_a_group_and_hold_both_classes(lesions: LesionData, seed: int) -> None:
    folds = assign_folds(lesions, 4, seed)
    assert folds.source == "generated" and sorted(set(folds.fold)) == [0, 1, 2, 3]
    assert_groups_stay_whole(lesions, *(np.flatnonzero(folds.fold == fold) for fold in range(4)))
    for fold in range(4):
        training, test = folds.split(fold)
        assert sorted([*training, *test]) == list(range(48))
        assert np.bincount(lesions.labels[test]).tolist() == [6, 6]


def test_folds_depend_on_their_seed_alone(lesions: LesionData) -> None:
    first, again, other = (assign_folds(lesions, 4, seed).fold for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_folds_count_from_zero(lesions: LesionData) -> None:
    folds = assign_folds(lesions, 4)
    for fold in (-1, 4):
        with pytest.raises(ValueError, match="count from 0"):
            folds.split(fold)


def test_written_folds_are_read_back_and_said(lesions: LesionData) -> None:
    folds = assign_folds(lesions, 4, seed=3)
    write_folds(lesions.root / "folds.csv", lesions, folds)
    again = assign_folds(lesions, 4, seed=99)
    assert again.source == "folds.csv"
    np.testing.assert_array_equal(again.fold, folds.fold)


def test_left_out_images_are_written_without_a_fold(manifest_folder: Callable[..., Path]) -> None:
    rows = [(f"{i}.png", ("benign", "malignant")[i % 2], str(i)) for i in range(6)]
    root = manifest_folder([*rows, ("x.png", "benign", "x"), ("y.png", "malignant", "x")])
    data = load(root)
    write_folds(root / "folds.csv", data, assign_folds(data, 3))
    with (root / "folds.csv").open(newline="") as lines:
        stored = {row["file"]: row["fold"] for row in csv.DictReader(lines)}
    assert stored["x.png"] == stored["y.png"] == "" and len(stored) == 8
    assert assign_folds(data, 3).source == "folds.csv"


def change_folds(lesions: LesionData, change: Callable[[Rows], list[Sequence[str]]]) -> None:
    write_folds(lesions.root / "folds.csv", lesions, assign_folds(lesions, 4))
    path = lesions.root / "folds.csv"
    with path.open(newline="") as lines:
        rows = list(csv.reader(lines))
    with path.open("w", newline="") as lines:
        csv.writer(lines).writerows([rows[0], *change(rows[1:])])


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda rows: rows[1:], "1 files without a row, benign_000.png"),
        (lambda rows: [*rows, ["other.png", "1"]], "1 files not in the data, other.png"),
        (lambda rows: [*rows, rows[0]], "1 files named twice, benign_000.png"),
        (lambda rows: [[rows[0][0], str((int(rows[0][1]) + 1) % 4)], *rows[1:]], "group b0 is split"),
        (
            lambda rows: [[file, str(int(fold) + 1)] for file, fold in rows],
            r"folds \[1, 2, 3, 4\]; expected 0, 1, 2",
        ),
        (lambda rows: [[file, f"fold {fold}"] for file, fold in rows], "whole numbers"),
    ],
)
def test_faulty_folds_are_refused(lesions: LesionData, change: Callable[..., Rows], text: str) -> None:
    change_folds(lesions, change)
    with pytest.raises(DataError, match=text):
        assign_folds(lesions, 4)


def test_stored_folds_of_another_number_are_refused(lesions: LesionData) -> None:
    write_folds(lesions.root / "folds.csv", lesions, assign_folds(lesions, 4))
    with pytest.raises(DataError, match="holds 4 folds, not 5; ask for 4"):
        assign_folds(lesions, 5)


def test_emptied_folds_leave_their_images_out(lesions: LesionData) -> None:
    change_folds(
        lesions, lambda rows: [[file, "" if file == "benign_000.png" else fold] for file, fold in rows]
    )
    folds = assign_folds(lesions, 4)
    assert folds.fold[0] == -1
    assert all(0 not in side for fold in range(4) for side in folds.split(fold))
    assert folds.notes == ("1 images left out: their cells in folds.csv name no fold (benign_000.png)",)


@pytest.mark.parametrize("cell", ["", "NA", "-"])
def test_many_emptied_folds_are_refused_until_accepted(lesions: LesionData, cell: str) -> None:
    change_folds(
        lesions, lambda rows: [[file, fold if n % 7 > 1 else cell] for n, (file, fold) in enumerate(rows)]
    )
    with pytest.raises(DataError, match=r"14 of 48 images are left out.*--accept left_out"):
        assign_folds(lesions, 4)
    assert (assign_folds(lesions, 4, accept=["left_out"]).fold < 0).sum() == 14


def test_folds_that_a_spreadsheet_has_written_are_read(lesions: LesionData) -> None:
    before = assign_folds(lesions, 4).fold
    change_folds(lesions, lambda rows: [[file, f"{fold}.0"] for file, fold in rows])
    np.testing.assert_array_equal(assign_folds(lesions, 4).fold, before)


def test_class_of_fewer_groups_than_folds_is_refused(
    manifest_folder: Callable[..., Path], balanced_rows: Callable[..., Rows]
) -> None:
    rows = [
        (file, label, "m" if label == "malignant" else group) for file, label, group in balanced_rows(8, 8)
    ]
    with pytest.raises(DataError, match="class malignant has 1 groups of images, too few for 4 folds"):
        assign_folds(load(manifest_folder(rows)), 4)


@pytest.mark.parametrize("seed", range(20))
def test_no_fold_lacks_a_class_of_enough_groups_of_one_class_however_uneven(
    manifest_folder: Callable[..., Path], seed: int
) -> None:
    random = np.random.default_rng(seed)
    sizes = {label: random.integers(1, 12, random.integers(3, 6)) for label in ("benign", "malignant")}
    rows = [
        (f"{label}{group}_{image}.png", label, f"{label}{group}")
        for label, groups in sizes.items()
        for group, size in enumerate(groups)
        for image in range(size)
    ]
    data = load(manifest_folder(rows))
    assert check_folds(data, 3) == ("generated", ())
    for fold_seed in range(5):
        assert assign_folds(data, 3, fold_seed).source == "generated"


def test_folds_are_checked_as_they_would_be_assigned(
    manifest_folder: Callable[..., Path], balanced_rows: Callable[..., Rows]
) -> None:
    data = load(manifest_folder(balanced_rows(24, 12)))
    write_folds(data.root / "folds.csv", data, assign_folds(data, 4))
    assert check_folds(data, 4)[0] == "folds.csv"
    with pytest.raises(DataError, match="holds 4 folds, not 5"):
        check_folds(data, 5)
    with pytest.raises(ValueError, match="at least 2"):
        check_folds(data, 1)


@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.5])
def test_inner_split_keeps_groups_whole_and_both_classes(lesions: LesionData, fraction: float) -> None:
    outer, _ = assign_folds(lesions, 4).split(1)
    training, validation = inner_split(lesions, outer, fraction, seed=5)
    assert sorted([*training, *validation]) == sorted(outer)
    assert_groups_stay_whole(lesions, training, validation)
    assert set(lesions.labels[training]) == set(lesions.labels[validation]) == {0, 1}
    assert abs(len(validation) / len(outer) - fraction) < 0.1
    np.testing.assert_array_equal(validation, inner_split(lesions, outer, fraction, seed=5)[1])


def test_inner_split_of_one_group_a_class_is_refused(lesions: LesionData) -> None:
    chosen = [index for index, group in enumerate(lesions.groups) if group in ("b0", "m0")]
    with pytest.raises(DataError, match="cannot be split"):
        inner_split(lesions, np.array(chosen), 0.2, seed=0)


@pytest.mark.parametrize("name", ["busi", "busbra"])
def test_real_folds_are_used_as_given_and_leak_nothing(real_data: Path, name: str) -> None:
    data = load(real_data / name)
    folds = assign_folds(data, 5)
    assert folds.source == "folds.csv" and (folds.fold >= 0).all()
    with (real_data / name / "folds.csv").open(newline="") as lines:
        given = {row["file"]: row["fold"] for row in csv.DictReader(lines)}
    assert [str(fold) for fold in folds.fold] == [given[file] for file in data.files]
    assert all(given[item.file] == "" for item in data.left_out)
    assert_groups_stay_whole(data, *(folds.split(fold)[1] for fold in range(5)))
    outer, test = folds.split(0)
    sides = (*inner_split(data, outer, 0.1, seed=0), test)
    assert_groups_stay_whole(data, *sides)
    pixels = [{data.image_digests[index] for index in side} for side in sides]
    assert sum(map(len, pixels)) == len(set().union(*pixels))


def test_folds_do_not_depend_on_the_order_of_the_classes(tmp_path: Path) -> None:
    classes = ["low", "middle", "high", "worst"]
    for number, name in enumerate(rings(tmp_path / "grades", classes, 9).iterdir()):
        for image in list(name.iterdir())[: 2 * number]:
            image.unlink()
    plain = load(tmp_path / "grades", duplicates="copies")
    ordered = load(tmp_path / "grades", duplicates="copies", ordered=classes)
    assert plain.classes != ordered.classes == tuple(classes)
    for seed in range(5):
        assert assign_folds(plain, 3, seed).fold.tolist() == assign_folds(ordered, 3, seed).fold.tolist()
        indices = np.arange(len(plain.files))
        first, second = (inner_split(data, indices, 0.3, seed) for data in (plain, ordered))
        assert [part.tolist() for part in first] == [part.tolist() for part in second]


def test_a_class_whose_name_breaks_lines_is_refused(tmp_path: Path) -> None:
    rings(tmp_path / "grades", ["low", "hi\ngh"], 4)
    with pytest.raises(DataError, match=r"label 'hi\\ngh' holds the end of a line"):
        load(tmp_path / "grades")
