from __future__ import annotations

import pytest

from trials.data.labels import label_notes, label_problems


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
