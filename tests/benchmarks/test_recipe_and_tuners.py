"""What is printed of recipes and tuners follows from their runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import yaml

from benchmarks import recipe, tuners
from trials.methods.registry import find_method
from trials.settings.load import load_settings


def test_a_changes_gain_is_paired_by_fold() -> None:
    folds = [
        {"validation": {"auc": auc, "n": 10}, "seconds": 1.4, "device": "cpu", "threads": 2, "commit": "abc"}
        for auc in (0.8, 0.9)
    ]
    row = recipe.summary("more", {"retrain.epochs": 80}, "cells7", folds, np.array([0.1, 0.3]))
    assert row == {
        "change": "more",
        "settings": "retrain.epochs=80",
        "method": "cells7",
        "folds": 2,
        "n": 20,
        "auc": 0.85,
        "auc_sd": 0.0707,
        "gain": 0.2,
        "gain_sd": 0.1414,
        "seconds": 3,
        "device": "cpu",
        "threads": 2,
        "commit": "abc",
    }


@pytest.mark.parametrize("method", ["cells7", "efficientnet_lite0"])
def test_each_change_makes_another_recipe_of_the_methods_own(method: str) -> None:
    changes = recipe.changes_of(method)
    recipes = [
        find_method(method).settings(load_settings("cpu", one)).model_dump() for one in changes.values()
    ]
    assert next(iter(changes.values())) == {}
    assert all(one != other for n, one in enumerate(recipes) for other in recipes[:n])


def test_a_pretrained_network_is_fine_tuned_otherwise_and_a_frozen_one_is_not() -> None:
    assert "retrain.layer_decay" in [
        key for one in recipe.changes_of("efficientnet_lite0").values() for key in one
    ]
    assert recipe.changes_of("features:torchvision:resnet18") == recipe.changes_of("cells7")


def test_chosen_changes_stand_after_none() -> None:
    changes: recipe.Changes = {"the profile": {}, "one": {"a": 1}, "two": {"a": 2}}
    assert list(recipe.chosen(changes, ["two", "two"])) == ["the profile", "two"]
    assert recipe.chosen(changes, None) == changes
    with pytest.raises(SystemExit, match="--change three: expected the profile, one, two"):
        recipe.chosen(changes, ["two", "three"])


def test_a_tuners_gain_is_paired_by_objective() -> None:
    found = tuners.against([2.0, 3.0, 4.0], [1.0, 1.0, 1.0])
    assert (found["merit"], found["more than random"]) == (3, 2)
    half = 4.303 / np.sqrt(3)  # Student's t of two degrees of freedom, a standard deviation of 1
    assert (found["from"], found["to"]) == pytest.approx((2 - half, 2 + half), abs=1e-3)


@pytest.fixture
def config() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((tuners.CONFIG / "enas_b.yml").read_text())
    return content


def test_an_objective_is_standardised_and_the_same_again(config: dict[str, Any]) -> None:
    space = config["searchSpace"]
    points = [
        {name: spec["_value"][seed % 2] for name, spec in space.items() if len(spec["_value"]) > 1}
        for seed in range(2)
    ]
    first, second = (tuners.Objective(space, seed=3) for _ in range(2))
    assert [first.merit(point) for point in points] == [second.merit(point) for point in points]
    epochs = first.epochs(points[0], 5, noise=0.0)
    assert epochs == sorted(epochs) and epochs == second.epochs(points[0], 5, noise=0.0)
    assert epochs[-1] == pytest.approx(first.merit(points[0]), abs=tuners.GAP * np.exp(-3))


def test_what_a_tuner_chose_counts_by_its_merit_without_noise(config: dict[str, Any]) -> None:
    config = {**config, "maxTrialNumber": 4}
    objective = tuners.Objective(config["searchSpace"], seed=0)
    make = tuners.tuners("enas_b", config)["random"]
    merits = [tuners.run(make(1), config, objective, 3, noise=0.0) for _ in range(2)]
    assert merits[0] == merits[1] and -4 < merits[0] < 4
