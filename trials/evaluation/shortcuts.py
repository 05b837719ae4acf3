"""Does a score look at the lesion, or at how large its box was drawn?

Boxes of malignant lesions are larger and taller, small crops are blurred by enlargement: a network can live
on that. Geometry is the box's width, height (pixels of the source) and their ratio [n, 3].
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import logit
from scipy.stats import chi2

from trials.evaluation.bootstrap import GroupBootstrap, Interval, difference
from trials.evaluation.measures import auc, spearman, stratified_auc

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

GEOMETRY = ("width", "height", "ratio")
_RISK_CLASSES = 10
_CERTAIN = float(logit(1 - 1e-7))  # log odds beyond which a model says nothing more; ours


@dataclass(frozen=True)
class Third:
    """AUC among the images whose box height, in pixels, is above `above` and at most `up_to`."""

    above: float
    up_to: float
    n: int
    positives: int
    auc: Interval


def auc_by_thirds(
    positive: np.ndarray, scores: np.ndarray, groups: np.ndarray, heights: np.ndarray, *, seed: int = 0
) -> list[Third]:
    """Return the AUC within the lower, middle and upper third of box heights, with intervals over groups."""
    return [
        Third(
            above,
            up_to,
            int(members.sum()),
            int(positive[members].sum()),
            GroupBootstrap(positive[members], groups[members], seed=seed).interval(
                auc(positive[members], scores[members])
            ),
        )
        for above, up_to, members in _thirds(heights)
        if members.any()
    ]


def _thirds(heights: np.ndarray) -> Iterator[tuple[float, float, np.ndarray]]:
    limits = np.quantile(heights, [0, 1 / 3, 2 / 3, 1])
    for index, (above, up_to) in enumerate(pairwise(limits)):
        lower = heights >= above if index == 0 else heights > above
        yield float(above), float(up_to), lower & (heights <= up_to)


def correlations(bootstrap: GroupBootstrap, scores: np.ndarray, geometry: np.ndarray) -> dict[str, Interval]:
    """Return Spearman's correlation of the score with the box's width, height and ratio."""
    return {
        name: bootstrap.interval(spearman(scores, geometry[:, column]))
        for column, name in enumerate(GEOMETRY)
    }


@dataclass(frozen=True)
class BeyondGeometry:
    """What a score says once the box is known.

    `geometry` and `together`: AUC of logistic regressions on the box, and on box and score, each image scored
    by one fitted on the other folds; `gain` their difference. `adjusted`: AUC of the score among pairs of
    images that the box alone rates alike (the same tenth of its risk). `likelihood_ratio`: twice the gain in
    log likelihood by the score, both fitted on all images; `p` its chi-square test with one degree of
    freedom, which takes images as independent.
    """

    geometry: Interval
    together: Interval
    gain: Interval
    adjusted: Interval
    likelihood_ratio: float
    p: float


def beyond_geometry(
    bootstrap: GroupBootstrap,
    positive: np.ndarray,
    log_odds: np.ndarray,
    geometry: np.ndarray,
    folds: np.ndarray,
) -> BeyondGeometry:
    """Set the score, log odds [n], beside the box, cross-fitted over the outer folds, which split no group.

    The intervals take the regressions as given. Raises ValueError where fewer than two folds are there or
    a fold leaves one class only to fit on.
    """
    box = np.column_stack([np.log(geometry[:, :2]), geometry[:, 2]])  # sizes act by their ratio
    both = np.column_stack([box, log_odds.clip(-_CERTAIN, _CERTAIN)])
    alone, together = (_cross_fitted(features, positive, folds) for features in (box, both))
    limits = np.quantile(alone, np.linspace(0, 1, _RISK_CLASSES + 1)[1:-1])
    gained = 2 * (_log_likelihood(both, positive) - _log_likelihood(box, positive))
    return BeyondGeometry(
        geometry=bootstrap.interval(auc(positive, alone)),
        together=bootstrap.interval(auc(positive, together)),
        gain=bootstrap.interval(difference(auc(positive, together), auc(positive, alone))),
        adjusted=bootstrap.interval(stratified_auc(positive, log_odds, np.searchsorted(limits, alone))),
        likelihood_ratio=float(gained),
        p=float(chi2.sf(max(gained, 0.0), df=1)),
    )


def _regression() -> Pipeline:
    # Hardly any penalty, so that it is maximum likelihood, yet finite where the classes can be separated.
    from sklearn.linear_model import LogisticRegression  # late, as most reports have no boxes to look at
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(C=1e4, max_iter=1000))


def _cross_fitted(features: np.ndarray, positive: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """Return the log odds of each image by a regression on the other folds [n]."""
    scores = np.empty(len(positive))
    for fold in np.unique(folds):
        test = folds == fold
        if not 0 < positive[~test].sum() < (~test).sum():
            raise ValueError(f"without fold {fold} no images of both classes are left to fit the geometry on")
        scores[test] = _regression().fit(features[~test], positive[~test]).decision_function(features[test])
    return scores


def _log_likelihood(features: np.ndarray, positive: np.ndarray) -> float:
    from sklearn.metrics import log_loss

    probabilities = _regression().fit(features, positive).predict_proba(features)
    return -float(log_loss(positive, probabilities, normalize=False))
