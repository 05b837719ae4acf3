"""The public names of `trials`: what each is, which of them take no torch, and a whole run."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trials
from trials import Split, load_data, load_external, load_settings
from trials.data.phantoms import make_phantoms
from trials.errors import DataError, EvaluationError, ModelError, SettingsError
from trials.settings.load import with_changes

LIGHT = ("Split", "load_data", "load_external", "load_settings", "__version__")
TINY = {"data.image_size": 24, "retrain.epochs": 1, "retrain.filters": 2}


def in_a_fresh_process(code: str) -> str:
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


def test_light_names_take_no_torch() -> None:
    names = ", ".join(LIGHT)
    code = f"import sys; from trials import {names}; print([m for m in ('torch', 'nni') if m in sys.modules])"
    assert in_a_fresh_process(code) == "[]"


@pytest.mark.parametrize("name", trials.__all__)
def test_every_public_name_is_there_and_is_what_a_type_checker_sees(name: str) -> None:
    found = getattr(trials, name)
    if name == "__version__":
        assert found.count(".") == 2
        return
    seen = {
        alias.asname or alias.name: (node.module, alias.name)
        for node in ast.walk(ast.parse(Path(str(trials.__file__)).read_text()))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert (found.__module__, found.__qualname__) == seen[name]
    assert found.__doc__


def test_public_names_are_listed_before_they_are_loaded() -> None:
    code = "import sys, search_space, trials; print({*trials.__all__} <= {*dir(trials)}, "
    code += "{*search_space.__all__} <= {*dir(search_space)}, 'torch' in sys.modules)"
    assert in_a_fresh_process(code) == "True True False"


def test_an_unknown_name_is_refused_as_any_modules() -> None:
    with pytest.raises(AttributeError, match="no attribute 'contend'"):
        _ = trials.contend


def test_packages_say_that_they_are_typed() -> None:
    for package in ("search_space", "strategies", "trials"):
        assert Path(str(trials.__file__)).parents[1].joinpath(package, "py.typed").is_file()


def test_data_are_decoded_once_for_all_that_is_made_of_them(
    lesions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load_settings("quick", TINY)
    data = load_data(str(lesions), settings)
    split = Split.of(data, settings, folds=2, fold=0)
    monkeypatch.setattr("trials.data.load.examine", lambda *_, **__: pytest.fail("decoded again"))
    few: dict[str, Any] = {"search.filters": 2, "search.nodes": 2, "search.epochs": 1}
    few |= {"search.final_samples": 2, "search.controller_updates": 1, "search.controller_samples": 1}
    metrics = trials.train(split, with_changes(settings, few), "enas7", str(tmp_path / "enas7"))
    assert metrics["test"]["n"] == len(split.test) == 20
    cheap = trials.train(split, settings, "geometry", tmp_path / "geometry")
    assert cheap["data_digest"] == metrics["data_digest"] == data.digest


def test_a_run_tests_on_external_data_that_are_loaded_like_its_own(lesions: Path, tmp_path: Path) -> None:
    settings = load_settings("quick", TINY)
    data = load_data(lesions, settings)
    make_phantoms(str(tmp_path / "other"), count=12, side=40, seed=7)
    external = load_external(tmp_path / "other", settings, data)
    split = Split.of(data, settings, folds=2, fold=1)
    metrics = trials.train(split, settings, "geometry", tmp_path / "geometry", external=external)
    assert metrics["external"] == external.name and metrics["fold"] == 1


def test_one_place_alone_may_be_a_name_too(
    finished: tuple[Path, Path], lesions: Path, tmp_path: Path
) -> None:
    run, image = str(finished[0]), str(min(lesions.glob("*.png")))
    assert len(trials.evaluate(run, str(tmp_path / "evaluation"))["methods"]) == 1
    assert len(trials.write_report(run, str(tmp_path / "report"))["results"]) == 1
    told = trials.predict(run, image, others=str(finished[1]))
    assert [row["file"] for row in told["predictions"]] == [image] and told["models"] == 2
    assert len(trials.explain(run, image, str(tmp_path / "maps"))["explanations"]) == 1
    with pytest.raises(DataError, match="no image was named"):
        trials.explain(run, [], tmp_path / "none")
    with pytest.raises(EvaluationError, match="no folder was named"):
        trials.write_report([], tmp_path / "none")
    with pytest.raises(SettingsError, match="no method 'hogs'"):
        trials.study(lesions, tmp_path / "none", methods="hogs")
    with pytest.raises(ModelError, match=r"float64 \[4, 4\]"):
        trials.load_model(run).probabilities([np.ones((4, 4))])
    assert not (tmp_path / "none").exists()


def test_a_finished_run_is_evaluated_used_and_exported_by_names_of_folders(
    finished: tuple[Path, Path], lesions: Path, tmp_path: Path
) -> None:
    first, second = map(str, finished)
    assert trials.evaluate([first, second], str(tmp_path / "evaluation"))["methods"]
    assert trials.write_report([first, second], str(tmp_path / "report"))["results"]
    images = [str(path) for path in sorted(lesions.glob("*.png"))[:2]]
    model = trials.load_model(first)
    told = trials.predict(first, images, others=[second], table=str(tmp_path / "predictions.csv"))
    assert len(told["predictions"]) == 2 and told["positive"] == model.description.positive
    assert len(trials.explain(first, images, str(tmp_path / "maps"))["explanations"]) == 2
    assert "model.onnx" in trials.export_model(first, str(tmp_path / "exported"))["files"]
