"""Data sets larger than memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from trials.data import storage
from trials.data.checks import verify
from trials.data.images import to_array
from trials.data.inputs import Inputs
from trials.data.load import load
from trials.data.split import Split
from trials.errors import DataError
from trials.settings.load import load_settings

Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LESION_NAS_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def mixed(manifest_folder: Write) -> Path:
    """Twenty grey pictures, of which one is in colour and smaller than the others."""
    root = manifest_folder([(f"{i}.png", ("benign", "malignant")[i % 2], str(i)) for i in range(20)])
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(
        root / "7.png"
    )
    return root


@pytest.mark.parametrize("augmentation", ["none", "paper", "ultrasound"])
def test_a_set_in_a_file_trains_and_validates_as_in_memory(
    augmentation: str, mixed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = {"data.augmentation": augmentation, "data.image_size": 40}
    settings = load_settings("quick", changes)

    def seen() -> tuple[str, bool, list[torch.Tensor]]:
        data = load(mixed)
        split = Split.of(data, settings, folds=2, fold=0)
        inputs = Inputs(data, settings.data, split.training)
        batches = [*inputs.training(4, seed=1), *inputs.plain(split.validation)]
        stored = [*data.images, to_array(data, 40)]
        return data.digest, all(map(storage.is_mapped, stored)), [images for images, _ in batches]

    digest, in_file, held = seen()
    monkeypatch.setattr(storage, "IN_MEMORY", 3)
    same_digest, now_in_file, mapped = seen()
    assert (digest, in_file, now_in_file) == (same_digest, False, True)
    assert all(torch.equal(one, other) for one, other in zip(held, mapped, strict=True))


def test_a_damaged_image_is_named_wherever_pixels_are_kept(
    mixed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "IN_MEMORY", 3)
    for name in ("3.png", "4.png", "5.png"):  # a whole block, and one of the next
        (mixed / name).write_bytes(b"")
    assert [problem.split(": ")[0] for problem in verify(mixed).problems] == [
        str(mixed / name) for name in ("3.png", "4.png", "5.png")
    ]


def test_a_full_disk_is_reported_before_anything_is_written() -> None:
    with pytest.raises(DataError, match="TMPDIR"):
        storage.stack(lambda: map(pytest.fail, ["written"]), (storage.IN_MEMORY + 1, 10**6, 10**6))
