"""What is known of an image beside its pixels: read with the data, coded by the training images alone."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.images import write_table
from trials.data.checks import verify
from trials.data.covariates import CovariateCoding, fit_coding
from trials.data.draw import draw_balanced
from trials.data.load import load, load_external
from trials.data.readers.testing import save_picture
from trials.data.split import Split
from trials.data.task import Task
from trials.errors import DataError, SettingsError
from trials.settings.load import load_settings

COLUMNS = ("patient", "age", "device", "width", "height")
AGES = ("41", "58.5", "?", "73")
DEVICES = ("GE", "Philips", "ge ", "unknown")


def rows(count: int = 40) -> list[list[str]]:
    """Rows of images, two a patient; some have no age, some no device."""
    return [
        [
            f"{i:02}.png",
            ("benign", "malignant")[i // 2 % 2],
            f"P{i // 2}",
            AGES[i * i % 7 % 4],
            DEVICES[i * i % 11 % 4],
            str(40 + i),
            str(20 + i % 7),
        ]
        for i in range(count)
    ]


@pytest.fixture
def folder(table: Callable[..., Path]) -> Path:
    return table(COLUMNS, rows())


def changed(folder: Path, column: str, cell: Callable[[int, str], str]) -> Path:
    """Change each cell of a column of the manifest."""
    path = folder / "manifest.csv"
    with path.open(newline="") as lines:
        head, *body = csv.reader(lines)
    at = head.index(column)
    write_table(path, head, *([*row[:at], cell(i, row[at]), *row[at + 1 :]] for i, row in enumerate(body)))
    return folder


# Reading


def test_covariates_are_the_cells_of_the_named_columns_and_of_the_box(folder: Path) -> None:
    data = load(folder, covariates=["age", "ratio"])
    assert data.covariates == ("age", "ratio")
    at = [data.files.index(name) for name in ("01.png", "03.png")]
    assert data.cells(np.array(at)) == {"age": ["58.5", "?"], "ratio": [str(41 / 21), str(43 / 23)]}
    assert load(folder).covariates == () and load(folder).table["device"][0] == "GE"


def test_the_digest_changes_with_the_covariates_and_only_with_them(folder: Path) -> None:
    plain, aged = load(folder).digest, load(folder, covariates=["age"]).digest
    assert plain != aged != load(folder, covariates=["device"]).digest
    changed(folder, "age", lambda i, cell: "42" if i == 0 else cell)
    assert load(folder).digest == plain and load(folder, covariates=["age"]).digest != aged


def test_missing_cells_are_counted_in_a_note(folder: Path) -> None:
    notes = load(folder, covariates=["age", "device", "width"]).notes
    assert notes == (
        "covariate age: 12 of 40 images have none, coded as missing",
        "covariate device: 8 of 40 images have none, coded as missing",
    )


def test_verify_says_which_are_numbers_and_which_categories(folder: Path) -> None:
    report = verify(folder, covariates=["age", "device"])
    assert report.counts["covariates"] == {"age": "number", "device": "category"}
    assert "covariates: age number, device category" in report.text()
    assert "covariates" not in verify(folder).counts


def test_boxes_of_masks_are_there_without_a_table(busi_folder: Path) -> None:
    data = load(busi_folder, covariates=["width", "height", "ratio"])
    assert data.cells(np.arange(2)) == {
        "width": ["48", "48"],
        "height": ["48", "48"],
        "ratio": ["1.0", "1.0"],
    }


def test_an_unknown_column_is_refused_with_the_nearest(folder: Path, classes: Path) -> None:
    with pytest.raises(DataError, match=r"no column 'devise' .*\(nearest: device\); there are patient, age"):
        load(folder, covariates=["age", "devise"])
    (problem,) = verify(folder, covariates=["devise"]).problems
    assert "nearest: device" in problem


def test_images_without_a_table_have_no_covariates(classes: Path) -> None:
    with pytest.raises(DataError, match="the images come with no table and no masks"):
        load(classes, covariates=["width"])


def test_the_class_is_no_covariate(tmp_path: Path) -> None:
    heading = ("image_id", "lesion_id", "dx", "age")
    named = [(f"I{i}", f"L{i}", ("mel", "nv")[i % 2], str(30 + i)) for i in range(8)]
    for seed, (name, *_) in enumerate(named):
        save_picture(tmp_path / f"{name}.jpg", seed)
    write_table(tmp_path / "HAM10000_metadata.csv", heading, *named)
    assert load(tmp_path, positive="mel", covariates=["age"]).cells(np.arange(1)) == {"age": ["30"]}
    with pytest.raises(DataError, match="no column 'dx'"):
        load(tmp_path, positive="mel", covariates=["dx"])


def test_a_draw_keeps_the_cells_of_the_images_drawn(folder: Path) -> None:
    data = load(folder, covariates=["width"])
    drawn = draw_balanced(data, 5, 0)
    widths = dict(zip(data.files, data.table["width"], strict=True))
    assert drawn.cells(np.arange(10)) == {"width": [widths[file] for file in drawn.files]}


# Coding


def code(cells: Sequence[str], training: Sequence[str], **options: Sequence[str]) -> list[list[float]]:
    return fit_coding({"c": training}, ["c"], **options).code({"c": cells}).tolist()


def test_numbers_are_standardised_by_the_training_images() -> None:
    assert code(["1", "3", "7"], ["1", "3"]) == [[-1], [1], [5]]
    assert code(["1", "100"], ["1", "100"], log=["c"]) == [[-1], [1]]
    coded = fit_coding({"c": ["1", "3"]}, ["c"]).code({"c": ["2"]})
    assert coded.dtype == np.float32 and coded.shape == (1, 1)


def test_what_training_images_lack_has_an_input_of_its_own() -> None:
    assert code(["1", "3", "n/a"], ["1", "3", ""]) == [[-1, 0], [1, 0], [0, 1]]
    assert code(["1", ""], ["1", "3"]) == [[-1], [0]]  # none lacks it: an average one
    assert code(["GE", "-", "Sony"], ["GE", "Philips", "?"]) == [[1, 0, 0], [0, 0, 1], [0, 0, 1]]


def test_categories_are_compared_whatever_their_spelling() -> None:
    assert code([" ge", "PHILIPS", "Sony"], ["GE", "Philips"]) == [[1, 0], [0, 1], [0, 0]]
    assert code(["2.0", "3"], ["2", "3", "2"], categories=["c"]) == [[1, 0], [0, 1]]


def test_a_coding_is_the_same_from_json() -> None:
    table = {"age": ["41", "58", "?"], "device": ["GE", "Philips", "GE"]}
    coding = fit_coding(table, ["age", "device"], log=["age"])
    again = CovariateCoding.model_validate_json(coding.model_dump_json())
    assert again == coding and (again.code(table) == coding.code(table)).all()
    assert again.inputs[1:] == ("age is missing", "device is 'GE'", "device is 'Philips'")
    assert again.inputs[0].startswith("logarithm of age, less 3.88")


def test_cells_unlike_those_of_the_training_images_are_said() -> None:
    coding = fit_coding({"age": ["41", "58"], "device": ["GE", "Philips"]}, ["age", "device"])
    said = coding.doubts(
        {"age": ["50", "old", "99", ""], "device": ["GE", "Sony", "Sony", "ge"]}, "test images"
    )
    assert said == [
        "covariate age: 1 of 4 test images have a cell that is no number, coded as missing ('old')",
        "covariate age: 1 of 4 test images have none, which no training image lacks: "
        "taken for an average one",
        "covariate age: 1 of 4 test images lie beyond the training images' 41 to 58 (99)",
        "covariate device: 2 of 4 test images have a value that no training image has, "
        "coded as missing ('Sony')",
    ]


@pytest.mark.parametrize(
    ("training", "options", "said"),
    [
        (["", "?"], {}, "no training image has any; fill it in, or leave it out of data.covariates"),
        (
            ["7", "7", ""],
            {},
            "'7' in all 2 of 3 training images that have any, so nothing can be learned from it",
        ),
        (["GE", "ge"], {}, "in all 2 of 2 training images"),
        (["1", "0"], {"log": ["c"]}, "0 has no logarithm; correct it, or leave c out of data.log_covariates"),
        (["1", "x"], {"log": ["c"]}, "'x' has no logarithm"),
        ([*map(str, range(40)), "abt 50"], {}, r"1 of 41 cells are no numbers \('abt 50'\)"),
        ([f"abt {age}" for age in range(41)], {}, r"41 different values, and 32 at most .*abt 0"),
    ],
)
def test_a_column_that_teaches_nothing_is_refused(
    training: Sequence[str], options: dict[str, Sequence[str]], said: str
) -> None:
    with pytest.raises(DataError, match=f"covariate c: .*{said}"):
        code(training, training, **options)


# In a run


def test_a_split_codes_by_its_training_images_and_says_what_they_do_not_have(folder: Path) -> None:
    settings = load_settings("quick", {"data.covariates": ["age", "device"]})
    first = Split.load(folder, settings, folds=2, fold=0)
    file = first.data.files[first.test[0]]
    changed(folder, "device", lambda i, cell: "Sony" if f"{i:02}.png" == file else cell)
    changed(folder, "age", lambda i, cell: "300" if f"{i:02}.png" == file else cell)
    split = Split.load(folder, settings, folds=2, fold=0)
    assert split.coding == first.coding
    assert [note for note in split.describe()["notes"] if "test images" in note] == [
        "covariate age: 1 of 20 test images lie beyond the training images' 41 to 58.5 (300)",
        "covariate device: 1 of 20 test images have a value that no training image has, "
        "coded as missing ('Sony')",
    ]


def test_nothing_to_learn_is_refused_before_training(folder: Path) -> None:
    changed(folder, "device", lambda i, cell: "GE")
    with pytest.raises(DataError, match=r"covariate device: 'GE' in all .* leave it out of data\.covariates"):
        Split.load(folder, load_settings("quick", {"data.covariates": "device"}), folds=2, fold=0)
    assert "covariate device: 'GE' in all" in verify(folder, covariates=["device"]).problems[0]


def test_a_split_with_other_covariates_is_refused(folder: Path) -> None:
    split = Split.load(folder, load_settings("quick"), folds=2, fold=0)
    with pytest.raises(SettingsError, match=r"data\.covariates = \('age',\)"):
        Task(split, load_settings("quick", {"data.covariates": "age"}))


def test_external_data_bring_the_same_columns(folder: Path, tmp_path: Path) -> None:
    settings = load_settings("quick", {"data.covariates": "age,device"})
    split = Split.load(folder, settings, folds=2, fold=0)
    other = tmp_path / "elsewhere"
    for seed in range(8):
        save_picture(other / f"{seed}.png", 100 + seed)
    cases = [(f"{i}.png", ("benign", "malignant")[i % 2], "55", "Sony") for i in range(8)]
    write_table(other / "manifest.csv", ("file", "label", "age", "device"), *cases)
    task = Task(split, settings, load_external(other, settings, split.data))
    assert any("8 of 8 external images have a value that no" in note for note in task.describe()["notes"])
    write_table(other / "manifest.csv", ("file", "label", "age"), *(row[:3] for row in cases))
    with pytest.raises(DataError, match="no column 'device'"):
        load_external(other, settings, split.data)


# Leaks


def test_a_covariate_that_alone_tells_the_class_is_named(folder: Path) -> None:
    changed(folder, "device", lambda i, cell: ("lumpectomy", "follow-up")[i // 2 % 2])
    (note,) = load(folder, covariates=["device", "width"]).notes
    assert note.startswith("covariate device alone tells benign from the rest (AUC 1.000, above 0.95)")
    assert note in verify(folder, covariates=["device"]).warnings


# Settings


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"data.covariates": "age,age"}, "all different"),
        ({"data.covariates": ["age", ""]}, "names of columns"),
        ({"data.covariates": 3}, "names of columns"),
        ({"data.categories": "device"}, "none of data.covariates"),
        ({"data.log_covariates": "age"}, "none of data.covariates"),
        ({"data.covariates": "width", "data.categories": "width"}, "both name width"),
    ],
)
def test_settings_that_name_no_columns_are_refused(given: dict[str, object], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        load_settings("quick", given)


@pytest.mark.parametrize("cell", ["4O", "inf", "about 40"])
def test_a_number_that_is_misspelt_does_not_make_its_column_a_category(cell: str) -> None:
    cells = [*map(str, range(20, 60, 5)), cell]
    with pytest.raises(
        DataError, match=rf"covariate c: 1 of 9 cells are no numbers \('{cell}'\), the others are"
    ):
        fit_coding({"c": cells}, ["c"])
    assert fit_coding({"c": cells}, ["c"], categories=["c"]).columns[0].kind == "category"
    assert fit_coding({"c": ["1", "II", "III", "2", "IV"]}, ["c"]).columns[0].kind == "category"
