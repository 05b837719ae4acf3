from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trials.cli import main
from trials.data.checks import verify
from trials.data.dataset import load
from trials.data.files.walking import walk
from trials.data.prepare import prepare
from trials.data.readers.choose import refuse_inside
from trials.errors import DataError

Picture = Callable[..., np.ndarray]
SIX = 6


@pytest.fixture
def classes(tmp_path: Path, picture: Picture) -> Path:
    """Six pictures in each of two class folders."""
    root = tmp_path / "lesions"
    for seed in range(2 * SIX):
        save(picture(seed), root / ("benign", "malignant")[seed % 2] / f"{seed:02}.png")
    return root


def save(pixels: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


# Strays and outputs ----------------------------------------------------------------------------------------


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
    assert len(load(classes).files) == 2 * SIX


def test_images_in_no_class_folder_get_a_note(classes: Path, picture: Picture) -> None:
    save(picture(98), classes / "x.png")
    assert load(classes).notes == ("1 images skipped, in no class folder (x.png)",)
    save(picture(99), classes / "y.png")
    with pytest.raises(DataError, match=r"2 images skipped, in no class folder.*one a class"):
        load(classes)


@pytest.mark.parametrize("place", ["runs/search", "benign/maps", "."])
def test_results_among_images_are_refused(place: str, classes: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="where each folder is a class"):
        refuse_inside(classes, classes / place)
    refuse_inside(classes, tmp_path / "elsewhere")


@pytest.mark.parametrize("nested", [False, True])
def test_every_command_refuses_results_among_images(
    nested: bool, classes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "e.yml").write_text("LESION_NAS_DATASET")
    data, out = tmp_path if nested else classes, str(classes / "runs" / "x")
    verbs = [
        ["search", "--data", str(data), "--out", out, "--dry-run"],
        ["train", "--data", str(data), "--out", out, "--method", "hog", "--dry-run"],
        ["evaluate", str(tmp_path), "--data", str(data), "--out", out],
        ["launch", str(tmp_path / "e.yml"), "--data", str(data), "--out", out],
        ["prepare", str(data), out],
    ]
    for verb in verbs:
        assert main(verb) == 1
        assert "where each folder is a class" in capsys.readouterr().err
    assert not Path(out).parent.exists()


def test_launch_chooses_no_folder_among_images(
    classes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "e.yml").write_text("LESION_NAS_DATASET")
    monkeypatch.chdir(classes)
    assert main(["launch", str(tmp_path / "e.yml"), "--data", "."]) == 1
    assert "where each folder is a class" in capsys.readouterr().err


def test_results_beside_a_manifest_or_a_nested_set_do_no_harm(classes: Path, tmp_path: Path) -> None:
    refuse_inside(tmp_path, tmp_path / "runs")  # the images lie in tmp_path/lesions
    (classes / "manifest.csv").write_text("file,label\n")
    refuse_inside(classes, classes / "runs")


# Links and names -------------------------------------------------------------------------------------------


def test_a_link_to_a_folder_is_followed_once(classes: Path) -> None:
    digest = load(classes).digest
    (classes / ".store").mkdir()
    (classes / "malignant").rename(classes / ".store" / "malignant")
    (classes / "malignant").symlink_to(classes / ".store" / "malignant")
    (classes / "benign" / "again").symlink_to(classes / ".store" / "malignant")
    (classes / "benign" / "loop").symlink_to(classes)
    data = load(classes)
    assert len(data.files) == 2 * SIX
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


def test_a_path_that_is_not_utf8_is_refused(classes: Path) -> None:
    other = classes.parent / os.fsdecode(b"l\xe9sions")
    classes.rename(other)
    assert not verify(other).ok and r"l\xe9sions: the path is not UTF-8" in verify(other).text()


def test_dicom_files_without_suffix_are_images(tmp_path: Path) -> None:
    for name in ("IM0001", "1.2.840.10008"):
        (tmp_path / "benign").mkdir(exist_ok=True)
        (tmp_path / "benign" / name).write_bytes(bytes(128) + b"DICM")
    (tmp_path / "benign" / "README").write_text("no image")
    tree = walk(tmp_path)
    assert [path.name for path in tree.images] == ["1.2.840.10008", "IM0001"]
    assert [path.name for path in tree.others] == ["README"]


# One folder too deep, BUS-BRA ------------------------------------------------------------------------------


@pytest.mark.parametrize("inner", ["Dataset_BUSI_with_GT", "archive/Dataset_BUSI_with_GT"])
def test_busi_one_folder_too_deep_is_read(inner: str, busi_folder: Path, tmp_path: Path) -> None:
    digest = load(busi_folder).digest
    place = tmp_path / "unpacked" / inner
    place.parent.mkdir(parents=True)
    busi_folder.rename(place)
    data = load(tmp_path / "unpacked")
    assert data.digest == digest and data.root == place
    assert data.notes[0] == f"read from the only data set in unpacked, {inner}"


@pytest.mark.parametrize("layout", ["manifest", "split"])
def test_other_layouts_one_folder_too_deep_are_read(
    layout: str, classes: Path, tmp_path: Path, picture: Picture
) -> None:
    if layout == "manifest":
        (classes / "manifest.csv").write_text(
            "file,label\nbenign/00.png,benign\nmalignant/01.png,malignant\n"
        )
    else:
        for number, split in enumerate(("train", "valid", "test")):
            for label in ("benign", "malignant"):
                for seed in range(4):
                    file = classes / split / label / f"{seed}.png"
                    save(picture(hash((number, label == "benign", seed)) % 10**6), file)
        for label in ("benign", "malignant"):
            for file in (classes / label).iterdir():
                file.unlink()
            (classes / label).rmdir()
    assert load(tmp_path).digest == load(classes).digest


def test_two_data_sets_in_a_folder_are_named(classes: Path, tmp_path: Path, busi_folder: Path) -> None:
    for root in (classes, busi_folder):
        (root / "manifest.csv").write_text("file,label\n")
    with pytest.raises(DataError, match="the folders busi, lesions hold a data set each; name one"):
        load(tmp_path)


def test_folds_beside_a_nested_data_set_are_a_problem(classes: Path, tmp_path: Path) -> None:
    (tmp_path / "folds.csv").write_text("file,fold\n")
    with pytest.raises(DataError, match=r"folds\.csv: the images lie in lesions; move the file there"):
        load(tmp_path)


@pytest.fixture
def busbra_folder(tmp_path: Path, picture: Picture) -> Path:
    """BUS-BRA's published layout: twelve patients, the first with two images."""
    root = tmp_path / "archive" / "BUSBRA"
    mask = np.zeros((80, 100), dtype=np.uint8)
    mask[20:60, 30:70] = 255
    rows = []
    for number in range(1, 14):
        case, side = max(1, number - 1), "r" if number == 2 else "l"
        name = f"{case:04}-{side}"
        save(picture(number, 80, 100), root / "Images" / f"bus_{name}.png")
        save(mask, root / "Masks" / f"mask_{name}.png")
        rows.append([f"bus_{name}", case, "cyst", ("benign", "malignant")[case % 2], 4, "GE", 100, 80, side])
    with (root / "bus_data.csv").open("w", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(
            ["ID", "Case", "Histology", "Pathology", "BIRADS", "Device", "Width", "Height", "Side"]
        )
        writer.writerows(rows)
    (root / "5-fold-cv.csv").write_text("ID,Pathology,BIRADS,kFold\n")
    return root


@pytest.mark.parametrize("deep", [False, True])
def test_busbra_is_cut_by_its_masks_and_grouped_by_case(deep: bool, busbra_folder: Path) -> None:
    data = load(busbra_folder.parent if deep else busbra_folder)
    assert data.layout == "busbra" and data.group_source == "column Case"
    assert {image.shape for image in data.images} == {(48, 48)}
    assert len(data.files) == 13 and len(set(data.groups)) == 12 and data.groups[0] == data.groups[1]
    assert data.files[1] == "Images/bus_0001-r.png" and data.classes[data.labels[1]] == "malignant"
    with pytest.raises(DataError, match=r"bus_data\.csv: no group column Patient"):
        load(busbra_folder, group_column="Patient")


def test_busbra_is_prepared_with_its_patients(busbra_folder: Path, tmp_path: Path) -> None:
    summary = prepare(busbra_folder, tmp_path / "crops")
    assert summary.groups == 12 and sum(summary.images.values()) == 13
    assert load(tmp_path / "crops").image_digests == load(busbra_folder).image_digests


@pytest.mark.parametrize("fault", ["mask", "image", "row", "path"])
def test_problems_of_busbra_are_named(fault: str, busbra_folder: Path) -> None:
    table = busbra_folder / "bus_data.csv"
    expected = {
        "mask": "no mask",
        "image": "there is no such file",
        "row": "row already",
        "path": "expected a",
    }
    if fault == "mask":
        (busbra_folder / "Masks" / "mask_0003-l.png").unlink()
    elif fault == "image":
        (busbra_folder / "Images" / "bus_0003-l.png").unlink()
    else:
        name = "bus_0003-l" if fault == "row" else "../x"
        table.write_text(table.read_text() + f"{name},3,cyst,benign,4,GE,100,80,l\n")
    with pytest.raises(DataError, match=expected[fault]):
        load(busbra_folder)


def test_images_missing_in_busbras_table_get_a_note(busbra_folder: Path, picture: Picture) -> None:
    save(picture(77), busbra_folder / "Images" / "bus_9999-l.png")
    assert "1 images skipped, not in bus_data.csv (Images/bus_9999-l.png)" in load(busbra_folder).notes
