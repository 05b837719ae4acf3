"""A study's folder stands for its final model, and for nothing outside of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.helpers.models import save_untrained
from trials.errors import ModelError
from trials.models.model_file import load_model


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A folder with one model in it and one beside it."""
    save_untrained(tmp_path / "elsewhere")
    save_untrained(tmp_path / "study" / "final" / "cells7")
    return tmp_path / "study"


def name_model(study: Path, name: object) -> None:
    (study / "study.json").write_text(json.dumps({"model": name}))


def test_a_study_is_its_final_model(study: Path) -> None:
    name_model(study, "final/cells7")
    assert load_model(study).description == load_model(study / "final/cells7").description


@pytest.mark.parametrize("name", ["../elsewhere", "", None, 3])
def test_a_name_of_no_folder_in_it_is_refused(study: Path, name: object) -> None:
    name_model(study, name)
    with pytest.raises(ModelError, match=r"study\.json: model = .*: expected the final model's folder"):
        load_model(study)
    name_model(study, str(study.parent / "elsewhere"))
    with pytest.raises(ModelError, match=r"study\.json: model = "):
        load_model(study)


def test_a_link_out_of_it_is_refused(study: Path) -> None:
    (study / "final" / "linked").symlink_to(study.parent / "elsewhere")
    name_model(study, "final/linked")
    with pytest.raises(ModelError, match="a link leads out of"):
        load_model(study)


def test_a_study_that_is_not_over_has_no_model(study: Path) -> None:
    with pytest.raises(ModelError, match=r"holds no model\.json .*, such as .*/final/cells7; "):
        load_model(study)
