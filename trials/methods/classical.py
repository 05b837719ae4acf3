"""Cheap baselines as methods: features of the training images and a classifier of scikit-learn.

They are trained on the same images as the networks; the inner validation images choose the threshold alone.
They leave no model file, as scikit-learn's is a pickle; a run predicts external images itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from trials.data.dataset import LesionData
from trials.data.task import Task
from trials.methods.base import Method
from trials.runs.folder import RunFolder
from trials.runs.reporter import Reporter

Features = Callable[[LesionData, np.ndarray], np.ndarray]
_CS = (0.3, 1, 3, 10, 30)  # among which an SVM's C is chosen; ours
_INNER = 3  # inner folds, of fewer groups fewer; ours
_UNCHOSEN_C = 1.0  # where nothing can choose it: scikit-learn's default


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fitted classifier: a function from features [n, d] to log odds [n], and warnings about the fit.

    Unless `calibrated`, the log odds are the classifier's own scores, of any scale.
    """

    log_odds: Callable[[np.ndarray], np.ndarray]
    warnings: Sequence[str] = ()
    calibrated: bool = True


Learn = Callable[[np.ndarray, np.ndarray, np.ndarray, int], Fitted]


class ClassicalMethod(Method):
    """A classifier that `learn` fits on the features [n, d] that `features` gives of (data, indices)."""

    def __init__(self, task: Task, features: Features, learn: Learn) -> None:
        self.task, self._features, self._learn = task, features, learn
        self._fitted: Fitted | None = None
        self._warnings: list[str] = []  # about the fit

    def fit(self, folder: RunFolder, reporter: Reporter, *, refit: bool = False) -> float:
        """Fit the classifier, in one go."""
        data, training = self.task.data, self.task.split.development if refit else self.task.split.training
        start = time.perf_counter()
        before, self._fitted = (
            self._fitted,
            self._learn(
                self._features(data, training),
                data.labels[training] == self.task.data.positive_index,
                np.array(data.groups)[training],
                self.task.seed,
            ),
        )
        self._warnings += [note for note in self._fitted.warnings if note not in self._warnings]
        if before and before.calibrated != self._fitted.calibrated:
            self._warnings.append(
                "the refit is calibrated in another way than the fit by which threshold and temperature were "
                "chosen: its decisions may be off, its order is not"
            )
        return time.perf_counter() - start

    def warnings(self, folder: Path) -> list[str]:
        """Return the warnings about the fit."""
        return self._warnings

    def log_odds(self, data: LesionData, indices: np.ndarray) -> np.ndarray:
        """Return the classifier's log odds of the positive class; raises ValueError before `fit`."""
        if self._fitted is None:
            raise ValueError("log odds of a classifier that is not fitted: call fit before")
        return self._fitted.log_odds(self._features(data, indices))


def logistic_regression(features: np.ndarray, positive: np.ndarray, groups: np.ndarray, seed: int) -> Fitted:
    """Fit a logistic regression on standardised features."""
    fitted = make_pipeline(StandardScaler(), LogisticRegression()).fit(features, positive)
    return Fitted(fitted.decision_function)


def support_vectors(
    features: np.ndarray, positive: np.ndarray, groups: np.ndarray, seed: int, *, standardised: int = 0
) -> Fitted:
    """Fit an SVM with an RBF kernel, its first `standardised` features standardised.

    Grouped cross-validation within the training images chooses its C and turns its decision values into log
    odds by Platt's sigmoid. With too few groups of a class for that, C is scikit-learn's default and the
    decision values stand for log odds; they do so too where the sigmoid would reverse their order, which it
    can by chance for few groups. Warnings say so.
    """
    scaled = [("box", StandardScaler(), slice(standardised))] if standardised else []
    machine = Pipeline([("scaling", ColumnTransformer(scaled, remainder="passthrough")), ("svm", SVC())])
    splits = _inner_folds(positive, groups, seed)
    if not splits:
        fitted = machine.set_params(svm__C=_UNCHOSEN_C).fit(features, positive)
        note = (
            f"{_class_groups(positive, groups)} to train on: too few to choose the SVM's C and calibrate it "
            f"by cross-validation; C is {_UNCHOSEN_C:g}, its decision values stand for log odds"
        )
        return Fitted(fitted.decision_function, [note], calibrated=False)
    choice = GridSearchCV(machine, {"svm__C": _CS}, scoring="roc_auc", cv=splits, refit=False)
    choice.error_score = "raise"  # a fit that fails must not become a choice
    machine.set_params(**choice.fit(features, positive).best_params_)
    warnings = []
    if len(splits) < _INNER:
        few = _class_groups(positive, groups)
        warnings.append(
            f"{few} to train on: the SVM's C is chosen by {len(splits)} inner folds, not {_INNER}"
        )
    calibrated = CalibratedClassifierCV(machine, cv=splits, ensemble=False).fit(features, positive)
    (fitted,) = calibrated.calibrated_classifiers_
    (sigmoid,) = fitted.calibrators  # p = 1 / (1 + exp(a_ f + b_)) of decision values f
    values = fitted.estimator.decision_function
    if sigmoid.a_ < 0:
        return Fitted(lambda given: -(sigmoid.a_ * values(given) + sigmoid.b_), warnings)
    warnings.append(
        f"Platt's sigmoid would turn the SVM's order round (slope {-sigmoid.a_:.3g}, by chance of few images "
        "or for want of a signal); its decision values stand for log odds"
    )
    return Fitted(values, warnings, calibrated=False)


def _inner_folds(positive: np.ndarray, groups: np.ndarray, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return as many folds, up to three, as leave both classes on both sides of each; none where none do."""
    for count in range(_INNER, 1, -1):
        if min(_groups_of_classes(positive, groups)) < count:
            continue
        splitter = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
        splits = list(splitter.split(positive, positive, groups))
        if all(0 < positive[side].sum() < len(side) for split in splits for side in split):
            return splits
    return []


def _groups_of_classes(positive: np.ndarray, groups: np.ndarray) -> tuple[int, int]:
    return len(np.unique(groups[positive])), len(np.unique(groups[~positive]))


def _class_groups(positive: np.ndarray, groups: np.ndarray) -> str:
    with_positive, with_negative = _groups_of_classes(positive, groups)
    return f"{with_positive} groups with positive images and {with_negative} with others"
