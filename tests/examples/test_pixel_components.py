"""The example of a method passes the conformance suite, and learns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from docs.examples import pixel_components
from docs.examples.pixel_components import ENTRY
from trials.data.task import Task
from trials.methods.testing import MethodTests


class TestPixelComponents(MethodTests):
    entry = ENTRY

    def test_it_learns_from_its_training_images(self, task: Task, tmp_path: Path) -> None:
        odds = self.fit(task, tmp_path / "run").logits(task.data, task.split.training)[:, 1]
        positive = task.data.labels[task.split.training] == task.data.positive_index
        assert roc_auc_score(positive, odds) > 0.8
        assert not np.allclose(odds, odds[0])


def test_it_is_one_small_file() -> None:
    assert len(Path(pixel_components.__file__).read_text(encoding="utf-8").splitlines()) < 80
