"""Publishing: copies without weights and places, from which a report is made and a comparison resumed."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.runs import train_on
from trials.errors import ModelError, RunFolderError
from trials.models.model_file import load_model
from trials.pipeline.publish import PUBLISHED, run_publish
from trials.report.report import run_report

TINY = {
    "data.image_size": 24,
    "retrain.epochs": 1,
    "retrain.max_steps": 2,
    "retrain.filters": 2,
    "search.filters": 2,
    "search.nodes": 2,
    "search.epochs": 1,
    "search.final_samples": 3,
    "search.controller_updates": 1,
    "search.controller_samples": 2,
}


def train(data: Path, name: str, out: Path) -> dict[str, Any]:
    return train_on(data, name, out=out, folds=2, fold=0, profile="quick", overrides=TINY, external=None)


@pytest.fixture(scope="module")
def runs(lesions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A searched network and a cheap one on a fold."""
    out = tmp_path_factory.mktemp("runs")
    for name in ("enas7", "geometry"):
        train(lesions, name, out / "fold0" / name)
    return out


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_report_of_what_was_published_is_that_of_the_runs(runs: Path, tmp_path: Path) -> None:
    told = run_publish(runs, tmp_path / "published")
    published = files(tmp_path / "published")
    assert {Path(name).name for name in published} <= set(PUBLISHED)
    assert told["runs"] == 3 and told["bytes"] == sum(map(len, published.values()))
    for name, place in (("first", runs), ("again", tmp_path / "published")):
        run_report([place], tmp_path / name)
    assert files(tmp_path / "first") == files(tmp_path / "again")


def test_what_was_published_counts_as_done(runs: Path, lesions: Path, tmp_path: Path) -> None:
    run_publish(runs, tmp_path / "published")
    before = files(tmp_path / "published")
    for name in ("enas7", "geometry"):
        train(lesions, name, tmp_path / "published" / "fold0" / name)
    after = files(tmp_path / "published")
    assert {name: content for name, content in after.items() if Path(name).name in PUBLISHED} == before
    assert not any(name.endswith(".safetensors") for name in after)


def test_who_needs_weights_that_were_not_published_is_told(runs: Path, tmp_path: Path) -> None:
    run_publish(runs, tmp_path / "published")
    with pytest.raises(ModelError, match="published comes without weights"):
        load_model(tmp_path / "published" / "fold0" / "enas7")


def test_nothing_published_names_a_place_on_this_machine(runs: Path, lesions: Path, tmp_path: Path) -> None:
    run_publish(runs, tmp_path / "published")
    for name, content in files(tmp_path / "published").items():
        for place in (runs, lesions.parent, Path.cwd(), Path.home()):
            assert str(place).encode() not in content, name


def test_other_results_are_never_overwritten(runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "published"
    run_publish(runs, out)
    before = files(out)
    assert run_publish(runs, out) and files(out) == before  # the same again is nothing new
    (out / "fold0" / "geometry" / "predictions.csv").write_text("mine")
    (out / "fold0" / "enas7" / "metrics.json").unlink()
    with pytest.raises(RunFolderError, match=r"geometry/predictions\.csv: differs"):
        run_publish(runs, out)
    assert not (out / "fold0" / "enas7" / "metrics.json").exists()


def test_only_finished_runs_are_published(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs, tmp_path / "runs")
    for state in (tmp_path / "runs").rglob("run.json"):
        state.write_text(state.read_text().replace('"done": true', '"done": false'))
    with pytest.raises(RunFolderError, match="no finished run there"):
        run_publish(tmp_path / "runs", tmp_path / "published")
    assert not (tmp_path / "published").exists()
