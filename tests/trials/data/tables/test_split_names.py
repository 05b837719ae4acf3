"""Parts of a published split under the names that people give them."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trials.data.checks import verify
from trials.data.load import load
from trials.data.records import SPLITS
from trials.data.tables.split_names import like_parts, part_of, parts_of
from trials.errors import DataError

NAMES = {
    "training": ("train", "Train", "TRAINING", "train_set", "TrainSet", "trainset", "imagesTr"),
    "validation": ("valid", "VAL", "Validation", "validation_set", "valset", "val-images"),
    "test": ("test", "TEST", "testing", "test_set", "TestData", "Testing Data", "imagesTs"),
}


@pytest.mark.parametrize("part", SPLITS)
def test_names_of_parts_are_known_in_any_case(part: str) -> None:
    assert [part_of(name) for name in NAMES[part]] == [part] * len(NAMES[part])


@pytest.mark.parametrize(
    "name", ["benign", "Contest", "latest", "xtrain", "trainval", "test2", "set", "", "eval"]
)
def test_other_names_are_no_parts(name: str) -> None:
    assert part_of(name) is None


def test_a_split_is_of_three_parts_one_each() -> None:
    assert parts_of(("Train", "val", "TEST")) == {"Train": "training", "val": "validation", "TEST": "test"}
    for names in (("train", "test"), ("train", "val", "valid", "test"), ("train", "val", "test", "extra")):
        assert parts_of(names) is None and like_parts(names)
    assert not like_parts(("test", "control")) and not like_parts(("benign", "malignant"))


@pytest.fixture
def class_folders(tmp_path: Path, picture: Callable[..., np.ndarray]) -> Callable[..., Path]:
    """Two images in each of the folders."""

    def write(folders: Sequence[str]) -> Path:
        for seed, folder in enumerate(folders):
            (tmp_path / folder).mkdir(parents=True)
            for number in range(2):
                Image.fromarray(picture(10 * seed + number)).save(tmp_path / folder / f"{number}.png")
        return tmp_path

    return write


@pytest.mark.parametrize("names", list(zip(*NAMES.values(), strict=False)))
@pytest.mark.parametrize("form", ["{part}/{label}", "{label}/{part}", "{part}/{label}/clinic"])
def test_folders_of_parts_are_the_split_under_any_name(
    names: tuple[str, ...], form: str, class_folders: Callable[..., Path]
) -> None:
    root = class_folders(
        [form.format(part=part, label=label) for part in names for label in ("benign", "malignant")]
    )
    data = load(root)
    assert data.classes == ("benign", "malignant") and data.splits is not None
    means = dict(zip(names, SPLITS, strict=True))
    for file, label, split in zip(data.files, data.labels, data.splits, strict=True):
        assert means[next(part for part in file.split("/") if part in means)] == split
        assert data.classes[label] in file.split("/")


@pytest.mark.parametrize(
    "names", [("Train", "Test"), ("train", "val", "valid", "test"), ("Train", "Val", "Test", "more")]
)
@pytest.mark.parametrize("form", ["{part}/{label}", "{label}/{part}"])
def test_folders_of_an_incomplete_split_are_refused(
    names: tuple[str, ...], form: str, class_folders: Callable[..., Path]
) -> None:
    root = class_folders(
        [form.format(part=part, label=label) for part in names for label in ("benign", "malignant")]
    )
    problems = "\n".join(verify(root).problems)
    assert "name the parts training, validation, test, one each" in problems and names[0] in problems


def with_column(root: Path, heading: str, parts: Sequence[str]) -> Path:
    rows = [(f"{i}.png", ("benign", "malignant")[i % 2], parts[i // 4]) for i in range(4 * len(parts))]
    with (root / "manifest.csv").open("w", newline="") as lines:
        csv.writer(lines).writerows([("file", "label", heading), *rows])
    for seed, (file, _, _) in enumerate(rows):
        Image.fromarray(np.random.default_rng(seed).integers(0, 256, (9, 9), dtype=np.uint8)).save(
            root / file
        )
    return root


@pytest.mark.parametrize("heading", ["split", "Split", "SET", "subset", "data_split", "Partition"])
@pytest.mark.parametrize("names", list(zip(*NAMES.values(), strict=False))[:3])
def test_a_column_of_parts_is_the_split(heading: str, names: tuple[str, ...], tmp_path: Path) -> None:
    data = load(with_column(tmp_path, heading, names))
    assert data.splits == ("training",) * 4 + ("validation",) * 4 + ("test",) * 4
    said = [note for note in data.notes if f"column {heading} is taken for" in note]
    assert bool(said) == (heading.lower() != "split")


def test_a_column_of_something_else_is_no_split(tmp_path: Path) -> None:
    assert load(with_column(tmp_path, "set", ("A", "B", "C"))).splits is None


def test_a_column_without_validation_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"no image is of split validation; name the parts .* move some training images"
    ):
        load(with_column(tmp_path, "split", ("Train", "Test")))
