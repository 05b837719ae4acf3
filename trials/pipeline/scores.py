"""What logits score on images: of two classes the poster's measures, of more those of all classes."""

from __future__ import annotations

from typing import Any

import numpy as np

from trials.evaluation.decisions import Decision, log_odds_of
from trials.evaluation.metrics import RATES, score, score_classes
from trials.runs.predictions import Classes

CLASS_RATES = ("auc_macro", "accuracy", "balanced_accuracy", "kappa", "macro_f1")
ORDERED_RATES = ("quadratic_kappa", "mean_absolute_error")
NO_SHARES = ("kappa", *ORDERED_RATES)  # measures that no percentage is of


def rates_of(classes: Classes, *, ordered: bool = False) -> tuple[str, ...]:
    """Return the measures that can be averaged over folds; `ordered` classes have two more."""
    if classes.are_two:
        return RATES
    return (*CLASS_RATES, *ORDERED_RATES) if ordered else CLASS_RATES


def headline_of(classes: Classes) -> str:
    """Return the measure that comes first."""
    return "auc" if classes.are_two else CLASS_RATES[0]


def likeliest(classes: Classes) -> Decision:
    """Return the decision for the likeliest class: of two the positive one from a probability of 0.5 up."""
    return Decision(classes.index if classes.are_two else None)


def score_logits(
    classes: Classes, labels: np.ndarray, logits: np.ndarray, decision: Decision, *, ordered: bool = False
) -> dict[str, Any]:
    """Score labels [n] against canonical logits [n, k], as called by a decision; raises as `score`."""
    if classes.are_two:
        odds = log_odds_of(logits, classes.positive_of_two)
        return dict(score(labels == classes.index, odds, decision.cutoff).to_dict())
    return score_classes(labels, logits, decision.call(logits), classes.names, ordered=ordered).to_dict()
