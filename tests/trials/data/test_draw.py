from __future__ import annotations

from pathlib import Path

import numpy as np

from trials.data.draw import draw_balanced
from trials.data.folds import assign_folds, write_folds
from trials.data.load import load, load_data
from trials.data.phantoms import make_phantoms
from trials.settings.load import load_settings


def test_a_draw_takes_as_many_of_every_class_and_names_the_others(tmp_path: Path) -> None:
    make_phantoms(tmp_path / "data", count=40, side=40)
    data = load(tmp_path / "data")
    for asked, got in ((8, 8), (262, 20)):
        drawn = draw_balanced(data, asked, seed=0)
        assert np.bincount(drawn.labels).tolist() == [got, got]
        assert set(drawn.files) | {item.file for item in drawn.left_out} == set(data.files)
        assert len(drawn.files) + len(drawn.left_out) == len(data.files)
    by_file = dict(zip(data.files, data.groups, strict=True))
    drawn = draw_balanced(data, 8, seed=0)
    assert [by_file[file] for file in drawn.files] == list(drawn.groups)
    assert draw_balanced(data, 8, seed=0).files == drawn.files != draw_balanced(data, 8, seed=1).files


def test_the_paper_profile_draws_before_folds_that_a_file_gives(tmp_path: Path) -> None:
    make_phantoms(tmp_path / "data", count=40, side=40)
    data = load(tmp_path / "data")
    write_folds(tmp_path / "data" / "folds.csv", data, assign_folds(data, 2))
    settings = load_settings("paper", {"data.balanced_draw": 15})
    drawn = load_data(tmp_path / "data", settings)
    assert len(drawn.files) == 30 and len(assign_folds(drawn, 2).fold) == 30
