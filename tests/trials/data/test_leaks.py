"""What a run has seen is known again in whatever pose."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trials.data.leaks import refuse_overlap, seen
from trials.data.load import load
from trials.errors import LeakError


def test_a_turned_image_of_the_training_is_refused_elsewhere(lesions: Path, tmp_path: Path) -> None:
    data = load(lesions)
    record = seen(data, np.arange(10))
    other = tmp_path / "other"
    shutil.copytree(lesions, other)
    for file in data.files:
        Image.fromarray(np.ascontiguousarray(255 - np.rot90(np.asarray(Image.open(lesions / file))))).save(
            other / file
        )
    turned = load(other)
    refuse_overlap(record, turned, np.arange(10, 40), "the training", "take them out")
    with pytest.raises(LeakError, match=rf"the training has seen 1 of the 31 test images.*{data.files[9]}"):
        refuse_overlap(record, turned, np.arange(9, 40), "the training", "take them out")
