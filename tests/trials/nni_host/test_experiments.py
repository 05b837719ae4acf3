"""The experiment files, as NNI and the trials read them."""

import math
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from nni.experiment.config import ExperimentConfig

from search_space.boosted_efficientnet import CHOICES
from search_space.enas.layouts import parse_layout
from strategies.optuna_tuner import OptunaTuner
from strategies.tuner import PipelineTuner, StudyTuner
from trials.methods.registry import METHODS
from trials.models.specs import BoostedNetwork
from trials.nni_host.parameters import meant
from trials.settings.load import load_settings

FILES = sorted((Path(__file__).parents[3] / "nni_config").glob("*.yml"))


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def config(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> ExperimentConfig:
    monkeypatch.setenv("HOME", str(tmp_path))  # with the key that remote.yml names
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "id_ed25519").touch()
    return ExperimentConfig.load(request.param).canonical_copy()


def test_nni_accepts_the_file_and_copies_no_more_than_its_folder(config: ExperimentConfig) -> None:
    config.validate()
    assert Path(config.trial_code_directory) == FILES[0].parent


def test_no_choice_is_null_which_would_empty_the_web_ui(config: ExperimentConfig) -> None:
    values = [value for choice in (config.search_space or {}).values() for value in choice["_value"]]
    assert None not in values


def test_the_tuner_is_as_many_trials_as_the_file_allows(config: ExperimentConfig) -> None:
    if config.tuner.class_name is None:
        assert config.tuner.name == "GridSearch"
        return
    module, _, name = config.tuner.class_name.partition(".")
    assert Path(config.tuner.code_directory, f"{module}.py").exists()
    if name == "OptunaTuner":
        assert OptunaTuner(**config.tuner.class_args).startup_trials < config.max_trial_number / 2
        return
    if name == "StudyTuner":
        given = config.tuner.class_args
        assert StudyTuner(**given) and set(given["methods"]) <= METHODS.keys()
        places, methods = given["folds"] + 1, len(given["methods"])
        assert config.max_trial_number == places * (methods * (given["parts"] + 1) + 1) + 1
        return
    tuner = PipelineTuner(**config.tuner.class_args)
    searches = len(tuner.generate_multiple_parameters(list(range(99)), st_callback=lambda *_: None))
    assert config.max_trial_number == searches * (1 + len(config.tuner.class_args["layouts"])) + 1


@pytest.mark.parametrize("name", ["remote", "kubernetes"])
def test_the_comparison_elsewhere_is_the_comparison(name: str) -> None:
    here, there = (yaml.safe_load((FILES[0].parent / f"{one}.yml").read_text()) for one in ("compare", name))
    for asked in ("searchSpace", "maxTrialNumber", "tuner"):
        assert there[asked] == here[asked]


def test_a_pod_runs_what_the_image_holds() -> None:
    root = FILES[0].parents[1]
    lines = (root / "Dockerfile").read_text().splitlines()
    copied = [word for line in lines if line.startswith("COPY") for word in line.split()[1:-1]]
    assert all((root / name).exists() for name in copied)
    assert {"search_space", "strategies", "trials", "nni_config", "pyproject.toml"} <= set(copied)
    [extras] = re.findall(r"'\.\[(.*)\]'", "\n".join(lines))
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    assert set(extras.split(",")) <= project["optional-dependencies"].keys()
    pods = yaml.safe_load((FILES[0].parent / "kubernetes.yml").read_text())
    assert "-m trials.stage" in pods["trialCommand"]


def _drawn(space: dict[str, Any], count: int) -> list[dict[str, Any]]:
    tuner = OptunaTuner(seed=0)
    tuner.update_search_space(space)
    return [tuner.generate_parameters(number) for number in range(count)]


def test_every_combination_that_the_tuner_may_choose_is_settings_of_a_network() -> None:
    space = yaml.safe_load((FILES[0].parent / "boosted_efficientnet_search.yml").read_text())["searchSpace"]
    choices = {name: values["_value"] for name, values in space.items() if "." in name}
    assert choices.keys() == METHODS["boosted_chosen"].choices
    assert {name.removeprefix("boosted.") for name in choices} >= CHOICES.keys() - {"cropping"}
    drawn = _drawn(space, 48)
    assert len({str(one) for one in drawn}) == math.prod(map(len, choices.values())) == 48
    for one in drawn:
        settings = load_settings("patches_pretrained", meant({name: one[name] for name in choices}))
        assert settings.data.smallest_crop == (48 if one["data.smallest_crop"] == 48 else None)
        network = BoostedNetwork.model_validate(settings.boosted.model_dump())
        assert (network.attention, network.fusion) == (one["boosted.attention"], one["boosted.fusion"])


def test_what_enas_b_tunes_is_what_the_method_takes_from_its_tuning() -> None:
    space = yaml.safe_load((FILES[0].parent / "enas_b.yml").read_text())["searchSpace"]
    choices = {name for name in space if "." in name}
    assert choices == METHODS["enas_b"].choices
    drawn = _drawn(space, 60)
    assert _drawn(space, 60) == drawn
    names = set()
    for one in drawn:
        settings = load_settings("cpu", {name: one[name] for name in choices})
        assert parse_layout(f"enas{settings.enas_b.cells}").auxiliary_layer is not None
        names.add("-".join(f"{name}={one[name]}" for name in choices))
    assert len(names) == 60 and max(map(len, names)) < 255  # the longest name that file systems take
    fixed = {7, 17}  # the layouts that it stands against are among its choices
    assert fixed < set(space["enas_b.cells"]["_value"])
