"""The scores of a run, and the threshold and temperature that validation images choose.

The scores are those of the poster (Ahmed, Du and AlZoubi, MIDL 2020): TPR (sensitivity), TNR (specificity),
precision and accuracy; and the area under the ROC curve. `measures` defines them. A score that the images do
not define, such as precision where nothing was called positive, is None.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, softmax

from trials.evaluation.bootstrap import Measure
from trials.evaluation.calibration import mean_log_odds
from trials.evaluation.decisions import class_log_odds
from trials.evaluation.measures import DECISION, auc, decision
from trials.evaluation.multiclass import log_loss, of_each_class, overall


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


@dataclass(frozen=True)
class ClassScores:
    """How well one set of predictions among any number of classes did; of a class of no image rates are None.

    `images` are counted by class. `per_class` has of each class `n`, `auc`, `sensitivity`, `specificity`,
    `ppv` and `f1`, the class against all others. `confusion` has a row for each class that images are of and
    a column for each that they are called. The last two measures are of ordered classes alone.
    """

    n: int
    images: Mapping[str, int]
    accuracy: float | None
    balanced_accuracy: float | None
    auc_macro: float | None
    auc_weighted: float | None
    auc_one_vs_one: float | None
    kappa: float | None
    macro_f1: float | None
    log_loss: float | None
    brier: float | None
    calibration_error: float | None
    per_class: Mapping[str, Mapping[str, float | None]]
    confusion: Sequence[Sequence[int]]
    quadratic_kappa: float | None = None
    mean_absolute_error: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the measures by name, those of ordered classes where there are any."""
        found = asdict(self)
        if self.mean_absolute_error is None:
            del found["quadratic_kappa"], found["mean_absolute_error"]
        return found


CONSTANT = 0.001  # probabilities closer than this are one answer
PERMUTATIONS = 999  # of labels, to see how far chance goes

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


def score_classes(
    labels: ArrayLike,
    logits: ArrayLike,
    called: ArrayLike,
    classes: Sequence[str],
    *,
    ordered: bool = False,
) -> ClassScores:
    """Score labels [n] against logits [n, classes] and the classes called [n], all as class numbers.

    `ordered`: classes are grades, the lowest first. Raises ValueError for no images, for logits that are not
    finite or not of so many classes, and for labels and calls that are no class's number.
    """
    given, count = _finite(logits), len(classes)
    truth, calls = (_numbers(which, count) for which in (labels, called))
    if not truth.size:
        raise ValueError("no predictions to score")
    if given.shape != (len(truth), count) or truth.shape != calls.shape:
        raise ValueError(
            f"expected a call and {count} logits for each of {len(truth)} images, found {given.shape} logits "
            f"and {len(calls)} calls"
        )
    confusion = np.zeros((count, count), dtype=int)
    np.add.at(confusion, (truth, calls), 1)
    images = dict(zip(classes, confusion.sum(1).tolist(), strict=True))
    rates = dict(zip(classes, of_each_class(truth, given, calls), strict=True))
    return ClassScores(
        n=len(truth),
        images=images,
        **_all_once(overall(truth, given, calls, ordered=ordered), truth),
        per_class={name: {"n": images[name], **_all_once(each, truth)} for name, each in rates.items()},
        confusion=confusion.tolist(),
    )


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


def sensitivity_threshold(positive: ArrayLike, log_odds: ArrayLike, sensitivity: float) -> float:
    """Return the highest log odds from which up at least a share `sensitivity` of the positives is called.

    It lies midway, as a probability, between the last positive that it needs and the next lower image of all.
    Raises ValueError where no image is positive.
    """
    truth, given = np.asarray(positive, dtype=bool), _finite(log_odds)
    if not truth.any():
        raise ValueError("a threshold for a sensitivity needs positive images to be chosen on")
    needed = int(np.ceil(sensitivity * truth.sum() - 1e-9))
    last = np.sort(given[truth])[::-1][needed - 1]
    lower = given[given < last]
    return float(mean_log_odds([last, lower.max()])) if lower.size else float(last)


def fit_temperature(labels: ArrayLike, logits: ArrayLike) -> float:
    """Return the T above 0 for which logits / T have the lowest log loss (Guo et al., ICML 2017).

    Logits [n, k] are of classes that labels [n] number; logits [n] are the log odds of two classes, and
    labels say which images are positive. T is sought between 0.05, as images that are told apart without a
    mistake would take it to 0, and 20, or the largest distance of an image's logits if that is beyond.
    """
    given = _finite(logits)
    if given.ndim == 2 and given.shape[1] == 2:  # by the same roundings as of log odds
        return fit_temperature(labels, given[:, 1] - given[:, 0])
    loss = _loss_of_two(labels, given) if given.ndim == 1 else _loss_of_classes(labels, given)
    distance = np.abs(given) if given.ndim == 1 else np.ptp(given, axis=1)
    largest = max(20.0, float(distance.max()))
    from scipy.optimize import minimize_scalar  # late: takes a quarter of a second

    found = minimize_scalar(loss, bounds=(np.log(0.05), np.log(largest)), method="bounded")
    return float(np.exp(found.x))


