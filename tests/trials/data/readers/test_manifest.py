"""A manifest names an image a row."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from trials.data.load import load
from trials.errors import DataError


def test_manifest_maps_labels_and_groups_by_name(manifest_folder: Callable[..., Path]) -> None:
    data = load(
        manifest_folder(
            [
                ("b.png", "malignant", "7"),
                ("a.png", "benign", "3"),
                ("c.png", "benign", "3"),
            ]
        )
    )
    assert data.layout == "manifest" and data.group_source == "column duplicate_group"
    assert data.files == ("b.png", "a.png", "c.png") and data.classes == ("benign", "malignant")
    assert data.labels.tolist() == [1, 0, 0] and data.groups == ("7", "3", "3")


def test_group_column_is_the_one_asked_for(manifest_folder: Callable[..., Path]) -> None:
    root = manifest_folder([("a.png", "benign", "x"), ("b.png", "malignant", "y")], column="case_id")
    assert load(root, group_column="none").group_source == "perceptual hash"
    assert load(root, group_column="case_id").groups == ("x", "y")
    with pytest.raises(DataError, match=r"case_idd.*did you mean case_id"):
        load(root, group_column="case_idd")


def test_blank_groups_are_groups_of_their_own(manifest_folder: Callable[..., Path]) -> None:
    data = load(
        manifest_folder([("a.png", "benign", ""), ("b.png", "benign", ""), ("c.png", "malignant", "1")])
    )
    assert data.groups == ("a.png", "b.png", "1")
    assert "2 images without duplicate_group" in data.notes[0]


def test_every_problem_is_named_at_once(manifest_folder: Callable[..., Path]) -> None:
    rows = [(f"b{i}.png", "benign", "") for i in range(6)] + [
        (f"m{i}.png", "malignant", "") for i in range(6)
    ]
    rows += [("t.png", "malignnat", ""), ("", "benign", ""), ("u.png", "", ""), ("../x.png", "benign", "")]
    rows += [("/x.png", "benign", ""), ("b0.png", "benign", ""), ("gone.png", "benign", "")]
    root = manifest_folder(rows)
    (root / "gone.png").unlink()
    (root / "b1.png").write_bytes(b"")
    whole = (root / "b2.png").read_bytes()
    (root / "b2.png").write_bytes(whole[: len(whole) // 2])
    (root / "b3.png").write_text("no image at all")
    with pytest.raises(DataError) as caught:
        load(root)
    lines = str(caught.value).splitlines()
    expected = [
        "image 14: no file",
        "image 15: u.png has no label",
        "image 16: ../x.png lies outside",
        "image 17: /x.png lies",
    ]
    expected += [
        "image 18: b0.png is already image 1",
        "'malignnat' (1 images) looks like 'malignant' misspelt",
    ]
    expected += [
        "gone.png: there is no such file",
        "b1.png: the file is empty",
        "b2.png: cannot",
        "b3.png: cannot",
    ]
    for text in expected:
        assert sum(text in line for line in lines) == 1, text
    assert len(lines) == len(expected)


@pytest.mark.parametrize(
    ("columns", "way_out"),
    [
        ("name,label", r"has \['name', 'label'\]$"),
        ("file;label", "must have commas"),
        ("file\tlabel", "commas"),
        ("", "$"),
    ],
)
def test_manifest_without_its_columns_is_refused(tmp_path: Path, columns: str, way_out: str) -> None:
    (tmp_path / "manifest.csv").write_text(f"{columns}\na.png,benign\n")
    with pytest.raises(DataError, match=rf"manifest\.csv: no column.*{way_out}"):
        load(tmp_path)


def test_a_manifest_of_another_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text("file,label\na.png,bösartig\n", encoding="latin-1")
    with pytest.raises(DataError, match="save it as what spreadsheets call CSV UTF-8"):
        load(tmp_path)


def test_paths_of_windows_are_refused_by_what_to_write(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text("file,label\nimg\\a.png,benign\nC:\\img\\b.png,malignant\n")
    with pytest.raises(DataError) as caught:
        load(tmp_path)
    one, other, *_ = str(caught.value).splitlines()
    assert one.endswith("img\\a.png: there is no such file; write / between folders, not \\")
    assert other.endswith(
        "C:\\img\\b.png lies outside the folder (or its name has ..); name files relative to it"
    )
