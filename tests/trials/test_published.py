"""The published results: what runs recorded, and the figures of the tables, come out of `results/` again.

`results/*/results.csv` were written from the run folders themselves, before these were condensed into tables.
"""

import csv
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from trials.evaluation.decisions import Decision
from trials.pipeline.scores import headline_of, likeliest, score_logits
from trials.report.comparison import Comparison, read_comparison
from trials.report.facts import facts_of
from trials.runs.collect import collect
from trials.runs.collection import BinaryPredictions, Predictions
from trials.runs.layout import PUBLISHED_RUNS
from trials.runs.predictions import Predicted

RESULTS = Path(__file__).parents[2] / "results"
FOLDERS = sorted(file.parent.name for file in RESULTS.glob(f"*/{PUBLISHED_RUNS}"))


@cache
def comparison(name: str) -> Comparison:
    return read_comparison([RESULTS / name])


def test_all_results_together_are_under_a_megabyte() -> None:
    assert FOLDERS == ["busbra", "busi", "busi_frames", "pcam"]
    assert sum(file.stat().st_size for file in RESULTS.rglob("*") if file.is_file()) < 1_000_000


@pytest.mark.parametrize("name", FOLDERS)
def test_measures_of_published_predictions_are_those_of_the_runs(name: str) -> None:
    compared = 0
    for run in collect([RESULTS / name]).runs:
        half = likeliest(run.classes)
        for recorded, decision in ((run.metrics["test"], run.decision), (run.metrics["test_at_0.5"], half)):
            if recorded:
                found = scored(run.tested, decision)
                for measure, value in recorded.items():
                    tolerance = 2e-4 if "auc" in measure else 1e-6  # an AUC may tie
                    close = pytest.approx(value, abs=tolerance) if isinstance(value, float) else value
                    assert measure == "per_class" or found[measure] == close, (run.folder, measure)
                compared += 1
        if run.validation is not None and not run.is_candidate:
            found, headline = scored(run.validation, run.decision), headline_of(run.classes)
            assert found[headline] == pytest.approx(
                run.metrics["validation"][headline], abs=3e-3
            )  # rounded more
    assert compared


def scored(said: Predicted, decision: Decision) -> dict[str, Any]:
    return score_logits(said.classes, said.labels, said.logits, decision)


@pytest.mark.parametrize("name", FOLDERS)
def test_figures_are_those_of_the_tables(name: str) -> None:
    with (RESULTS / name / "results.csv").open(newline="") as stream:
        rows = {(row["method"], row["data"]): row for row in csv.DictReader(stream)}
    found = comparison(name)
    compared = 0
    for method in found.methods:
        for part, seeds in ((method.tested, method.seeds), (method.external, method.external_seeds)):
            if part is None:
                continue
            row = rows.pop((method.name, part.data))
            for column, value in (figures_of_more if "auc_macro" in row else figures)(part).items():
                assert value == pytest.approx(float(row[column]), abs=4e-5), (method.name, column)
                compared += 1
            assert " ".join(map(str, seeds)) == row["seeds"] and len(part.files) == int(row["n"])
    assert not rows and compared


def figures_of_more(predictions: Predictions) -> dict[str, float]:
    """Return some figures of more than two classes, of one seed."""
    labels, shares = predictions.labels, predictions.probabilities
    recalls = [np.mean(predictions.called[labels == index] == index) for index in np.unique(labels)]
    return {
        "pooled_auc_macro": float(roc_auc_score(labels, shares, multi_class="ovr")),
        "accuracy": float(np.mean(predictions.right)),
        "balanced_accuracy": float(np.mean(recalls)),
    }


def figures(predictions: Predictions) -> dict[str, float]:
    """Return the figures that need no resampling, as means over the seeds."""
    each = predictions.binary.each
    return {
        "auc": float(np.mean([np.mean(aucs(part)) for part in each])),
        "pooled_auc": float(np.mean([roc_auc_score(part.positive, part.log_odds) for part in each])),
        "accuracy": float(np.mean([np.mean(part.called == part.positive) for part in each])),
        "tpr": float(np.mean([np.mean(part.called[part.positive]) for part in each])),
        "tnr": float(np.mean([np.mean(~part.called[~part.positive]) for part in each])),
        "accuracy_at_half": float(np.mean([np.mean((part.log_odds >= 0) == part.positive) for part in each])),
    }


def aucs(predictions: BinaryPredictions) -> list[float]:
    parts = [predictions.at(predictions.folds == fold) for fold in np.unique(predictions.folds)]
    return [float(roc_auc_score(part.positive, part.log_odds)) for part in parts]


@pytest.mark.parametrize("name", FOLDERS)
def test_nothing_is_doubtful_but_commits_profiles_and_trials_of_a_tuning(name: str) -> None:
    for warning in comparison(name).warnings:
        assert any(kind in warning for kind in ("different commits", "different profiles", "for tuning"))


def test_searches_name_the_methods_that_have_their_cells() -> None:
    found = comparison("busi")
    assert len(found.searches) == 30 and all(search.record["history"] for search in found.searches)
    assert any("ENAS-7, fold 0, seed 0" in found.found_by(search) for search in found.searches)


def test_results_in_folds_alone_say_that_their_models_share_training_images() -> None:
    told = {name: "share training images" in facts_of(comparison(name), "so").uncertainty for name in FOLDERS}
    assert told == {"busbra": True, "busi": True, "busi_frames": True, "pcam": False}
