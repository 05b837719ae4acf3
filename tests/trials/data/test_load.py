"""A data set is read into one that a run can use."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from trials.data.load import load
from trials.errors import DataError

REPOSITORY = Path(__file__).parents[3]


def test_positive_class_is_never_guessed(manifest_folder: Callable[..., Path]) -> None:
    root = manifest_folder([("a.png", "0", "1"), ("b.png", "1", "2")])
    with pytest.raises(DataError, match="no class is named 'malignant'"):
        load(root)
    assert load(root, positive="1").positive == "1"


def test_digest_is_the_same_elsewhere_and_in_another_process(
    manifest_folder: Callable[..., Path],
    balanced_rows: Callable[..., list[tuple[str, str, str]]],
    tmp_path: Path,
) -> None:
    root = manifest_folder(balanced_rows(3, 3))
    elsewhere = tmp_path / "other" / "place"
    shutil.copytree(root, elsewhere)
    code = f"from trials.data.load import load; print(load({str(elsewhere)!r}).digest)"
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
