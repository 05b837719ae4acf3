"""Names of classes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from trials.data.labels import label_notes, label_problems
from trials.data.load import load
from trials.errors import DataError


def judged(
    common: str, rare: str, count: int = 3, accept: tuple[str, ...] = ()
) -> tuple[list[str], list[str]]:
    labels = [common] * 60 + [rare] * count + ["other thing"] * 60
    return list(label_problems(labels, "other thing", accept)), list(label_notes(labels, accept))


@pytest.mark.parametrize("count", [1, 30, 59])
@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("Benign", "benign"),
        ("in situ", "in_situ"),
        ("in situ", "In-Situ"),
        ("grade 2", "grade2"),
        ("nevus", "nevus\u200b"),
        ("nevus", "nevus."),
        ("1", "1.0"),
        ("a  b", "a b"),
    ],
)
def test_one_name_written_in_two_ways_is_refused_at_any_count(name: str, other: str, count: int) -> None:
    for accept in ((), ("labels",)):
        (problem,), notes = judged(name, other, count, accept)
        assert "differ only by case, spaces or marks" in problem and not notes


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("grade II", "grade III"),
        ("gradeII", "gradeIII"),
        ("BI-RADS 4a", "BI-RADS 4b"),
        ("stage A", "stage B"),
        ("typical", "atypical"),
        ("hypoechoic", "hyperechoic"),
        ("TypeA", "TypeB"),
    ],
)
def test_similar_true_names_are_a_warning_until_accepted(name: str, other: str) -> None:
    problems, (note,) = judged(name, other)
    assert problems == [] and f"{other!r} (3 images) resembles {name!r}" in note and "--accept labels" in note
    assert judged(name, other, accept=("labels",)) == ([], [])
    assert judged(name, other, 40) == ([], [])


@pytest.mark.parametrize(
    ("name", "other"),
    [("T1", "T2"), ("HER2+", "HER2-"), ("seborrheic keratosis", "actinic keratosis"), ("4-5", "45")],
)
def test_names_that_are_clearly_two_pass(name: str, other: str) -> None:
    assert judged(name, other) == ([], [])


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("benign", "bengin"),
        ("melanoma", "melanona"),
        ("ductal carcinoma", "ductal carcinomas"),
        ("malignant", "malignat"),
    ],
)
def test_misspelt_names_are_refused_until_accepted(name: str, other: str) -> None:
    (problem,), notes = judged(name, other)
    assert f"{other!r} (3 images) looks like {name!r} misspelt" in problem and not notes
    assert judged(name, other, accept=("labels",)) == ([], [])


@pytest.mark.parametrize("word", ["NA", "unknown", "None", "nan", "-", "?"])
def test_blank_words_are_no_classes_until_accepted(word: str) -> None:
    (problem,), _ = judged("benign", word, 40)
    assert f"{word!r} (40 images) stands for no label" in problem and "--accept labels" in problem
    assert judged("benign", word, 40, ("labels",)) == ([], [])


def test_labels_that_differ_by_a_number_are_not_misspelt(manifest_folder: Callable[..., Path]) -> None:
    rows = [(f"{i}.png", "malignant" if i == 0 else f"grade{1 + (i > 2)}", str(i)) for i in range(15)]
    assert load(manifest_folder(rows)).classes == ("grade1", "grade2", "malignant")


@pytest.mark.parametrize(
    ("label", "other"), [("bengin", "benign"), ("benig", "benign"), ("malignat", "malignant")]
)
def test_misspelt_names_are_refused_with_the_likely_name(
    label: str, other: str, manifest_folder: Callable[..., Path]
) -> None:
    rows = [(f"{i}.png", ("benign", "malignant")[i % 2], str(i)) for i in range(12)]
    with pytest.raises(DataError, match=f"'{label}'.*looks like '{other}' misspelt"):
        load(manifest_folder([*rows, ("x.png", label, "x")]))
