"""Classifiers of scikit-learn that classical methods fit to features, kept as plain arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from trials.models.classifiers import Classifier, Linear, SupportVectors

_INNER = 3  # inner folds, of fewer groups fewer; ours
_UNCHOSEN_C = 1.0  # where nothing can choose it: scikit-learn's default


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fitted classifier, and warnings about the fit.

    Unless `calibrated`, its scores are its own, of any scale, and no log odds.
    """

    classifier: Classifier
    warnings: Sequence[str] = ()
    calibrated: bool = True


class Samples(NamedTuple):
    """What a classifier learns from: features [n, d] of images of groups [n].

    `truth` [n] says of two classes which images are positive, of more the labels. Those features are
    standardised which `standardised` picks, and others where that is the way of the classifier.
    """

    features: np.ndarray
    truth: np.ndarray
    groups: np.ndarray
    standardised: slice = slice(0)


class Learn(Protocol):
    """Fits a classifier."""

    @property
    def seeded(self) -> bool:
        """Whether a fit depends on the seed."""

    def memory_bytes(self, images: int) -> int:
        """Return about what fitting to so many images takes, beside their features."""

    def __call__(self, samples: Samples, seed: int) -> Fitted:
        """Return the classifier; `seed` draws what is drawn."""


class LogisticLearner:
    """Fits a logistic regression to features that are all standardised: of more classes a multinomial one."""

    seeded = False

    def memory_bytes(self, images: int) -> int:
        """As `Learn.memory_bytes`."""
        return 0

    def __call__(self, samples: Samples, seed: int) -> Fitted:
        """As `Learn`."""
        model = make_pipeline(StandardScaler(), LogisticRegression())
        scaler, fitted = model.fit(samples.features, samples.truth)
        return Fitted(Linear(scaler.mean_, scaler.scale_, fitted.coef_, fitted.intercept_))


@dataclass(frozen=True)
class SVMLearner:
    """Fits an SVM with an RBF kernel, whose matrix is kept.

    Grouped cross-validation within the training images chooses its C among `cs`, by the AUC of each class
    against the rest, and turns its decision values into log odds by Platt's sigmoid, of more than two classes
    one for each, normalised. With too few groups of a class for that, C is scikit-learn's default, or the
    only one of `cs`, and the decision values stand for log odds; they do so too where the sigmoid would
    reverse their order, which it can by chance for few groups. Warnings say so. The seed draws the folds by
    which C is chosen; with one C they only calibrate, and are always the same.
    """

    cs: Sequence[float] = (0.3, 1, 3, 10, 30)  # ours

    @property
    def seeded(self) -> bool:
        """As `Learn.seeded`."""
        return len(self.cs) > 1

    def memory_bytes(self, images: int) -> int:
        """As `Learn.memory_bytes`: the kernel's matrix, in float64."""
        return 8 * images**2

    def __call__(self, samples: Samples, seed: int) -> Fitted:
        """As `Learn`."""
        features, truth, groups, standardised = samples
        machine = _machine(standardised)
        splits = _inner_folds(truth, groups, seed if self.seeded else 0)
        if not splits:
            chosen = _UNCHOSEN_C if len(self.cs) > 1 else self.cs[0]
            fitted = machine.set_params(svm__C=chosen).fit(features, truth)
            note = (
                f"{_class_groups(truth, groups)} to train on: too few to choose the SVM's C and calibrate it "
                f"by cross-validation; C is {chosen:g}, its decision values stand for log odds"
            )
            return Fitted(_arrays(fitted), [note], calibrated=False)
        machine.set_params(svm__C=_choose(machine, self.cs, splits, features, truth))
        warnings = []
        if len(splits) < _INNER:
            few = _class_groups(truth, groups)
            warnings.append(
                f"{few} to train on: the SVM's C is chosen by {len(splits)} inner folds, not {_INNER}"
            )
        calibrated = CalibratedClassifierCV(machine, cv=splits, ensemble=False).fit(features, truth)
        return _calibrated(calibrated, warnings)


class _RBF(TransformerMixin, BaseEstimator):
    """The kernel exp(-gamma |x - v|^2) of images x and those v that it was fitted to, gamma as SVC's "scale".

    By products of matrices: by libsvm's own loop a fit to 1,000 images takes eleven times as long.
    """

    def fit(self, features: np.ndarray, truth: object = None) -> Self:
        spread = features.var()
        self.fitted_, self.n_features_in_ = features, features.shape[1]
        self.gamma_ = 1 / (features.shape[1] * spread) if spread else 1.0
        return self

    def transform(self, features: np.ndarray) -> np.ndarray:
        kernel: np.ndarray = rbf_kernel(features, self.fitted_, gamma=self.gamma_)
        return kernel


