"""PatchCamelyon's HDF5 files."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.patches import write_patches
from trials.data.checks import verify
from trials.data.load import load
from trials.data.readers.patch_camelyon import META, NAME
from trials.data.records import SPLITS
from trials.errors import DataError

PARTS = {"train": 12, "valid": 6, "test": 8}


@pytest.fixture
def hdf5(tmp_path: Path) -> Path:
    """PatchCamelyon's layout with a few noisy patches of 96x96."""
    write_patches(tmp_path / "pcam", PARTS, compression="gzip", chunks=True)
    return tmp_path


@pytest.mark.parametrize("named", ["the folder above", "its own"])
def test_hdf5_files_are_read_as_torchvision_reads_them(named: str, hdf5: Path) -> None:
    datasets = pytest.importorskip("torchvision.datasets", reason="torchvision comes with methods")
    data = load(hdf5 if named == "the folder above" else hdf5 / "pcam", positive="1")
    assert (data.name, data.layout, data.classes) == ("pcam", "patch_camelyon", ("0", "1"))
    read = zip(data.images, data.labels.tolist(), strict=True)
    for split in ("train", "val", "test"):
        published = datasets.PCAM(hdf5, split=split)
        for index in range(len(published)):
            picture, label = published[index]
            image, ours = next(read)
            np.testing.assert_array_equal(image, np.asarray(picture))
            assert ours == label
    assert data.files[12] == "camelyonpatch_level_2_split_valid_x.h5#0"
    assert [len(data.of_split(name)) for name in SPLITS] == list(PARTS.values())


@pytest.mark.parametrize("part", ["x", "y"])
@pytest.mark.parametrize("fault", ["truncated", "empty", "missing", "of another name"])
def test_damaged_hdf5_is_refused_by_file(fault: str, part: str, hdf5: Path) -> None:
    path = hdf5 / "pcam" / NAME.format(split="valid", part=part)
    whole = path.read_bytes()
    if fault == "missing":
        path.unlink()
    elif fault == "of another name":
        path.write_bytes((path.parent / NAME.format(split="valid", part="xy".strip(part))).read_bytes())
    else:
        path.write_bytes(whole[: len(whole) // 2] if fault == "truncated" else b"")
    words = "there is no such file" if fault == "missing" else "download it again"
    with pytest.raises(DataError, match=rf"valid_{part}\.h5: .*{words}"):
        load(hdf5, positive="1")


def test_labels_that_do_not_belong_to_the_patches_are_refused(hdf5: Path) -> None:
    labels = {split: hdf5 / "pcam" / NAME.format(split=split, part="y") for split in PARTS}
    labels["train"].write_bytes(labels["test"].read_bytes())
    with pytest.raises(DataError, match="8 labels for the 12 patches"):
        load(hdf5, positive="1")


def write_slides(root: Path, slides: dict[str, list[str]]) -> None:
    """The three *_meta.csv as published."""
    for split, names in slides.items():
        with (root / "pcam" / META.format(split=split)).open("w", newline="") as lines:
            meta = csv.writer(lines)
            meta.writerow(("", "coord_y", "coord_x", "tumor_patch", "center_tumor_patch", "wsi"))
            meta.writerows(
                (index, 96 * index, 96, index % 2 == 1, index % 2 == 1, name)
                for index, name in enumerate(names)
            )


@pytest.fixture
def slides(hdf5: Path) -> dict[str, list[str]]:
    """Slides of two patches each, with both labels; no slide is in two parts."""
    names = {
        split: [f"camelyon16_{split}_{i // 2:03d}" for i in range(count)] for split, count in PARTS.items()
    }
    write_slides(hdf5, names)
    return names


def test_the_slides_of_patches_are_their_groups(hdf5: Path, slides: dict[str, list[str]]) -> None:
    for column in (None, "wsi"):
        data = load(hdf5, positive="1", group_column=column)
        assert data.group_source == "column wsi" and not data.left_out and data.notes == ()
        assert list(data.groups) == [name for split in PARTS for name in slides[split]]
    report = verify(hdf5, positive="1")
    assert report.ok and report.counts["groups"] == 13
    none = load(hdf5, positive="1", group_column="none")
    assert none.group_source == "copies" and len(set(none.groups)) == 26


def test_a_slide_of_two_parts_leaves_training(hdf5: Path, slides: dict[str, list[str]]) -> None:
    write_slides(hdf5, slides | {"train": [slides["test"][0]] * 2 + slides["train"][2:]})
    data = load(hdf5, positive="1")
    assert [(item.file, item.reason) for item in data.left_out] == [
        (
            NAME.format(split="train", part="x") + f"#{index}",
            "training image of a group with images in validation or test",
        )
        for index in (0, 1)
    ]


def test_patches_without_a_slide_are_groups_of_their_own_and_counted(
    hdf5: Path, slides: dict[str, list[str]]
) -> None:
    write_slides(hdf5, slides | {"valid": ["", "NA", *slides["valid"][2:]]})
    data = load(hdf5, positive="1")
    assert data.groups[12:14] == data.files[12:14]
    assert data.notes == ("2 patches without wsi: each is a group of its own",)


@pytest.mark.parametrize("fault", ["missing", "packed", "short", "shuffled", "column"])
def test_slides_that_do_not_belong_to_the_patches_are_refused(
    fault: str, hdf5: Path, slides: dict[str, list[str]]
) -> None:
    paths = {split: hdf5 / "pcam" / META.format(split=split) for split in PARTS}
    lines = paths["test"].read_text().splitlines()
    match fault:
        case "missing":
            paths["test"].unlink()
        case "packed":
            for path in paths.values():
                path.rename(f"{path}.gz")
        case "short":
            paths["test"].write_text("\n".join(lines[:-1]))
        case "shuffled":
            paths["test"].write_text("\n".join([lines[0], *lines[:0:-1]]))
        case "column":
            paths["test"].write_text("\n".join(lines).replace("wsi", "slide"))
    words = {
        "missing": "test_meta.csv: there is no such file",
        "packed": "train_meta.csv: there is no such file.*unpacked",
        "short": "test_meta.csv: 7 rows for the 8 patches",
        "shuffled": "test_meta.csv: its first column does not count",
        "column": "test_meta.csv: no column wsi",
    }
    with pytest.raises(DataError, match=words[fault]):
        load(hdf5, positive="1")
