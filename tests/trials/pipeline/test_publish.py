"""Publishing: two tables without weights and places, from which a report is made."""

import bz2
import csv
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import logit

from tests.helpers.report_runs import (
    GOOD,
    POOR,
    THREE,
    table,
    table_of_three,
    write_comparison,
    write_run,
)
from tests.helpers.runs import train_on
from tests.helpers.tiny import TINY
from trials.errors import EvaluationError, ModelError, RunFolderError
from trials.models.model_file import load_model
from trials.pipeline.publish import run_publish
from trials.report.report import run_report


def train(data: Path, name: str, out: Path) -> dict[str, Any]:
    return train_on(data, name, out=out, folds=2, fold=0, profile="quick", overrides=TINY, external=None)


@pytest.fixture(scope="module")
def runs(lesions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A searched network and a cheap one on a fold."""
    out = tmp_path_factory.mktemp("runs")
    for name in ("enas7", "geometry"):
        train(lesions, name, out / "fold0" / name)
    return out


@pytest.fixture
def comparison(tmp_path: Path) -> Path:
    return write_comparison(tmp_path / "runs")


@pytest.fixture(scope="module")
def published(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("published")
    run_publish([runs], out)
    return out


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def texts(folder: Path) -> dict[str, str]:
    return {name: bz2.decompress(content).decode() for name, content in files(folder).items()}


def test_a_report_of_what_was_published_is_that_of_the_runs(
    runs: Path, published: Path, tmp_path: Path
) -> None:
    for name, place in (("first", runs), ("again", published)):
        run_report([place], tmp_path / name)
    first, again = files(tmp_path / "first"), files(tmp_path / "again")
    assert first.keys() == again.keys()
    for name in ("results.csv", "measures.csv", "tests.csv", "search_quality.csv"):
        assert _figures(first[name]) == _figures(again[name]), name
    page = first["report.html"].decode()
    for words in ("fold0/enas7", "fold0/search", "History of the searches", "data:image/svg+xml"):
        assert page.count(words) == again["report.html"].decode().count(words) > 0, words


def _figures(content: bytes, within: float = 1e-4) -> list[list[object]]:
    rows = csv.reader(content.decode().splitlines())
    return [
        [pytest.approx(float(cell), abs=within) if _is_number(cell) else cell for cell in row] for row in rows
    ]


def _is_number(cell: str) -> bool:
    return cell.replace(".", "").replace("-", "").isdigit()


def test_seeds_folds_and_external_images_come_back(comparison: Path, tmp_path: Path) -> None:
    elsewhere = [
        (f"e{i}.png", "malignant" if i < 2 else "benign", f"p{i}", repr(0.9 - i / 5)) for i in range(4)
    ]
    for fold in (0, 1):
        for seed, said in ((0, GOOD), (1, POOR)):
            place = comparison / f"more{seed}" / f"fold{fold}" / "net"
            rows = table(fold, said[fold])
            more = {"external": elsewhere, "external_name": "elsewhere", "validation": rows, "seed": seed}
            write_run(place, "net", fold, rows, **more)
    run_publish([comparison], tmp_path / "published")
    before = run_report([comparison], tmp_path / "first")
    after = run_report([tmp_path / "published"], tmp_path / "again")
    for one, other in zip(before["results"], after["results"], strict=True):
        assert other == {name: _close(value) for name, value in one.items()}
    assert [row["p"] for row in after["tests"]] == pytest.approx(
        [row["p"] for row in before["tests"]], abs=1e-4
    )
    assert before["warnings"] == after["warnings"]


@pytest.mark.parametrize(
    ("positive", "rule"),
    [
        (None, {}),
        (
            "malignant",
            {"threshold": 0.3, "threshold_log_odds": float(logit(0.3)), "threshold_of": "normal"},
        ),
        (None, {"costs": [[0, 1, 1], [9, 0, 9], [1, 1, 0]]}),
    ],
)
def test_any_number_of_classes_come_back(positive: str | None, rule: dict[str, Any], tmp_path: Path) -> None:
    classes, random = replace(THREE, positive=positive), np.random.default_rng(0)

    def said(count: int) -> list[list[float]]:  # at no edge of a bin, and no two alike
        return [random.dirichlet(np.ones(3) + 2 * np.eye(3)[i // 2 % 3]).tolist() for i in range(count)]

    for method, seed in (("net", 0), ("net", 1), ("hog", 0)):
        for fold in (0, 1):
            rows = table_of_three(fold, said(6))
            outside = [(f"e{i}.png", THREE.names[i // 2], f"p{i}", *row) for i, row in enumerate(said(6))]
            more = {"external": outside, "external_name": "elsewhere", "validation": rows, "seed": seed}
            place = tmp_path / "runs" / f"{method}{seed}" / f"fold{fold}"
            write_run(place, method, fold, rows, classes=classes, **more, **rule)
    run_publish([tmp_path / "runs"], tmp_path / "published")
    for name, place in (("first", "runs"), ("again", "published")):
        run_report([tmp_path / place], tmp_path / name)
    first, again = files(tmp_path / "first"), files(tmp_path / "again")
    assert first.keys() == again.keys() and ("against_rest_results.csv" in first) == (positive is not None)
    for name in first:
        if name.endswith(".csv"):
            close = _figures(again[name], 5e-3)  # what is calibrated has two digits in the tables
            assert _figures(first[name]) == close, name
    table = csv.DictReader(texts(tmp_path / "published")["predictions.csv.bz2"].splitlines())
    (row, *_) = (row for row in table if row["file"] == "1-5.png")
    names = [f"hog:0:{name}" for name in THREE.names]
    assert row["label"] == "normal" and sum(np.exp(float(row[name])) for name in names) == pytest.approx(
        1, abs=1e-4
    )


def _close(value: object) -> object:
    return pytest.approx(value, abs=1e-4) if isinstance(value, float) else value


def test_a_row_is_an_image_and_a_column_a_method_and_seed(comparison: Path, tmp_path: Path) -> None:
    run_publish([comparison], tmp_path / "published")
    content = texts(tmp_path / "published")
    rows = list(csv.DictReader(content["predictions.csv.bz2"].splitlines()))
    assert list(rows[0])[:6] == ["part", "fold", "file", "group", "positive", "enas7:0"]
    assert len(rows) == 12 and {row["part"] for row in rows} == {"test"}
    assert (rows[0]["file"], rows[0]["positive"], rows[0]["enas7:0"]) == ("0-0.png", "1", "2.19722")  # log 9
    lines = [json.loads(line) for line in content["runs.jsonl.bz2"].splitlines()]
    assert [line["run"] for line in lines if "run" in line][:2] == ["fold0/enas7", "fold0/hog"]
    assert [line["search"] for line in lines if "search" in line] == ["fold0/search", "fold1/search"]


def test_several_folders_are_published_together(comparison: Path, tmp_path: Path) -> None:
    places = [comparison / f"fold{fold}" / "hog" for fold in (0, 1)]
    named = [places[0], Path(os.path.relpath(places[1]))]
    assert run_publish(named, tmp_path / "published")["runs"] == 2
    (hog,) = run_report([tmp_path / "published"], tmp_path / "out")["results"]
    assert (hog["method"], hog["folds"]) == ("hog", 2)


def test_who_needs_weights_that_were_not_published_is_told(published: Path) -> None:
    with pytest.raises(ModelError, match="published comes without weights"):
        load_model(published / "fold0" / "enas7")


def test_nothing_published_names_a_place_on_this_machine(runs: Path, lesions: Path, published: Path) -> None:
    for name, content in texts(published).items():
        for place in (runs, lesions.parent, Path.cwd(), Path.home()):
            assert str(place) not in content, name


def test_other_results_are_never_overwritten(runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "published"
    run_publish([runs], out)
    before = files(out)
    assert run_publish([runs], out) and files(out) == before  # the same again is nothing new
    (out / "predictions.csv.bz2").write_text("mine")
    (out / "runs.jsonl.bz2").unlink()
    with pytest.raises(RunFolderError, match=r"predictions\.csv\.bz2: holds other runs"):
        run_publish([runs], out)
    assert not (out / "runs.jsonl.bz2").exists()


def test_only_finished_runs_are_published(comparison: Path, tmp_path: Path) -> None:
    for state in comparison.rglob("run.json"):
        state.write_text(state.read_text().replace('"done": true', '"done": false'))
    with pytest.raises(RunFolderError, match="no finished run there"):
        run_publish([comparison], tmp_path / "published")
    assert not (tmp_path / "published").exists()


def test_runs_that_do_not_belong_together_are_not_published(comparison: Path, tmp_path: Path) -> None:
    write_run(comparison / "other", "other", 0, table(0, GOOD[0]), data_digest="d2")
    with pytest.raises(EvaluationError, match="different data"):
        run_publish([comparison], tmp_path / "published")


@pytest.mark.parametrize("name", ["runs.jsonl.bz2", "predictions.csv.bz2"])
@pytest.mark.parametrize("content", [b"", b"x", bz2.compress(b"{}\n1"), bz2.compress(b'{"run": 1}'), None])
def test_damaged_tables_are_refused(
    name: str, content: bytes | None, comparison: Path, tmp_path: Path
) -> None:
    run_publish([comparison], tmp_path / "published")
    place = tmp_path / "published" / name
    place.write_bytes(place.read_bytes()[:-9] if content is None else content)
    with pytest.raises(EvaluationError, match=r"put back what lesion-nas publish wrote|no finished run"):
        run_report([tmp_path / "published"], tmp_path / "out")
