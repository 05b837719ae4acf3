from __future__ import annotations

import csv
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trials.data.dataset import load
from trials.data.files.decoding import decode
from trials.data.files.grey_range import GreyRange
from trials.errors import DataError

REPOSITORY = Path(__file__).parents[3]


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


def test_contradictory_groups_are_left_out(manifest_folder: Callable[..., Path]) -> None:
    rows = [
        ("a.png", "benign", "1"),
        ("b.png", "malignant", "1"),
        ("c.png", "benign", "2"),
        ("d.png", "malignant", "3"),
    ]
    data = load(manifest_folder(rows))
    assert data.files == ("c.png", "d.png")
    assert [(item.file, item.group) for item in data.left_out] == [("a.png", "1"), ("b.png", "1")]


def test_identical_pixels_join_groups_and_their_contradiction_counts(
    manifest_folder: Callable[..., Path],
) -> None:
    rows = [
        (f"{name}.png", label, name)
        for name, label in zip("abcde", ["benign"] * 3 + ["malignant"] * 2, strict=True)
    ]
    root = manifest_folder(rows)
    shutil.copy(root / "a.png", root / "b.png")
    shutil.copy(root / "c.png", root / "e.png")
    data = load(root)
    assert data.files == ("a.png", "b.png", "d.png") and data.groups == ("a", "a", "d")
    assert {item.file for item in data.left_out} == {"c.png", "e.png"}
    assert data.notes == (
        "groups that hold copies of one picture are one group, by the first's name: a and b; c and e",
    )


def test_class_folders_take_the_folder_as_label(tmp_path: Path, picture: Callable[..., np.ndarray]) -> None:
    for seed, file in enumerate(
        ("benign/1.png", "benign/clinic/2.png", "malignant/1.PNG", "malignant/.hidden.png")
    ):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(seed)).save(tmp_path / file)
    (tmp_path / "benign" / "notes.txt").write_text("no image")
    data = load(tmp_path)
    assert data.layout == "class_folders" and data.labels.tolist() == [0, 0, 1]
    assert data.files == ("benign/1.png", "benign/clinic/2.png", "malignant/1.PNG")
    assert data.notes[:-1] == (
        "1 files skipped, not images by their suffix (.txt)",
        "1 images in hidden or stray places skipped (hidden files)",
    )
    assert "1 sub-folders (clinic), which are not taken for patients" in data.notes[-1]


def test_busi_is_cut_to_all_masks_with_a_margin(busi_folder: Path) -> None:
    data = load(busi_folder)
    assert data.layout == "busi" and data.group_source == "perceptual hash" and len(data.files) == 12
    assert [(item.file, item.reason) for item in data.left_out] == [("normal/normal (1).png", "no lesion")]
    shapes = dict(zip(data.files, (image.shape for image in data.images), strict=True))
    assert shapes["benign/benign (1).png"] == (48, 48)  # 40 pixels and a tenth on both sides
    assert shapes["malignant/malignant (2).png"] == (60, 72)  # 60 x 50 marked, and a tenth on both sides
    frame = np.asarray(Image.open(busi_folder / "benign" / "benign (1).png"))[..., 0]
    np.testing.assert_array_equal(data.images[0], frame[16:64, 26:74])


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_grey_pictures_are_grey_in_every_mode(
    tmp_path: Path, mode: str, picture: Callable[..., np.ndarray]
) -> None:
    grey = picture(1) if mode != "1" else (picture(1) > 127).astype(np.uint8) * 255
    path = tmp_path / ("image.tif" if mode == "CMYK" else "image.png")
    Image.fromarray(grey).convert(mode).save(path)
    np.testing.assert_array_equal(decode(path), grey)


def test_colour_stays_colour(tmp_path: Path) -> None:
    colour = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    Image.fromarray(colour).save(tmp_path / "image.png")
    np.testing.assert_array_equal(decode(tmp_path / "image.png"), colour)


