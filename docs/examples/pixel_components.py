"""A method in one file: principal components of small grey images, and a logistic regression.

Source of the idea: Turk and Pentland, "Eigenfaces for Recognition", Journal of Cognitive Neuroscience 1991.
What a method must do is in `trials.methods.base.Method`; folds, threshold, temperature, test and report are
the same for all methods.
"""

from __future__ import annotations

import time

import numpy as np
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from trials.data.dataset import LesionData
from trials.data.images import to_tensor
from trials.data.task import Task
from trials.methods.base import Method
from trials.methods.registry import Entry, Title
from trials.runs.folder import RunFolder
from trials.runs.reporter import Reporter

SIDE, COMPONENTS = 32, 10


class PixelComponents(Method):
    """Logistic regression on the first principal components of grey images of 32x32 pixels."""

    seeded = False  # nothing in a fit is random

    def __init__(self, task: Task) -> None:
        self.task = task
        self._fitted: Pipeline | None = None

    def fit(self, folder: RunFolder, reporter: Reporter, *, refit: bool = False) -> float:
        """Fit components and regression on the training images; with `refit` on validation images as well."""
        split, data = self.task.split, self.task.data
        learned = split.development if refit else split.training
        start = time.perf_counter()
        components = PCA(COMPONENTS, svd_solver="full")
        model = make_pipeline(components, StandardScaler(), LogisticRegression())
        self._fitted = model.fit(_pixels(data, learned), data.labels[learned])
        return time.perf_counter() - start

    def logits(self, data: LesionData, indices: np.ndarray) -> np.ndarray:
        """Return log probabilities of all classes [n, k]; raises ValueError before `fit`."""
        if self._fitted is None:
            raise ValueError("logits of a method that is not fitted: call fit first")
        return self._fitted.predict_log_proba(_pixels(data, indices))


def _pixels(data: LesionData, indices: np.ndarray) -> np.ndarray:
    """Return the grey images at `indices`, stretched to 32x32 and flattened: float64 [n, 1024]."""
    images = to_tensor([data.images[index] for index in indices], SIDE, "stretch")
    return images.double().mean(1).flatten(1).numpy()


ENTRY = Entry(
    Title("pixel_components", "pixel components, logistic regression"),
    builder=f"{__name__}:PixelComponents",
)
