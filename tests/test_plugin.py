"""The Python and the command of `docs/how-to/plugin.md` run as they stand."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PAGE = (Path(__file__).parent.parent / "docs" / "how-to" / "plugin.md").read_text(encoding="utf-8")
STRATEGIES = Path(__file__).parent.parent / "strategies"
EXPERIMENT = "searchSpace: {}\ntrialCommand: exit\ntrialConcurrency: 1\ntrainingService: {platform: local}\n"

# What NNI does with an experiment file: nnictl validates it, the manager's Python process makes the tuner.
MAKE_TUNER = """
import json, sys
from nni.__main__ import _create_algo
from nni.experiment.config import ExperimentConfig
config = ExperimentConfig.load(sys.argv[1]).canonical_copy()
config.validate()
tuner = _create_algo(config.json()["tuner"], "tuner")
stages = tuner.generate_multiple_parameters(list(range(9)), st_callback=None)
print(json.dumps([type(tuner).__name__, len(stages), "torch" in sys.modules]))
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The names that the page's script leaves."""
    names: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        exec("".join(blocks("python")), names)
    return names


@pytest.mark.parametrize("strategy", ["ENAS", "random"])
def test_a_space_of_three_classes_in_colour_is_searched_and_its_best_are_exported(
    example: dict[str, Any], strategy: str
) -> None:
    best = example["found"][strategy]
    choices = example["ColourSpace"]().simplify()
    assert len({json.dumps(sample) for sample in best}) == 3
    for sample in best:
        assert sample.keys() == choices.keys()
        assert all(choice.contains(sample) for choice in choices.values())


@pytest.mark.parametrize("strategy", ["ENAS", "random"])
def test_what_was_exported_learns_from_scratch(example: dict[str, Any], strategy: str) -> None:
    assert example["accuracy"][strategy] > 0.8  # by chance 0.33


def test_the_pages_sampler_keeps_what_the_suite_asks_of_a_sampler(example: dict[str, Any]) -> None:
    suite = example["TestVarying"]()
    suite.test_a_sampler_draws_from_its_generator_alone_and_from_the_space("user")
    suite.test_a_sampler_returns_the_mean_reward_and_its_state_makes_another_go_on()


def test_the_registered_tuner_goes_by_name_and_loads_without_torch(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "NNI_CONFIG_DIR": str(tmp_path / "nni"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }

    def run(*command: str) -> str:
        ran = subprocess.run(command, env=environment, cwd=STRATEGIES.parent, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    file = tmp_path / "experiment.yml"
    file.write_text(EXPERIMENT + blocks("yaml")[0])
    [register] = blocks("bash")
    assert "registered" in run(*shlex.split(register))
    made = run(sys.executable, "-c", MAKE_TUNER, str(file))
    assert json.loads(made.splitlines()[-1]) == ["PipelineTuner", 5, False]
    assert "unregistered" in run("nnictl", "algo", "unregister", "LesionPipeline")
    assert "LesionPipeline" not in (tmp_path / "nni" / "registered_algorithms.yml").read_text()
