"""What was published before log odds were kept reads as it did: every figure that its runs recorded."""

from pathlib import Path

import pytest

from trials.evaluation.metrics import score
from trials.runs.finished import read_run
from trials.runs.layout import PREDICTIONS

RESULTS = Path(__file__).parents[2] / "results"
FOLDERS = sorted({file.parent for file in RESULTS.rglob(PREDICTIONS)})


def test_there_are_published_runs() -> None:
    assert len(FOLDERS) > 100


@pytest.mark.parametrize("part", sorted({folder.relative_to(RESULTS).parts[:2] for folder in FOLDERS}))
def test_measures_of_published_predictions_are_those_of_the_runs(part: tuple[str, ...]) -> None:
    compared = 0
    for folder in FOLDERS:
        if folder.relative_to(RESULTS).parts[:2] != part:
            continue
        run = read_run(folder)
        for name, cutoff in (("test", run.cutoff), ("test_at_0.5", 0.0)):
            if recorded := run.metrics.get(name):
                found = score(run.positive, run.log_odds, cutoff).to_dict()
                assert found == pytest.approx(recorded, abs=1e-12), (folder, name)
                compared += 1
    assert compared
