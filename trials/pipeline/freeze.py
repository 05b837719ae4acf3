"""What the validation images choose: by which rule an image is called, and the temperature.

The rule is Youden's threshold of two classes, the likeliest of more, unless `protocol` asks for a
sensitivity, for least cost or for the likeliest class. A rule about two classes always is a threshold of the
positive one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.stats import binomtest

from trials.errors import SettingsError
from trials.evaluation.decisions import Decision, log_odds_of
from trials.evaluation.metrics import (
    fit_temperature,
    sensitivity_threshold,
    youden_threshold,
)
from trials.runs.predictions import Classes, Frozen
from trials.settings.schema import ProtocolSettings


def check_rule(settings: ProtocolSettings, classes: Classes) -> None:
    """Raise `SettingsError` where the rule names classes that the data do not have, or is of two classes."""
    asked = [settings.sensitivity[0]] if settings.sensitivity else []
    asked += [name for true, called, _ in settings.costs or () for name in (true, called)]
    for name in asked:
        if name not in classes.names:
            raise SettingsError(
                f"protocol names the class {name!r}, expected one of {', '.join(classes.names)}"
            )
    if settings.decision == "youden" and not classes.are_two:
        raise SettingsError(
            f"protocol.decision = 'youden' is of two classes, not of {len(classes.names)}: leave it out, or "
            "set argmax, or protocol.sensitivity for one of them"
        )


def freeze(settings: ProtocolSettings, classes: Classes, labels: np.ndarray, logits: np.ndarray) -> Frozen:
    """Choose by the validation images' labels [n] and canonical logits [n, k]."""
    temperature = _temperature(classes, labels, logits)
    if settings.sensitivity:
        return _of_sensitivity(*settings.sensitivity, classes, labels, logits, temperature)
    if settings.costs:
        return _of_costs(settings.costs, classes, temperature)
    if not classes.are_two:
        return Frozen(Decision(), temperature, "argmax")
    rule, cutoff = settings.decision or "youden", 0.0
    if rule == "youden":
        cutoff = youden_threshold(labels == classes.index, log_odds_of(logits, classes.positive_of_two))
    return Frozen(Decision(classes.index, cutoff), temperature, rule)


def _temperature(classes: Classes, labels: np.ndarray, logits: np.ndarray) -> float:
    if classes.are_two:
        return fit_temperature(labels == classes.index, log_odds_of(logits, classes.positive_of_two))
    return fit_temperature(labels, logits)


def _of_sensitivity(
    name: str, share: float, classes: Classes, labels: np.ndarray, logits: np.ndarray, temperature: float
) -> Frozen:
    """Call the class `name` at the highest threshold that finds the share of its validation images."""
    index = classes.names.index(name)
    found = labels == index
    cutoff = sensitivity_threshold(found, log_odds_of(logits, index), share)
    decision = Decision(index, cutoff)
    if classes.are_two and index != classes.index:
        # From `cutoff` up the other class is called: the positive one is from just above its negative up.
        decision = Decision(classes.index, float(np.nextafter(-cutoff, math.inf)))
    reached = log_odds_of(logits, index)[found] >= cutoff
    limits = binomtest(int(reached.sum()), len(reached)).proportion_ci(method="wilson")
    warning = (
        f"the sensitivity of {share:g} for {name} is chosen on {len(reached)} validation images, of which "
        f"{reached.sum()} are found: on others it may be {limits.low:.2f} to {limits.high:.2f}"
    )
    return Frozen(decision, temperature, "sensitivity", (warning,))


def _of_costs(costs: Sequence[tuple[str, str, float]], classes: Classes, temperature: float) -> Frozen:
    matrix = 1.0 - np.eye(len(classes.names))
    for true, called, cost in costs:
        matrix[classes.names.index(true), classes.names.index(called)] = cost
    if not classes.are_two:
        return Frozen(Decision(costs=matrix, temperature=temperature), temperature, "costs")
    positive = classes.positive_of_two
    alarm, miss = matrix[1 - positive, positive], matrix[positive, 1 - positive]
    if not min(alarm, miss) > 0:
        raise SettingsError(
            "protocol.costs: with two classes both mistakes cost something; name a cost above 0"
        )
    return Frozen(Decision(positive, temperature * math.log(alarm / miss)), temperature, "costs")