@pytest.mark.parametrize(
    ("largest", "expected"), [(65535, [0, 128, 255]), (4095, [0, 128, 255]), (255, [0, 128, 255])]
)
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_are_mapped_linearly(
    tmp_path: Path, suffix: str, largest: int, expected: list[int]
) -> None:
    path = tmp_path / f"image.{suffix}"
    Image.fromarray(np.array([[0, (largest + 1) // 2, largest]], dtype=np.uint16)).save(path)
    assert decode(path, grey_range=GreyRange(0, largest))[0].tolist() == expected


def test_large_images_keep_their_proportions_within_the_limit(tmp_path: Path) -> None:
    Image.new("L", (1024, 600), 7).save(tmp_path / "image.png")
    assert decode(tmp_path / "image.png").shape == (300, 512)


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


@pytest.mark.parametrize("columns", ["name,label", "file;label", ""])
def test_manifest_without_its_columns_is_refused(tmp_path: Path, columns: str) -> None:
    (tmp_path / "manifest.csv").write_text(f"{columns}\na.png,benign\n")
    with pytest.raises(DataError, match=r"manifest\.csv: no column"):
        load(tmp_path)


def test_positive_class_is_never_guessed(manifest_folder: Callable[..., Path]) -> None:
    root = manifest_folder([("a.png", "0", "1"), ("b.png", "1", "2")])
    with pytest.raises(DataError, match="no class is named 'malignant'"):
        load(root)
    assert load(root, positive="1").positive == "1"


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


@pytest.mark.parametrize("fault", ["orphan", "no mask", "size", "empty"])
def test_masks_that_do_not_match_are_refused(fault: str, busi_folder: Path) -> None:
    mask = busi_folder / "benign" / "benign (3)_mask.png"
    if fault == "orphan":
        (busi_folder / "benign" / "benign (3).png").unlink()
    elif fault == "no mask":
        mask.unlink()
    else:
        Image.new("L", (99, 80) if fault == "size" else (100, 80)).save(mask)
    texts = {
        "orphan": "without its image",
        "no mask": "no mask",
        "size": r"\(99, 80\)",
        "empty": "mark no pixel",
    }
    with pytest.raises(DataError, match=rf"benign \(3\).*{texts[fault]}"):
        load(busi_folder)


@pytest.mark.parametrize("what", ["missing", "empty folder", "text file"])
def test_unknown_layouts_are_refused_with_the_known_ones(what: str, tmp_path: Path) -> None:
    path = tmp_path / "x"
    if what == "empty folder":
        path.mkdir()
    elif what == "text file":
        path.write_text("nothing")
    with pytest.raises(DataError, match=r"expected a folder with manifest\.csv"):
        load(path)


def test_digest_is_the_same_elsewhere_and_in_another_process(
    manifest_folder: Callable[..., Path],
    balanced_rows: Callable[..., list[tuple[str, str, str]]],
    tmp_path: Path,
) -> None:
    root = manifest_folder(balanced_rows(3, 3))
    elsewhere = tmp_path / "other" / "place"
    shutil.copytree(root, elsewhere)
    code = f"from trials.data.dataset import load; print(load({str(elsewhere)!r}).digest)"
    again = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    data = load(root)
    assert again.stdout.strip() == data.digest
    Image.fromarray(255 - data.images[0]).save(root / data.files[0])
    changed = load(root)
    assert changed.digest != data.digest and changed.image_digests[1:] == data.image_digests[1:]


def test_real_busi_has_647_crops_of_which_17_contradict(real_data: Path) -> None:
    data = load(real_data / "busi")
    assert len(data.files) == 630 and len(data.left_out) == 17
    assert {item.group for item in data.left_out} == {"42", "84", "221", "285", "302"}
    assert data.notes == ()


def test_real_busbra_has_1875_crops(real_data: Path) -> None:
    data = load(real_data / "busbra")
    assert len(data.files) == 1875 and not data.left_out and len(set(data.groups)) == 1062
    by_patient = load(real_data / "busbra", group_column="patient")
    assert len(set(by_patient.groups)) == 1064


def test_real_busi_frames_are_cut_as_the_published_crops(real_data: Path) -> None:
    data = load(real_data / "busi_layout_sample")
    assert data.layout == "busi" and len(data.files) + len(data.left_out) == 25
    with (real_data / "busi" / "manifest.csv").open(newline="") as lines:
        crops = {Path(row["source_file"]).name: row for row in csv.DictReader(lines)}
    compared = 0
    for file, image in zip(data.files, data.images, strict=True):
        row = crops[Path(file).name]
        box = tuple(int(row[key]) for key in ("x0", "y0", "x1", "y1"))
        assert image.shape == (box[3] - box[1], box[2] - box[0])
        if max(image.shape) <= 256:  # the published crops are reduced to 256 pixels
            np.testing.assert_array_equal(image, np.asarray(Image.open(real_data / "busi" / row["file"])))
            compared += 1
    assert compared >= 5


def test_cells_beyond_the_headings_are_refused(manifest_folder: Callable[..., Path]) -> None:
    root = manifest_folder([("a.png", "benign", "1"), ("b.png", "malignant", "2")])
    (root / "manifest.csv").write_text("file,label,patient\na.png,benign,1\nb.png,malignant, right,2\n")
    with pytest.raises(DataError, match=r"manifest\.csv, line 3: 4 cells, but the first line has 3"):
        load(root)


def test_columns_without_a_heading_are_skipped(manifest_folder: Callable[..., Path]) -> None:
    root = manifest_folder([("a.png", "benign", "1"), ("b.png", "malignant", "2")])
    (root / "manifest.csv").write_text(",file,label,patient,,\n0,a.png,benign,1,,\n1,b.png,malignant,2,,\n")
    assert load(root).groups == ("1", "2")