def _loss_of_two(positive: ArrayLike, odds: np.ndarray) -> Callable[[float], float]:
    sign = np.where(np.asarray(positive, dtype=bool), 1.0, -1.0)
    return lambda log_temperature: float(np.logaddexp(0, -sign * odds / np.exp(log_temperature)).mean())


def _loss_of_classes(labels: ArrayLike, logits: np.ndarray) -> Callable[[float], float]:
    once = np.ones((1, len(logits)))
    return lambda log_temperature: float(log_loss(labels, logits / np.exp(log_temperature))(once)[0])


def doubts(labels: ArrayLike, logits: ArrayLike) -> list[str]:
    """Return why predictions are hardly worth having: constant, or no better than chance.

    Logits [n, k] are of classes that labels [n] number; logits [n] are the log odds of two classes, and
    labels say which images are positive. A constant answer is one whose probabilities differ by less than
    0.001, and its log odds, which go on where probabilities are 0 or 1, by less than 1; ours. At chance the
    area under the curve of two classes has the standard deviation of the Mann-Whitney statistic, sqrt((n +
    1) / (12 a b)) for a positives and b negatives; below its one-sided bound of 95 % chance explains it. Of
    more classes it is the macro AUC of those that have images, and the bound is the 95th percentile over 999
    permutations of the labels, always the same ones.
    """
    truth, given = np.asarray(labels, dtype=int), _finite(logits)
    if given.ndim == 2 and given.shape[1] == 2:
        return doubts(truth, given[:, 1] - given[:, 0])
    if len(np.unique(truth)) < 2:
        return []
    if told := _alike(given):
        return [
            f"the model answers alike, {told}, whatever the image: it has learned nothing "
            f"({len(truth)} validation images)"
        ]
    return _chance(len(truth), *(_area_of_two if given.ndim == 1 else _area_of_classes)(truth, given))


def _alike(logits: np.ndarray) -> str:
    """Return from which to which probability all answers are; "" where they differ."""
    odds = logits if logits.ndim == 1 else class_log_odds(logits)
    probabilities = expit(odds) if logits.ndim == 1 else softmax(logits, axis=1)
    low, high = probabilities.min(0), probabilities.max(0)
    if (high - low < CONSTANT).all() and (np.ptp(odds, axis=0) < 1).all():
        limits = zip(np.atleast_1d(low), np.atleast_1d(high), strict=True)
        return ", ".join(f"{one:.3f} to {other:.3f}" for one, other in limits)
    return ""


def _area_of_two(truth: np.ndarray, odds: np.ndarray) -> tuple[str, float, float]:
    """Return the name of the area, the area, and the bound that it reaches by chance."""
    count, ones = len(truth), int(truth.sum())
    area = float(auc(truth, odds)(np.ones((1, count)))[0])
    return "AUC", area, 0.5 + 1.645 * np.sqrt((count + 1) / (12 * ones * (count - ones)))


def _area_of_classes(truth: np.ndarray, logits: np.ndarray) -> tuple[str, float, float]:
    """As `_area_of_two`; by rank sums, of which each image adds the rank by its class's probability."""
    from scipy.stats import rankdata  # late, as above

    present, number, images = np.unique(truth, return_inverse=True, return_counts=True)
    odds = class_log_odds(logits)[:, present]
    others = len(truth) - images
    share = rankdata(odds, axis=0) / (images * others)  # [n, classes], what an image adds as one of a class
    rows, permuted = np.arange(len(truth)), np.random.default_rng(0).permutation
    areas = [
        float((share[rows, label].sum() - ((images + 1) / (2 * others)).sum()) / len(present))
        for label in (number, *(permuted(number) for _ in range(PERMUTATIONS)))
    ]
    return "macro AUC", areas[0], float(np.quantile(areas[1:], 0.95))


def _chance(count: int, name: str, area: float, bound: float) -> list[str]:
    if bound >= 1:
        return [f"{count} validation images are too few to tell the model from chance ({name} {area:.3f})"]
    if area > bound:
        return []
    return [
        f"the model is no better than chance on its {count} validation images: {name} {area:.3f}, and chance "
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


def _numbers(labels: ArrayLike, classes: int) -> np.ndarray:
    """Return them as an array; raises ValueError for any that is no class's number."""
    given = np.asarray(labels)
    wrong = given[~np.isin(given, np.arange(classes))]
    if wrong.size:
        raise ValueError(f"expected class numbers from 0 to {classes - 1}, found {wrong[0]}")
    return given.astype(int)


def _all_once(measures: Mapping[str, Measure], images: np.ndarray) -> dict[str, float | None]:
    return {name: _once(measure, images) for name, measure in measures.items()}


def _once(measure: Measure, images: np.ndarray) -> float | None:
    """Return a measure of all `images` [n], each counted once; None where it is not defined."""
    value = float(measure(np.ones((1, len(images))))[0])
    return None if np.isnan(value) else value
