"""What reading the data found is said, or a problem."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.images import rows_of
from trials.data.grouping import CONTRADICTORY
from trials.data.load import examine, load

Table = Callable[..., Path]


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
