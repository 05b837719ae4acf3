"""Cheap baselines as methods: features of the training images and a classifier of scikit-learn.

They are trained on the same images as the networks; the inner validation images choose the threshold alone.
What is fitted is kept as plain arrays (`trials.models.classifiers`), which say the logits too.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from trials.data.covariates import CovariateCoding
from trials.data.dataset import LesionData
from trials.data.task import Task
from trials.errors import DataError
from trials.methods.base import Method
from trials.methods.boxes import box_columns, box_problems, refuse_without_boxes
from trials.methods.learners import Fitted, Learn, Samples
from trials.models.classical import ClassicalDescription, ClassicalModel, Feature, features_of, save_classical
from trials.models.classifiers import SupportVectors
from trials.models.description import of_data
from trials.models.features import FEATURES
from trials.runs.folder import RunFolder
from trials.runs.predictions import Frozen
from trials.runs.reporter import Reporter
from trials.settings.data import SIZE
from trials.settings.schema import ClassicalSettings

if TYPE_CHECKING:
    from trials.models.frozen_features import FrozenFeatures

MOST_BYTES = 4e9  # of a fit beside its features: an SVM of some 22,000 images; ours


@dataclass(frozen=True)
class Seen:
    """What a classical method looks at: features of the image, its box, and covariates.

    The box is width, height and ratio, as they are (`plain`), or their logarithms (`log`) where the data have
    them; it is standardised, and with `standardised` so are the image's features. With `deep` these are those
    of the method's frozen network.
    """

    features: tuple[Feature, ...] = ()
    box: Literal["plain", "log"] | None = None
    standardised: bool = False
    covariates: bool = True
    deep: bool = False

    @property
    def images(self) -> bool:
        """Whether more is seen than box and covariates."""
        return self.deep or bool(self.features)


class ClassicalMethod(Method):
    """A classifier that `learn` fits on what is `seen` of the images, and on the covariates.

    Raises `DataError` where the box is needed as it is, and not known of all images of the task, and for more
    images than a fit can hold.
    """

    def __init__(self, task: Task, seen: Seen, learn: Learn) -> None:
        self.task, self._seen, self._learn = task, seen, learn
        self._fitted: tuple[Fitted, ClassicalModel] | None = None
        self._warnings: list[str] = []  # about the fit
        self._boxed = seen.box == "plain" or (seen.box == "log" and not self._boxes_lacking())
        known = {
            "images": seen.images,
            "box": self._boxed,
            "covariates": seen.covariates and task.split.coding,
        }
        self.predictors = [name for name, is_seen in known.items() if is_seen]
        self._mirror = task.settings.classical.mirror and seen.images
        changed = task.settings.classical != ClassicalSettings()
        self.sections = frozenset({"data", *(["classical"] if changed else [])})  # type: ignore[misc]
        images = len(task.split.development) * (1 + self._mirror)
        self.memory_bytes, self.seeded = learn.memory_bytes(images), learn.seeded
        if self.memory_bytes > MOST_BYTES:
            needed, most = f"{self.memory_bytes / 1e9:.0f} GB", f"{MOST_BYTES / 1e9:.0f}"
            raise DataError(
                f"{images:,} images to learn from{', mirror images too' * self._mirror}: fitting would take "
                f"{needed} of memory, at most {most} are allowed; draw fewer (--set data.balanced_draw=N, of "
                "each class), or train a network"
            )
        self.disk_bytes = 20_000_000 + 8 * images * sum(FEATURES[name][1] for name in seen.features)
        if self._boxed:  # not as late as `fit`: other members of an ensemble may take hours before that
            for data, _ in task.parts.values():
                refuse_without_boxes(data)

    def _boxes_lacking(self) -> bool:
        """Return whether some image of the task has no box."""
        return any(next(box_problems(data), None) for data, _ in self.task.parts.values())

    @property
    def frozen(self) -> FrozenFeatures | None:
        """The network whose features are seen, if any."""
        return None

    @property
    def model(self) -> ClassicalModel:
        """The fitted model; raises ValueError before `fit`."""
        if self._fitted is None:
            raise ValueError("a classifier that is not fitted: call fit before")
        return self._fitted[1]

    def fit(self, folder: RunFolder, reporter: Reporter, *, refit: bool = False) -> float:
        """Fit the classifier, in one go."""
        start, before = time.perf_counter(), self._fitted
        self._fitted = self._fit(self.task.split.development if refit else self.task.split.training)
        self._warn(self._fitted[0], before[0] if before else None)
        return time.perf_counter() - start

    def _fit(self, training: np.ndarray) -> tuple[Fitted, ClassicalModel]:
        """Fit on the images at `training`, and on their mirror images where those are asked for."""
        data, covariates = self.task.data, self.task.split.coding if self._seen.covariates else None
        own = covariates.columns if covariates else ()
        box = box_columns(data, training, log=self._seen.box == "log") if self._boxed else ()
        coding = CovariateCoding(columns=(*own, *box)) if own or box else None
        coded = coding.code(data.cells(training, coding.names), np.float64) if coding else None
        images = [data.images[i] for i in training]
        views = [images, [image[:, ::-1] for image in images]][: 1 + self._mirror]
        inputs = [features_of(self._seen.features, view, coded, self.frozen) for view in views]
        features = np.concatenate(inputs)
        truth, groups = self._truth(data.labels[training]), np.array(data.groups)[training]
        first = len(covariates.inputs) if covariates else 0
        standardised = slice(first, features.shape[1] if self._seen.standardised else first + len(box))
        truths, all_groups = np.tile(truth, len(views)), np.tile(groups, len(views))
        fitted = self._learn(Samples(features, truths, all_groups, standardised), self.task.seed)
        description = ClassicalDescription(
            **of_data(data),
            covariates=coding,
            classifier="svm" if isinstance(fitted.classifier, SupportVectors) else "logistic_regression",
            features=self._seen.features,
            backbone=self.frozen.card if self.frozen else None,
            mirror=self._mirror,
        )
        return fitted, ClassicalModel(fitted.classifier, description, frozen=self.frozen)

    def _warn(self, fitted: Fitted, before: Fitted | None) -> None:
        notes = list(fitted.warnings)
        if before and before.calibrated != fitted.calibrated:
            notes.append(
                "the refit is calibrated in another way than the fit by which threshold and temperature were "
                "chosen: its decisions may be off, its order is not"
            )
        if self._seen.box == "log" and not self._boxed and set(SIZE) <= self.task.data.table.keys():
            notes.append(
                "width and height are not numbers above 0 for all images: the method does without the box"
            )
        self._warnings += [note for note in notes if note not in self._warnings]

    def warnings(self, folder: Path) -> list[str]:
        """Return the warnings about the fit."""
        return self._warnings

    def logits(self, data: LesionData, indices: np.ndarray) -> np.ndarray:
        """Return the classifier's logits of all classes; raises ValueError before `fit`."""
        if self._boxed:
            refuse_without_boxes(data)
        return self.model.logits_of(data, indices)

    def save(self, folder: RunFolder, frozen: Frozen) -> None:
        """Write the classifier's arrays and its description."""
        save_classical(
            folder.path, replace(self.model, description=self.model.description.with_frozen(frozen))
        )

    def _truth(self, labels: np.ndarray) -> np.ndarray:
        """Return the labels [n]; of two classes whether each is the positive one."""
        return labels == self.task.data.positive_index if self.task.data.known.are_two else labels
