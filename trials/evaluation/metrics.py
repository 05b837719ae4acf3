"""The scores of a run, and the threshold and temperature that validation images choose.

The scores are those of the poster (Ahmed, Du and AlZoubi, MIDL 2020): TPR (sensitivity), TNR (specificity),
precision and accuracy; and the area under the ROC curve. `measures` defines them. A score that the images do
not define, such as precision where nothing was called positive, is None.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from trials.evaluation.bootstrap import Measure
from trials.evaluation.calibration import mean_log_odds
from trials.evaluation.measures import DECISION, auc, decision


@dataclass(frozen=True)
class Scores:
    """How well one set of predictions did; rates from 0 to 1."""

    n: int
    positives: int
    tnr: float | None
    tpr: float | None
    precision: float | None
    accuracy: float | None
    auc: float | None

    def to_dict(self) -> dict[str, float | None]:
        """Return the measures by name."""
        return asdict(self)


CONSTANT = 0.001  # probabilities closer than this are one answer

RATES = ("tnr", "tpr", "precision", "accuracy", "auc")
"""The measures that can be averaged over folds, in the poster's order."""


def score(positive: ArrayLike, scores: ArrayLike, threshold: float | ArrayLike) -> Scores:
    """Score truth [n] against scores of the positive class [n], called positive from `threshold` up.

    The scores are log odds or, where these are not known, probabilities, and so is the threshold: one number,
    or one for each image where folds have their own. Raises ValueError for no images, and for scores that
    are not finite.
    """
    truth, given = np.asarray(positive, dtype=bool), _finite(scores)
    if not truth.size:
        raise ValueError("no predictions to score")
    called = given >= np.asarray(threshold, dtype=float)
    rates = {name: _once(decision(name, truth, called), truth) for name in RATES if name in DECISION}
    return Scores(n=len(truth), positives=int(truth.sum()), **rates, auc=_once(auc(truth, given), truth))


def youden_threshold(positive: ArrayLike, log_odds: ArrayLike) -> float:
    """Return the log odds of the largest TPR + TNR - 1 (Youden, Cancer 3, 1950, 32-35), of log odds [n].

    Candidates lie midway, as probabilities, between neighbouring ones; among equals the one nearest to a
    probability of 0.5 is taken, and where all images are the same to the model, 0.5 itself. Raises ValueError
    where only one class is present.
    """
    truth, given = np.asarray(positive, dtype=bool), _finite(log_odds)
    if truth.all() or not truth.any():
        raise ValueError("a decision threshold needs images of both classes to be chosen on")
    scores = np.unique(given)
    candidates = mean_log_odds([scores[1:], scores[:-1]]) if len(scores) > 1 else np.zeros(1)
    called = given >= candidates[:, None]  # [candidates, n]
    index = called[:, truth].mean(1) - called[:, ~truth].mean(1)
    best = candidates[index >= index.max() - 1e-12]
    return float(best[np.argmin(np.abs(best))])


def fit_temperature(positive: ArrayLike, log_odds: ArrayLike) -> float:
    """Return the T above 0 for which log odds / T have the lowest log loss (Guo et al., ICML 2017).

    For two classes that is temperature scaling of the logits. T is sought between 0.05, as images that are
    told apart without a mistake would take it to 0, and 20, or the largest log odds if they are beyond that.
    """
    sign = np.where(np.asarray(positive, dtype=bool), 1.0, -1.0)
    odds = _finite(log_odds)
    largest = max(20.0, float(np.abs(odds).max()))

    def log_loss(log_temperature: float) -> float:
        return float(np.logaddexp(0, -sign * odds / np.exp(log_temperature)).mean())

    from scipy.optimize import minimize_scalar  # late: takes a quarter of a second

    found = minimize_scalar(log_loss, bounds=(np.log(0.05), np.log(largest)), method="bounded")
    return float(np.exp(found.x))


def doubts(positive: ArrayLike, log_odds: ArrayLike) -> list[str]:
    """Return why predictions, log odds [n], are hardly worth having: constant, or no better than chance.

    At chance an area under the curve has the standard deviation of the Mann-Whitney statistic, sqrt((n + 1) /
    (12 a b)) for a positives and b negatives; below its one-sided bound of 95 % chance explains it. A
    constant answer is one whose probabilities differ by less than 0.001, and its log odds, which go on where
    probabilities are 0 or 1, by less than 1; ours.
    """
    truth, given = np.asarray(positive, dtype=bool), _finite(log_odds)
    count, ones = len(truth), int(truth.sum())
    if not 0 < ones < count:
        return []
    low, high = expit([given.min(), given.max()])
    if high - low < CONSTANT and np.ptp(given) < 1:
        return [
            f"the model answers alike, {low:.3f} to {high:.3f}, whatever the image: it has learned nothing "
            f"({count} validation images)"
        ]
    area = float(auc(truth, given)(np.ones((1, count)))[0])
    bound = 0.5 + 1.645 * np.sqrt((count + 1) / (12 * ones * (count - ones)))
    if bound >= 1:
        return [f"{count} validation images are too few to tell the model from chance (AUC {area:.3f})"]
    if area > bound:
        return []
    return [
        f"the model is no better than chance on its {count} validation images: AUC {area:.3f}, and chance "
        f"alone reaches {bound:.3f}"
    ]


def mean_and_std(values: Sequence[float | None]) -> dict[str, float | None]:
    """Return mean and sample standard deviation (n - 1) of the values that are defined."""
    known = np.array([value for value in values if value is not None], dtype=float)
    return {
        "mean": float(known.mean()) if known.size else None,
        "sd": float(known.std(ddof=1)) if known.size > 1 else None,
    }


def _finite(scores: ArrayLike) -> np.ndarray:
    """Return them as an array; raises ValueError for any that is not finite."""
    given = np.asarray(scores, dtype=float)
    if count := int((~np.isfinite(given)).sum()):
        raise ValueError(f"{count} of {given.size} scores are not finite: nothing is measured by them")
    return given


def _once(measure: Measure, images: np.ndarray) -> float | None:
    """Return a measure of all `images` [n], each counted once; None where it is not defined."""
    value = float(measure(np.ones((1, len(images))))[0])
    return None if np.isnan(value) else value
