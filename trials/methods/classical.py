"""Cheap baselines as methods: features of the training images and a classifier of scikit-learn.

They are trained on the same images as the networks; the inner validation images choose the threshold alone.
They leave no model file, as scikit-learn's is a pickle; a run predicts external images itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from trials.data.dataset import LesionData
from trials.data.task import Task
from trials.evaluation.decisions import of_two
from trials.methods.base import Method
from trials.runs.folder import RunFolder
from trials.runs.reporter import Reporter

Features = Callable[[LesionData, np.ndarray], np.ndarray]
_CS = (0.3, 1, 3, 10, 30)  # among which an SVM's C is chosen; ours
_INNER = 3  # inner folds, of fewer groups fewer; ours
_TINY = 1e-300  # a probability above 0
_UNCHOSEN_C = 1.0  # where nothing can choose it: scikit-learn's default


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fitted classifier: a function from features [n, d] to logits, and warnings about the fit.

    Of two classes the logits are the log odds of the positive one [n], of more those of each [n, k]. Unless
    `calibrated`, they are the classifier's own scores, of any scale.
    """

    logits: Callable[[np.ndarray], np.ndarray]
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
                self._truth(data.labels[training]),
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

    def logits(self, data: LesionData, indices: np.ndarray) -> np.ndarray:
        """Return the classifier's logits of all classes; raises ValueError before `fit`."""
        if self._fitted is None:
            raise ValueError("logits of a classifier that is not fitted: call fit before")
        found = self._fitted.logits(self._features(data, indices))
        return found if found.ndim == 2 else of_two(found, self.task.data.known.positive_of_two)

    def _truth(self, labels: np.ndarray) -> np.ndarray:
        """Return the labels [n]; of two classes whether each is the positive one."""
        return labels == self.task.data.positive_index if self.task.data.known.are_two else labels


def logistic_regression(features: np.ndarray, truth: np.ndarray, groups: np.ndarray, seed: int) -> Fitted:
    """Fit a logistic regression on standardised features: of more than two classes a multinomial one."""
    fitted = make_pipeline(StandardScaler(), LogisticRegression()).fit(features, truth)
    return Fitted(fitted.decision_function)


def support_vectors(
    features: np.ndarray, truth: np.ndarray, groups: np.ndarray, seed: int, *, standardised: int = 0
) -> Fitted:
    """Fit an SVM with an RBF kernel, its first `standardised` features standardised.

    Grouped cross-validation within the training images chooses its C, by the AUC of each class against the
    rest, and turns its decision values into log odds by Platt's sigmoid, of more than two classes one for
    each, normalised. With too few groups of a class for that, C is scikit-learn's default and the decision
    values stand for log odds; they do so too where the sigmoid would reverse their order, which it can by
    chance for few groups. Warnings say so.
    """
    scaled = [("box", StandardScaler(), slice(standardised))] if standardised else []
    machine = Pipeline([("scaling", ColumnTransformer(scaled, remainder="passthrough")), ("svm", SVC())])
    splits = _inner_folds(truth, groups, seed)
    if not splits:
        fitted = machine.set_params(svm__C=_UNCHOSEN_C).fit(features, truth)
        note = (
            f"{_class_groups(truth, groups)} to train on: too few to choose the SVM's C and calibrate it "
            f"by cross-validation; C is {_UNCHOSEN_C:g}, its decision values stand for log odds"
        )
        return Fitted(fitted.decision_function, [note], calibrated=False)
    choice = GridSearchCV(machine, {"svm__C": _CS}, scoring=_area, cv=splits, refit=False)
    choice.error_score = "raise"  # a fit that fails must not become a choice
    machine.set_params(**choice.fit(features, truth).best_params_)
    warnings = []
    if len(splits) < _INNER:
        few = _class_groups(truth, groups)
        warnings.append(
            f"{few} to train on: the SVM's C is chosen by {len(splits)} inner folds, not {_INNER}"
        )
    calibrated = CalibratedClassifierCV(machine, cv=splits, ensemble=False).fit(features, truth)
    if truth.dtype == bool:
        return _of_two_classes(calibrated, warnings)
    return Fitted(lambda given: np.log(np.maximum(calibrated.predict_proba(given), _TINY)), warnings)


def _area(machine: Pipeline, features: np.ndarray, truth: np.ndarray) -> float:
    """Return the AUC of decision values, mean over the classes where there are more than two."""
    scores = machine.decision_function(features)
    wanted = truth if scores.ndim == 1 else truth[:, None] == machine.classes_
    return float(roc_auc_score(wanted, scores))


def _of_two_classes(calibrated: CalibratedClassifierCV, warnings: list[str]) -> Fitted:
    """Return the log odds, which probabilities would lose where they round to 1."""
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
