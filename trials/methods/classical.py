"""Cheap baselines as methods: features of the training images and a classifier of scikit-learn.

They are trained on the same images as the networks; the inner validation images choose the threshold alone.
What is fitted is kept as plain arrays (`trials.models.classifiers`), which say the logits too.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from trials.data.covariates import CovariateCoding
from trials.data.dataset import LesionData
from trials.data.task import Task
from trials.methods.base import Method
from trials.methods.boxes import box_columns, box_problems, refuse_without_boxes
from trials.models.classical import ClassicalDescription, ClassicalModel, Feature, features_of, save_classical
from trials.models.classifiers import Classifier, Linear, SupportVectors
from trials.models.description import of_data
from trials.models.features import FEATURES
from trials.runs.folder import RunFolder
from trials.runs.predictions import Frozen
from trials.runs.reporter import Reporter
from trials.settings.schema import SIZE, ClassicalSettings

if TYPE_CHECKING:
    from trials.models.frozen_features import FrozenFeatures

_CS = (0.3, 1, 3, 10, 30)  # among which an SVM's C is chosen; ours
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


class Learn(Protocol):
    """Fits a classifier to features [n, d] of images of groups [n].

    `truth` [n] says of two classes which images are positive, of more the labels. Those features are
    standardised which `standardised` picks, and others where that is the way of the classifier.
    """

    def __call__(
        self, features: np.ndarray, truth: np.ndarray, groups: np.ndarray, seed: int, standardised: slice
    ) -> Fitted:
        """Return the classifier."""


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

    Raises `DataError` where the box is needed as it is, and not known of all images of the task.
    """

    def __init__(self, task: Task, seen: Seen, learn: Learn) -> None:
        self.task, self._seen, self._learn = task, seen, learn
        self._fitted: tuple[Fitted, ClassicalModel] | None = None
        self._warnings: list[str] = []  # about the fit
        self._boxed = seen.box == "plain" or (seen.box == "log" and not self._boxes_lacking())
        self._mirror = task.settings.classical.mirror and seen.images
        changed = task.settings.classical != ClassicalSettings()
        self.sections = frozenset({"data", *(["classical"] if changed else [])})  # type: ignore[misc]
        images = len(task.split.development) * (1 + self._mirror)
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
        fitted = self._learn(
            features, np.tile(truth, len(views)), np.tile(groups, len(views)), self.task.seed, standardised
        )
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


def logistic_regression(
    features: np.ndarray, truth: np.ndarray, groups: np.ndarray, seed: int, standardised: slice = slice(0)
) -> Fitted:
    """Fit a logistic regression on features that are all standardised: of more classes a multinomial one."""
    scaler, fitted = make_pipeline(StandardScaler(), LogisticRegression()).fit(features, truth)
    return Fitted(Linear(scaler.mean_, scaler.scale_, fitted.coef_, fitted.intercept_))


def support_vectors(
    features: np.ndarray,
    truth: np.ndarray,
    groups: np.ndarray,
    seed: int,
    standardised: slice = slice(0),
    *,
    cs: Sequence[float] = _CS,
) -> Fitted:
    """Fit an SVM with an RBF kernel.

    Grouped cross-validation within the training images chooses its C among `cs`, by the AUC of each class
    against the rest, and turns its decision values into log odds by Platt's sigmoid, of more than two classes
    one for each, normalised. With too few groups of a class for that, C is scikit-learn's default, or the
    only one of `cs`, and the decision values stand for log odds; they do so too where the sigmoid would
    reverse their order, which it can by chance for few groups. Warnings say so.
    """
    machine = _machine(standardised)
    splits = _inner_folds(truth, groups, seed)
    if not splits:
        chosen = _UNCHOSEN_C if len(cs) > 1 else cs[0]
        fitted = machine.set_params(svm__C=chosen).fit(features, truth)
        note = (
            f"{_class_groups(truth, groups)} to train on: too few to choose the SVM's C and calibrate it "
            f"by cross-validation; C is {chosen:g}, its decision values stand for log odds"
        )
        return Fitted(_arrays(fitted, features), [note], calibrated=False)
    machine.set_params(svm__C=_choose(machine, cs, splits, features, truth))
    warnings = []
    if len(splits) < _INNER:
        few = _class_groups(truth, groups)
        warnings.append(
            f"{few} to train on: the SVM's C is chosen by {len(splits)} inner folds, not {_INNER}"
        )
    calibrated = CalibratedClassifierCV(machine, cv=splits, ensemble=False).fit(features, truth)
    return _calibrated(calibrated, features, warnings)


def _machine(standardised: slice) -> Pipeline:
    """Return an SVM of features of which some are standardised; all stay in their places."""
    before = ("before", "passthrough", slice(standardised.start or 0))
    scaled = [before, ("scaled", StandardScaler(), standardised)] if _length(standardised) else []
    return Pipeline([("scaling", ColumnTransformer(scaled, remainder="passthrough")), ("svm", SVC())])


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


def _calibrated(fit: CalibratedClassifierCV, features: np.ndarray, warnings: list[str]) -> Fitted:
    """Return the SVM with its sigmoids; without one that would reverse the order of two classes."""
    (fitted,) = fit.calibrated_classifiers_
    sigmoids = np.array([(one.a_, one.b_) for one in fitted.calibrators])  # p = 1 / (1 + exp(a_ f + b_))
    if len(sigmoids) > 1 or sigmoids[0, 0] < 0:
        return Fitted(_arrays(fitted.estimator, features, sigmoids), warnings)
    warnings.append(
        f"Platt's sigmoid would turn the SVM's order round (slope {-sigmoids[0, 0]:.3g}, by chance of few "
        "images or for want of a signal); its decision values stand for log odds"
    )
    return Fitted(_arrays(fitted.estimator, features), warnings, calibrated=False)


def _arrays(machine: Pipeline, features: np.ndarray, sigmoids: np.ndarray | None = None) -> SupportVectors:
    """Return a fitted machine as arrays; `features` are those that it was fitted on."""
    scaling, svm = machine
    scaled = scaling.transform(features)
    mean, scale = np.zeros(scaled.shape[1]), np.ones(scaled.shape[1])
    for name, step, part in scaling.transformers_:
        if name == "scaled":
            mean[part], scale[part] = step.mean_, step.scale_
    spread = scaled.var()
    gamma = 1 / (scaled.shape[1] * spread) if spread else 1.0  # scikit-learn's "scale"
    return SupportVectors(
        mean, scale, svm.support_vectors_, _pairs(svm), svm.intercept_, np.array([gamma]), sigmoids
    )


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
