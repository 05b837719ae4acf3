"""What validation images choose, of two classes and of more."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from trials.errors import PredictionsError, SettingsError
from trials.evaluation.decisions import log_odds_of, of_two
from trials.pipeline.freeze import check_rule, freeze
from trials.runs.predictions import Classes, frozen
from trials.settings.load import load_settings
from trials.settings.schema import ProtocolSettings

TWO = Classes(("benign", "malignant"), "malignant")
THREE = Classes(("benign", "malignant", "normal"), None)
RANDOM = np.random.default_rng(0)
LABELS = np.arange(90) % 3
LOGITS = RANDOM.normal(size=(90, 3)) + 2 * np.eye(3)[LABELS]


def protocol(**given: object) -> ProtocolSettings:
    return load_settings("cpu", {f"protocol.{name}": value for name, value in given.items()}).protocol


def test_three_classes_are_called_by_the_likeliest() -> None:
    chosen = freeze(protocol(), THREE, LABELS, LOGITS)
    assert chosen.decision.call(LOGITS).tolist() == LOGITS.argmax(1).tolist()
    assert chosen.to_dict(THREE)["threshold"] is None and chosen.rule == "argmax"


@pytest.mark.parametrize("name", ["benign", "malignant", "normal"])
def test_a_sensitivity_is_reached_on_the_validation_images(name: str) -> None:
    chosen = freeze(protocol(sensitivity=f"{name}=0.95"), THREE, LABELS, LOGITS)
    index = THREE.names.index(name)
    assert (chosen.decision.call(LOGITS)[index == LABELS] == index).mean() >= 0.95
    assert "of which 29 are found" in chosen.warnings[0]


@pytest.mark.parametrize("name", ["benign", "malignant"])
def test_of_two_classes_it_is_a_threshold_of_the_positive_one(name: str) -> None:
    labels = LABELS[LABELS < 2]
    logits = of_two(RANDOM.normal(size=60) + 2 * labels, 1)
    chosen = freeze(protocol(sensitivity=f"{name}=0.9"), TWO, labels, logits)
    assert chosen.decision.first == 1
    found = chosen.decision.call(logits)[labels == TWO.names.index(name)] == TWO.names.index(name)
    assert 0.9 <= found.mean() < 0.97


def test_costs_of_two_classes_are_a_threshold_too() -> None:
    labels = LABELS[LABELS < 2]
    logits = of_two(RANDOM.normal(size=60) + 2 * labels, 1)
    chosen = freeze(protocol(costs=[["malignant", "benign", 4]]), TWO, labels, logits)
    # A miss costs 4 alarms: called from a calibrated probability of 1 / 5 up, log odds log(1 / 4).
    assert chosen.decision.cutoff == pytest.approx(chosen.temperature * np.log(1 / 4))
    assert (chosen.decision.call(logits) == 1).sum() == (
        log_odds_of(logits, 1) >= chosen.decision.cutoff
    ).sum()


@pytest.mark.parametrize(
    "given", [{}, {"sensitivity": "normal=0.9"}, {"costs": [["malignant", "benign", 5.0]]}]
)
def test_what_is_written_is_read_again(given: dict[str, object]) -> None:
    chosen = freeze(protocol(**given), THREE, LABELS, LOGITS)
    metrics = {"classes": list(THREE.names), "positive": None, **chosen.to_dict(THREE)}
    again = frozen(metrics, Path("metrics.json"))
    assert again.temperature == chosen.temperature
    assert again.decision.call(LOGITS).tolist() == chosen.decision.call(LOGITS).tolist()


def test_costs_of_other_classes_are_refused_where_they_are_read() -> None:
    metrics = {"classes": list(THREE.names), "positive": None, "costs": [[0, 1], [1, 0]], "temperature": 1.0}
    with pytest.raises(PredictionsError, match="expected 3 rows of 3 numbers"):
        frozen(metrics, Path("metrics.json"))


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"sensitivity": "cyst=0.9"}, "the class 'cyst', expected one of benign"),
        ({"costs": [["malignant", "cyst", 5.0]]}, "the class 'cyst'"),
        ({"decision": "youden"}, "is of two classes, not of 3"),
    ],
)
def test_rules_that_do_not_fit_the_classes_are_refused(given: dict[str, object], text: str) -> None:
    with pytest.raises(SettingsError, match=text):
        check_rule(protocol(**given), THREE)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"sensitivity": "malignant=1.5"}, "a class and a share above 0, up to 1"),
        ({"sensitivity": "malignant"}, "a class and a share"),
        ({"sensitivity": "malignant=0.9", "decision": "argmax"}, "called by one rule"),
        ({"costs": [["a", "a", 1.0]]}, "expected two classes and a cost"),
    ],
)
def test_rules_that_cannot_be_are_refused_as_settings(given: dict[str, object], text: str) -> None:
    with pytest.raises(SettingsError, match=text):
        protocol(**given)


def test_two_costs_of_one_mistake_are_refused() -> None:
    with pytest.raises(SettingsError, match="malignant called benign has two costs"):
        protocol(costs=[["malignant", "benign", 5.0], ["malignant", "benign", 7.0]])
