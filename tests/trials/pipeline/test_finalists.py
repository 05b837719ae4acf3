"""Successive halving of a search's finalists."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from search_space import Architecture
from tests.helpers.runs import rank_on, search_on
from trials.data.split import Split
from trials.errors import DivergedTwiceError, SettingsError
from trials.pipeline.finalists import Choice, FinalistMethod, Finalists, Rung, rungs
from trials.pipeline.found import read_ranking
from trials.settings.load import load_settings
from trials.training.callbacks import TrainingLosses

TINY = {
    "data.image_size": 24,
    "data.validation_fraction": 0.4,
    "retrain.filters": 2,
    "search.filters": 2,
    "search.nodes": 2,
    "search.epochs": 1,
    "search.final_samples": 5,
    "search.controller_updates": 1,
    "search.controller_samples": 2,
    "search.finalists": 3,
    "search.limit_layout": "enas3",
}


@pytest.fixture(scope="module")
def searched(lesions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search that was interrupted at its third finalist and resumed."""
    out = tmp_path_factory.mktemp("finalists") / "search"
    settings = load_settings("quick", TINY)
    trained: list[Path] = []
    fit = FinalistMethod.fit

    def interrupted(self: FinalistMethod, folder: Any, *more: Any, **options: Any) -> float:
        trained.append(folder.path)
        if len(trained) == 3:
            raise KeyboardInterrupt
        return fit(self, folder, *more, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FinalistMethod, "fit", interrupted)
        with pytest.raises(KeyboardInterrupt):
            search_on(lesions, out=out, settings=settings)
        search_on(lesions, out=out, settings=settings)
    assert len(trained) == 6 and len(set(trained)) == 5  # of three and two, one begun twice
    return out


def read(file: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(file.read_text())
    return told


def test_rungs_halve_finalists_and_double_epochs() -> None:
    assert list(rungs(8, 1)) == [(8, 1), (4, 2), (2, 4)]
    assert list(rungs(5, 2)) == [(5, 2), (3, 4), (2, 8)]


def test_the_smallest_loss_of_the_last_rung_wins() -> None:
    made = [Rung(1, {1: 0.7, 2: 0.6, 3: 0.6}), Rung(2, {2: 0.5, 3: 0.4})]
    assert made[0].order == [2, 3, 1]
    choice = Choice("validation_loss", "enas3", made, 1.0)
    assert (choice.place, choice.to_dict()["epochs"]) == (3, 3 * 1 + 2 * 2)


def test_the_last_finalist_left_is_what_a_search_has_found(searched: Path) -> None:
    told = read(searched / "search.json")["finalists"]
    first, last = told["rungs"]
    assert (first["epochs"], set(first["losses"])) == (1, {"1", "2", "3"})
    kept = sorted(first["losses"], key=lambda place: first["losses"][place])[:2]
    assert (last["epochs"], set(last["losses"])) == (2, set(kept))
    assert told["place"] == int(min(last["losses"], key=lambda place: last["losses"][place]))
    score, architecture = read_ranking(searched)[told["place"] - 1]
    assert Architecture.load(searched / "architecture.json") == architecture
    assert (told["epochs"], read(searched / "search.json")["score"]) == (7, score)


def test_both_losses_of_a_finalist_are_kept(searched: Path) -> None:
    told = read(searched / "search.json")["finalists"]
    place = told["place"]
    one, two = (read(searched / f"finalists/{n}epochs-place{place}/finalist.json") for n in (1, 2))
    assert two["validation_loss"] == told["rungs"][1]["losses"][str(place)]
    assert 1.1 < two["training_loss"] / one["training_loss"] < 4  # a sum over twice as many epochs


def test_training_losses_go_through_an_interruption() -> None:
    before, after = TrainingLosses(), TrainingLosses()
    before.losses += [0.7, 0.5]
    after.load_state_dict(before.state_dict())
    assert after.losses == [0.7, 0.5]


def test_finalists_that_diverge_are_dropped_with_a_line_and_end_the_search_only_all_together(
    lesions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load_settings(
        "quick", {**TINY, "search.finalists": 4, "search.finalist_criterion": "training_loss"}
    )
    finalists = Finalists(Split.load(lesions, settings), settings)
    ranked = [Architecture.random(seed, nodes=2) for seed in range(4)]
    lost, trained = {"1epochs-place1", "2epochs-place3"}, []

    def fit(self: FinalistMethod, folder: Any, *more: Any) -> float:
        trained.append(folder.path.name)
        if folder.path.name in lost:
            raise DivergedTwiceError("train_loss is nan; try another rate")
        self.losses = TrainingLosses()
        self.losses.losses.append(-float(folder.path.name[-1]))  # the later ones are the better ones
        return 1.0

    monkeypatch.setattr(FinalistMethod, "fit", fit)
    choice = finalists.choose(ranked, tmp_path / "some")
    assert (choice.place, trained) == (
        4,
        [f"1epochs-place{n}" for n in (1, 2, 3, 4)] + ["2epochs-place4", "2epochs-place3"],
    )
    assert [rung.get("diverged") for rung in choice.to_dict()["rungs"]] == [[1], [3]]
    assert len(choice.warnings) == 2 and "finalist 3 of the ranking was dropped" in choice.warnings[1]
    assert finalists.choose(ranked, tmp_path / "some").place == 4 and len(trained) == 6  # read, not repeated
    lost |= {f"1epochs-place{n}" for n in (2, 3, 4)}
    with pytest.raises(DivergedTwiceError, match="no finalist is left: train_loss is nan"):
        finalists.choose(ranked, tmp_path / "none")


def test_a_ranked_candidate_is_the_finalist_that_was_chosen(searched: Path, lesions: Path) -> None:
    out = searched.parent / "candidate"
    told = rank_on(lesions, 0, out=out, layout="enas3", count=3, profile="quick", overrides=TINY)
    assert told["candidate"]["place"] == read(searched / "search.json")["finalists"]["place"]


def test_more_finalists_than_are_ranked_are_refused() -> None:
    with pytest.raises(SettingsError, match="only 5 are ranked"):
        load_settings("quick", {**TINY, "search.finalists": 6})
