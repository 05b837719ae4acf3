"""What keeping an SVM's kernel as a matrix gains: the whole fit against one with libsvm's own kernel.

Made-up features, as many as HOG has; five values of C in three inner folds, and Platt's sigmoid. CPU seconds
of one thread, so that other work on the machine counts less.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

from benchmarks.measure import Timings, cpu_seconds, ratio, row, save, take_turns
from trials.methods.learners import Samples, SVMLearner
from trials.models.features import FEATURES

THEIRS, OURS = "libsvm's kernel", "ours"
ROUNDS, IMAGES = 5, (250, 1000)


def samples(images: int) -> Samples:
    random = np.random.default_rng(0)
    truth = np.arange(images) % 2 == 1
    features = random.normal(size=(images, FEATURES["gradients"][1])) + truth[:, None] / 40
    return Samples(features, truth, np.arange(images).astype(str))


def fit_theirs(made: Samples) -> None:
    """Choose C, calibrate and fit as `SVMLearner` does."""
    splits = list(
        StratifiedGroupKFold(3, shuffle=True, random_state=0).split(made.truth, made.truth, made.groups)
    )
    search = GridSearchCV(SVC(), {"C": SVMLearner().cs}, scoring="roc_auc", cv=splits, refit=False)
    chosen = search.fit(made.features, made.truth).best_params_
    CalibratedClassifierCV(SVC(**chosen), cv=splits, ensemble=False).fit(made.features, made.truth)


def rows(timings: dict[int, Timings]) -> list[dict[str, Any]]:
    """Return how many times as long libsvm's kernel takes."""
    return [
        row(f"an SVM's fit, {images:,} images: libsvm's kernel / ours", ratio(taken, THEIRS, OURS), "times")
        for images, taken in timings.items()
    ]


def main() -> None:
    timings = {}
    with threadpool_limits(1):
        for images in IMAGES:
            made = samples(images)
            candidates = {THEIRS: partial(fit_theirs, made), OURS: partial(SVMLearner(), made, 0)}
            timings[images] = take_turns(candidates, ROUNDS, cpu_seconds)
    raw = {str(images): taken for images, taken in timings.items()}
    save("svm", rows(timings), "python -m benchmarks.speed.svm", timings=raw)


if __name__ == "__main__":
    main()
