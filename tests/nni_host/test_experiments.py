"""The experiment files, as NNI and the trials read them."""

from pathlib import Path

import pytest
from nni.experiment.config import ExperimentConfig

from strategies.tuner import PipelineTuner

FILES = sorted((Path(__file__).parents[2] / "nni_config").glob("*.yml"))


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def config(request: pytest.FixtureRequest) -> ExperimentConfig:
    return ExperimentConfig.load(request.param).canonical_copy()


def test_nni_accepts_the_file_and_copies_no_more_than_its_folder(config: ExperimentConfig) -> None:
    config.validate()
    assert Path(config.trial_code_directory) == FILES[0].parent


def test_the_tuner_is_as_many_trials_as_the_file_allows(config: ExperimentConfig) -> None:
    if config.tuner.class_name is None:
        assert config.tuner.name == "GridSearch"
        return
    assert Path(config.tuner.code_directory, "tuner.py").exists()
    tuner = PipelineTuner(**config.tuner.class_args)
    searches = len(tuner.generate_multiple_parameters(list(range(99)), st_callback=lambda *_: None))
    assert config.max_trial_number == searches * (1 + len(config.tuner.class_args["layouts"])) + 1
