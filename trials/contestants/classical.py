"""Cheap baselines as contestants: features of the training images and a classifier of scikit-learn.

They learn from the same training images as the networks; the inner validation images choose the threshold
alone. They leave no model file: scikit-learn's is a pickle, and a run predicts external images itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from trials.contestants.base import Contestant
from trials.data.sources import LesionData
from trials.reporting import Reporter
from trials.run_folder import RunFolder
from trials.task import Task

Features = Callable[[LesionData, np.ndarray], np.ndarray]
Learn = Callable[[np.ndarray, np.ndarray, np.ndarray, int], Any]


class ClassicalContestant(Contestant):
    """`features` (data, indices) give [n, d], `learn` (features, positive, groups, seed) a classifier."""

    def __init__(self, task: Task, features: Features, learn: Learn) -> None:
        self.task, self._features, self._learn = task, features, learn
        self._classifier: Any = None

    def fit(self, folder: RunFolder, reporter: Reporter, *, refit: bool = False) -> float:
        """Fit the classifier, in one go."""
        data, training = self.task.data, self.task.learnt if refit else self.task.split.training
        start = time.perf_counter()
        self._classifier = self._learn(
            self._features(data, training),
            data.labels[training] == self.task.positive,
            np.array(data.groups)[training],
            self.task.seed,
        )
        return time.perf_counter() - start

    def probabilities(self, data: LesionData, indices: np.ndarray) -> np.ndarray:
        """Return the classifier's probability of the positive class."""
        given: np.ndarray = self._classifier.predict_proba(self._features(data, indices))[:, 1]
        return given


def logistic_regression(features: np.ndarray, positive: np.ndarray, groups: np.ndarray, seed: int) -> Any:
    """Fit a logistic regression on standardised features."""
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(features, positive)


def support_vectors(
    features: np.ndarray, positive: np.ndarray, groups: np.ndarray, seed: int, *, standardised: int = 0
) -> Any:
    """Fit an SVM with an RBF kernel, its first `standardised` features standardised.

    Its C is chosen, and its scores become probabilities (Platt's sigmoid), by grouped cross-validation within
    the training images.
    """
    splitter = StratifiedGroupKFold(3, shuffle=True, random_state=seed)
    splits = list(splitter.split(features, positive, groups))
    scaled = [("box", StandardScaler(), slice(standardised))] if standardised else []
    machine = Pipeline([("scaling", ColumnTransformer(scaled, remainder="passthrough")), ("svm", SVC())])
    choice = GridSearchCV(machine, {"svm__C": [0.3, 1, 3, 10, 30]}, scoring="roc_auc", cv=splits, refit=False)
    machine.set_params(**choice.fit(features, positive).best_params_)
    return CalibratedClassifierCV(machine, cv=splits, ensemble=False).fit(features, positive)
