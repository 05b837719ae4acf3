"""The columns of a manifest that keep images together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.images import rows_of
from trials.data.load import load
from trials.data.tables.cells import is_blank, same_key
from trials.data.tables.headings import kind_of
from trials.errors import DataError

Table = Callable[..., Path]


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
