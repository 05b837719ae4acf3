"""A data set is verified."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trials.data.checks import SHOWN, Report, verify
from trials.data.load import load

Rows = list[tuple[str, str, str]]


def test_valid_data_pass_with_counts(
    manifest_folder: Callable[..., Path], balanced_rows: Callable[..., Rows]
) -> None:
    report = verify(manifest_folder(balanced_rows(10, 5)))
    assert report.ok and report.problems == () and report.warnings == ()
    assert report.counts["classes"] == {"benign": 10, "malignant": 10} and report.counts["groups"] == 10
    assert report.layout == "manifest" and report.fold_source == "generated"
    assert json.loads(json.dumps(report.to_dict()))["ok"] is True
    assert "fit for use" in report.text()
    assert "classes: benign 10, malignant 10" in report.text().splitlines()


def test_findings_of_every_kind_come_in_one_report(
    manifest_folder: Callable[..., Path], balanced_rows: Callable[..., Rows]
) -> None:
    rows = [*balanced_rows(6, 6), ("gone.png", "benign", "g"), ("odd.png", "Malignant", "o")]
    rows += [("x.png", "benign", "both"), ("y.png", "malignant", "both")]
    root = manifest_folder(rows)
    (root / "gone.png").unlink()
    report = verify(root, folds=7)
    found = "\n".join(report.problems)
    assert not report.ok and len(report.problems) == 5
    for text in (
        "gone.png: there is no such file",
        "labels 'Malignant' (1 images) and 'malignant' (7 images) differ only by",
        "class benign has 6 groups",
    ):
        assert text in found
    assert report.warnings == (
        "left out, its group holds more than one label: group both: x.png, y.png (2 images)",
    )


def test_unreadable_path_gives_a_report(tmp_path: Path) -> None:
    report = verify(tmp_path / "nowhere")
    assert not report.ok and "nowhere" in report.text()
    assert json.loads(json.dumps(report.to_dict()))["problems"] == list(report.problems)


def test_long_lists_are_cut_in_the_text_only(manifest_folder: Callable[..., Path]) -> None:
    root = manifest_folder([(f"{i}.png", ("benign", "malignant")[i % 2], str(i)) for i in range(50)])
    for path in root.glob("*.png"):
        path.write_bytes(b"")
    report = verify(root)
    assert len(report.problems) == 50 and report.text().count("is empty") == SHOWN
    assert "30 more problems" in report.text()


def test_smallest_differences_of_many_classes_are_said_by_their_extremes() -> None:
    gaps = {"a": 0.05, "b": 0.01, "c": 0.03, "d": "none, so few are they", "e": 0.04}
    counts: dict[str, object] = {"smallest": {name: {"groups": gap} for name, gap in gaps.items()}}
    report = Report("data", "manifest", "", "", "", counts, (), (), ())
    assert "smallest: from b: groups 0.01 to d: groups none, so few are they, of 5 classes" in report.text()
    assert report.to_dict()["counts"] == counts


def test_left_out_images_are_all_in_the_dictionary(busi_folder: Path) -> None:
    report = verify(busi_folder)
    assert report.ok and report.fold_source == "generated" and report.group_source == "perceptual hash"
    assert report.to_dict()["left_out"] == (
        {"file": "normal/normal (1).png", "label": "normal", "group": "", "reason": "no lesion"},
    )


def test_near_duplicates_across_groups_are_reported(
    manifest_folder: Callable[..., Path], balanced_rows: Callable[..., Rows]
) -> None:
    root = manifest_folder(balanced_rows(6, 6))
    with Image.open(root / "benign_002.png") as image:
        image.point(lambda grey: grey * 0.8 + 20).save(root / "benign_004.png")
    report = verify(root)
    assert report.ok
    assert report.warnings == ("near-duplicates in groups b2 and b4: benign_002.png, benign_004.png",)


def test_stored_folds_are_reported_and_checked(
    manifest_folder: Callable[..., Path], balanced_rows: Callable[..., Rows]
) -> None:
    root = manifest_folder(balanced_rows(4, 2))
    files = [row[0] for row in balanced_rows(4, 2)]
    (root / "folds.csv").write_text(
        "file,fold\n" + "".join(f"{file},{i % 2}\n" for i, file in enumerate(files))
    )
    assert verify(root, folds=2).fold_source == "folds.csv"
    (root / "folds.csv").write_text(
        "file,fold\n" + "".join(f"{file},{i // 2 % 2}\n" for i, file in enumerate(files))
    )
    problems = verify(root, folds=2).problems
    assert len(problems) == 4 and all("is split over folds [0, 1]" in problem for problem in problems)


@pytest.fixture
def one_frame(tmp_path: Path, picture: Callable[..., np.ndarray]) -> Path:
    """Twenty images of each class that differ in details of one frame, and a mirrored copy."""
    frame = picture(99, 64, 64).astype(float)
    for seed, label in enumerate(("benign", "malignant")):
        (tmp_path / label).mkdir()
        for number in range(20):
            details = picture(100 * seed + number + 1, 64, 64) / 255 - 0.5
            image = np.clip(frame * 0.7 + 38 + 90 * details, 0, 255).astype(np.uint8)
            Image.fromarray(image).save(tmp_path / label / f"{number}.png")
    with Image.open(tmp_path / "benign" / "3.png") as image:
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "benign" / "20.jpg", quality=90)
    return tmp_path


def test_images_of_one_frame_are_separate_if_only_copies_are_grouped(one_frame: Path) -> None:
    near = verify(one_frame)
    assert not near.ok and near.counts["left out"] == 0  # both labels in one group: none is thrown away
    assert any("joins" in line and "--set data.duplicates=copies" in line for line in near.warnings)
    assert all("--set data.duplicates=copies" in line for line in near.problems)
    copies_alone = verify(one_frame, duplicates="copies")
    assert copies_alone.ok and copies_alone.group_source == "copies" and copies_alone.warnings == ()
    data = load(one_frame, duplicates="copies")
    group = dict(zip(data.files, data.groups, strict=True))
    assert len(set(group.values())) == 40 and group["benign/20.jpg"] == group["benign/3.png"]
