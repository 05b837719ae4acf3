"""Which files of a folder are images of the data set."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.helpers.images import Picture, save
from trials.cli import main
from trials.data.checks import verify
from trials.data.files.walking import walk
from trials.data.load import load
from trials.data.prepare import prepare
from trials.errors import DataError


@pytest.mark.parametrize("above", ["", "benign", "benign/clinic"])
@pytest.mark.parametrize(
    "name",
    [
        *(".hidden", "@eaDir", "__MACOSX", ".ipynb_checkpoints", ".Trash-1000/files", "lost+found"),
        *("$RECYCLE.BIN", "#recycle", "Thumbs", "System Volume Information"),
    ],
)
def test_stray_folders_are_skipped_and_counted(
    above: str, name: str, classes: Path, picture: Picture
) -> None:
    digest = load(classes).digest
    for seed in range(3):
        save(255 - picture(seed), classes / above / name / f"{seed}.png")
    data = load(classes)
    assert data.digest == digest
    assert data.notes == (f"3 images in hidden or stray places skipped ({name.split('/')[0]})",)


@pytest.mark.parametrize(
    ("file", "key"), [("run.json", "identity"), ("maps.json", "explanations"), (".launch.lock", "")]
)
def test_our_own_output_is_skipped(file: str, key: str, classes: Path, picture: Picture) -> None:
    digest = load(classes).digest
    save(picture(99), classes / "runs" / "enas7" / "cells.png")
    (classes / "runs" / "enas7" / file).write_text(json.dumps({key: {}}))
    data = load(classes)
    assert data.digest == digest and data.classes == ("benign", "malignant")
    assert data.notes == ("1 folders of our own output skipped (runs/enas7)",)


def test_prepared_crops_inside_are_skipped(busi_folder: Path, tmp_path: Path) -> None:
    prepare(busi_folder, tmp_path / "crops")
    digest = load(busi_folder).digest
    (tmp_path / "crops").rename(busi_folder / "crops")
    assert load(busi_folder).digest == digest
    assert "1 folders of our own output skipped (crops)" in load(busi_folder).notes


def test_a_folder_with_another_json_file_is_read(classes: Path) -> None:
    (classes / "benign" / "run.json").write_text('{"scanner": 1}')
    assert len(load(classes).files) == 12


def test_images_in_no_class_folder_get_a_note(classes: Path, picture: Picture) -> None:
    save(picture(98), classes / "x.png")
    assert load(classes).notes == ("1 images skipped, in no class folder (x.png)",)
    save(picture(99), classes / "y.png")
    (classes / "labels.csv").write_text("name,diagnosis\n")
    with pytest.raises(DataError, match=r"2 images skipped, .*one a class, or .*from labels\.csv$"):
        load(classes)


def test_a_link_to_a_folder_is_followed_once(classes: Path) -> None:
    digest = load(classes).digest
    (classes / ".store").mkdir()
    (classes / "malignant").rename(classes / ".store" / "malignant")
    (classes / "malignant").symlink_to(classes / ".store" / "malignant")
    (classes / "benign" / "again").symlink_to(classes / ".store" / "malignant")
    (classes / "benign" / "loop").symlink_to(classes)
    data = load(classes)
    assert len(data.files) == 12
    assert "2 links skipped, to folders read anyway (benign/again, benign/loop)" in data.notes
    (classes / "benign" / "again").unlink()
    assert load(classes).digest == digest


@pytest.mark.parametrize("kind", ["file", "folder", "manifest"])
def test_links_out_of_the_data_are_refused(
    kind: str, classes: Path, tmp_path: Path, picture: Picture
) -> None:
    save(picture(99), tmp_path / "away" / "x.png")
    target = tmp_path / "away" if kind == "folder" else tmp_path / "away" / "x.png"
    (classes / "benign" / "link.png").symlink_to(target)
    if kind == "manifest":
        (classes / "manifest.csv").write_text(
            "file,label\nbenign/link.png,benign\nmalignant/01.png,malignant\n"
        )
    with pytest.raises(DataError, match=r"1 links lead out of the folder \(benign/link\.png\).*cp -rL"):
        load(classes)


def test_the_data_folder_may_be_a_link(classes: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(classes)
    assert load(tmp_path / "link").digest == load(classes).digest


@pytest.mark.parametrize(
    ("one", "other"), [("x.png", "./x.png"), ("a/x.png", "a//x.png"), ("a/./x.png", "a/x.png")]
)
def test_one_file_written_in_two_ways_is_named(
    one: str, other: str, tmp_path: Path, picture: Picture
) -> None:
    save(picture(0), tmp_path / one)
    save(picture(1), tmp_path / "X.png")  # another file, where names have case
    (tmp_path / "manifest.csv").write_text(f"file,label\n{one},benign\nX.png,malignant\n{other},benign\n")
    with pytest.raises(DataError) as caught:
        load(tmp_path)
    assert str(caught.value).endswith(f"image 3: {other} is already image 1; keep one of the two rows")


def test_names_that_are_not_utf8_are_refused_by_name(
    classes: Path, picture: Picture, capsys: pytest.CaptureFixture[str]
) -> None:
    save(picture(99), classes / "benign" / os.fsdecode(b"l\xe9sion.png"))
    report = verify(classes)
    assert report.problems == (
        rf"{classes}: 1 names are not UTF-8 (benign/l\xe9sion.png); rename them, with "
        "`convmv -f latin1 -t utf8 -r`, say",
    )
    assert main(["train", "--data", str(classes), "--method", "hog", "--out", str(classes.parent / "o")])
    assert r"l\xe9sion.png" in capsys.readouterr().err


def test_dicom_files_without_suffix_are_images(tmp_path: Path) -> None:
    for name in ("IM0001", "1.2.840.10008"):
        (tmp_path / "benign").mkdir(exist_ok=True)
        (tmp_path / "benign" / name).write_bytes(bytes(128) + b"DICM")
    (tmp_path / "benign" / "README").write_text("no image")
    tree = walk(tmp_path)
    assert [path.name for path in tree.images] == ["1.2.840.10008", "IM0001"]
    assert [path.name for path in tree.others] == ["README"]