def _machine(standardised: slice) -> Pipeline:
    """Return an SVM of features of which some are standardised; all stay in their places."""
    before = ("before", "passthrough", slice(standardised.start or 0))
    scaled = [before, ("scaled", StandardScaler(), standardised)] if _length(standardised) else []
    scaling = ColumnTransformer(scaled, remainder="passthrough")
    return Pipeline([("scaling", scaling), ("kernel", _RBF()), ("svm", SVC(kernel="precomputed"))])


def _length(part: slice) -> int:
    return int(part.stop) - int(part.start or 0)


def _choose(
    machine: Pipeline,
    cs: Sequence[float],
    splits: Sequence[tuple[np.ndarray, np.ndarray]],
    features: np.ndarray,
    truth: np.ndarray,
) -> float:
    """Return the C of the largest area on the inner folds."""
    if len(cs) == 1:
        return cs[0]
    choice = GridSearchCV(machine, {"svm__C": cs}, scoring=_area, cv=splits, refit=False)
    choice.error_score = "raise"  # a fit that fails must not become a choice
    return float(choice.fit(features, truth).best_params_["svm__C"])


def _area(machine: Pipeline, features: np.ndarray, truth: np.ndarray) -> float:
    """Return the AUC of decision values, mean over the classes where there are more than two."""
    scores = machine.decision_function(features)
    wanted = truth if scores.ndim == 1 else truth[:, None] == machine.classes_
    return float(roc_auc_score(wanted, scores))


def _calibrated(fit: CalibratedClassifierCV, warnings: list[str]) -> Fitted:
    """Return the SVM with its sigmoids; without one that would reverse the order of two classes."""
    (fitted,) = fit.calibrated_classifiers_
    sigmoids = np.array([(one.a_, one.b_) for one in fitted.calibrators])  # p = 1 / (1 + exp(a_ f + b_))
    if len(sigmoids) > 1 or sigmoids[0, 0] < 0:
        return Fitted(_arrays(fitted.estimator, sigmoids), warnings)
    warnings.append(
        f"Platt's sigmoid would turn the SVM's order round (slope {-sigmoids[0, 0]:.3g}, by chance of few "
        "images or for want of a signal); its decision values stand for log odds"
    )
    return Fitted(_arrays(fitted.estimator), warnings, calibrated=False)


def _arrays(machine: Pipeline, sigmoids: np.ndarray | None = None) -> SupportVectors:
    """Return a fitted machine as arrays."""
    scaling, kernel, svm = machine
    mean, scale = np.zeros(kernel.n_features_in_), np.ones(kernel.n_features_in_)
    for name, step, part in scaling.transformers_:
        if name == "scaled":
            mean[part], scale[part] = step.mean_, step.scale_
    vectors, gamma = kernel.fitted_[svm.support_], np.array([kernel.gamma_])
    return SupportVectors(mean, scale, vectors, _pairs(svm), svm.intercept_, gamma, sigmoids)


def _pairs(svm: SVC) -> np.ndarray:
    """Return the coefficients of all vectors for each pair of classes [p, m].

    libsvm keeps k - 1 of a vector: those for the other classes in their order. Those of two classes are there
    as they are used.
    """
    if len(svm.classes_) == 2:
        coefficients: np.ndarray = svm.dual_coef_
        return coefficients
    of = np.repeat(np.arange(len(svm.classes_)), svm.n_support_)  # each vector's class
    pairs = list(combinations(range(len(svm.classes_)), 2))
    found = np.zeros((len(pairs), len(of)))
    for row, (first, second) in zip(found, pairs, strict=True):
        row[of == first] = svm.dual_coef_[second - 1, of == first]
        row[of == second] = svm.dual_coef_[first, of == second]
    return found


def _inner_folds(truth: np.ndarray, groups: np.ndarray, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return as many folds, up to three, as leave all classes on both sides of each; none where none do."""
    classes = set(truth.tolist())
    for count in range(_INNER, 1, -1):
        if min(_groups_of_classes(truth, groups).values()) < count:
            continue
        splitter = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
        splits = list(splitter.split(truth, truth, groups))
        if all(set(truth[side].tolist()) == classes for split in splits for side in split):
            return splits
    return []


def _groups_of_classes(truth: np.ndarray, groups: np.ndarray) -> dict[Any, int]:
    """Return how many groups hold images of each class."""
    return {name: len(np.unique(groups[truth == name])) for name in np.unique(truth).tolist()}


def _class_groups(truth: np.ndarray, groups: np.ndarray) -> str:
    counts = _groups_of_classes(truth, groups)
    if truth.dtype == bool:
        return f"{counts[True]} groups with positive images and {counts[False]} with others"
    return f"{min(counts.values())} groups of the rarest class"
