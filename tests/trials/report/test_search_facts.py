"""How searches, sets and ensembles are told in the methods section."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.helpers.report_runs import GOOD, table, write_run
from trials.report.report import run_report
from trials.report.search_facts import searched
from trials.runs.collection import Search
from trials.settings.load import load_settings


def told(*searches: dict[str, Any], **more: Any) -> str:
    """Return what is told of searches by these settings over the profile's."""
    shared = {"search.final_samples": 50, "search.max_steps": 3000}
    found = []
    for given in searches:
        settings = load_settings("cpu", shared | {f"search.{name}": value for name, value in given.items()})
        record = {"settings": settings.model_dump(mode="json"), "scored": 48, "data": {"validation": 101}}
        found.append(Search(Path("fold0/search"), record | more, None))
    return searched(found) or ""


def test_a_search_is_told_from_its_strategy_to_what_was_taken() -> None:
    options = load_settings("cpu").search
    given = {"strategy": "enas", "controller_updates": 8, "warmup_epochs": 3, "reward": "accuracy"}
    text = told(given, given, reliability={"reward_images": 16, "images": 101})
    for words in (
        "Cells were searched by ENAS (Pham et al., ICML 2018, arXiv 1802.03268) in 2 searches, on training",
        f"{options.normal_cells} normal and 2 reduction cells with {options.nodes} nodes each",
        f"for {options.epochs} epochs, at most 3000 steps, with {options.optimizer}, batch size",
        "in the first 3 epochs architectures were drawn uniformly.",
        "After every later epoch a controller was updated 8 times, each time by the accuracy of "
        f"{options.controller_samples} architectures on 16 validation images.",
        "At the end 48 architectures were ranked by their accuracy on all 101 validation images, with the "
        "shared weights, and the best of them was taken.",
    ):
        assert words in text, words


def test_random_search_learns_from_nothing() -> None:
    text = told({"strategy": "random"})
    assert "Architectures were drawn uniformly throughout." in text
    assert "controller" not in text and "first" not in text.split("filters in the first")[1]


def test_each_strategy_has_its_account_with_sizes_limit_and_finalists() -> None:
    given = {"population": 20, "tournament": 5, "controller_updates": 2, "controller_samples": 4}
    evolution = {"strategy": "evolution", "reward": "log_loss", **given}
    local = {"strategy": "local", "finalists": 8, "finalist_epochs": 2, "most_parameters": 200_000}
    text = told(evolution, local)
    for words in (
        "regularized evolution (Real et al.",
        "architectures were scored by their log loss on",
        "in a population of 20, with tournaments of 5.",
        "local search (den Ottelander et al.",
        "the 8 best within 200,000 parameters as enas7 were trained alone for 2 epochs, the "
        "better half by validation loss for twice as many",
    ):
        assert words in text, words
    assert text.count(" one search,") == 2


def test_what_an_old_search_does_not_know_is_not_told() -> None:
    record = {"settings": {"search": {"strategy": "enas"}}, "scored": 9}
    text = searched([Search(Path("search"), record, None)]) or ""
    assert "ranked by their accuracy on all validation images" in text and "None" not in text
    assert searched([]) is None


@pytest.mark.parametrize("name", ["enas7_set5", "cells7_set5", "enas7_seeds5"])
def test_a_set_is_told_by_how_it_was_chosen(name: str, tmp_path: Path) -> None:
    chosen = {"set": {"places": [1, 7, 3, 9, 12], "of": 50}} if name == "enas7_set5" else {}
    write_run(tmp_path / "run", name, 0, table(0, GOOD[0]), **chosen)
    run_report([tmp_path], tmp_path / "out")
    text = (tmp_path / "out" / "methods.txt").read_text()
    assert f"{name.upper()}: 5 networks, each trained from a seed of its own" in text
    assert "They decide by the mean of their probabilities." in text
    by_selection = (
        "Their cells are the 5 of 50 candidates of a search's final ranking that forward selection without "
        "replacement chose for the lowest log loss of their mean probability on the validation images, as "
        "the shared weights predict these (after Zaidi et al., NeurIPS 2021, arXiv 2006.08573)."
    )
    words = {
        "enas7_set5": by_selection,
        "cells7_set5": "seed of its own, each of other cells.",
        "enas7_seeds5": "seed of its own, all of the same cells.",
    }
    assert [one in text for one in words.values()] == [one == name for one in words]
    assert ("Drawn at random" in text) == (name == "cells7_set5")
    assert "5 networks" in (tmp_path / "out" / "checklists.csv").read_text()


def test_an_ensemble_names_its_members_and_whether_their_weights_were_chosen(tmp_path: Path) -> None:
    for fold, counts in enumerate(("greedy", "equal")):
        weights = {"hog": 0.3, "net": 0.7}
        chosen = {"weights": weights, "selection": {"counts": counts}}
        write_run(tmp_path / "runs" / f"e{fold}", "ensemble", fold, table(fold, GOOD[fold]), **chosen)
        write_run(tmp_path / "runs" / f"h{fold}", "hog", fold, table(fold, GOOD[fold]))
    run_report([tmp_path / "runs"], tmp_path / "out")
    text = (tmp_path / "out" / "methods.txt").read_text()
    assert (
        "ENSEMBLE: the weighted mean of the probabilities of HOG; net. Weights were chosen by forward" in text
    )
    assert "in 1 of 2 runs." in text
