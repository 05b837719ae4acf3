"""A fitted classical model: features of images, covariates, and a classifier as plain arrays.

The features are named ones that nothing learned, or those of a frozen network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from pydantic import model_validator
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as dump_arrays

from trials.data.covariates import Table
from trials.errors import ModelError
from trials.evaluation.decisions import canonical, of_two
from trials.files import write_atomically
from trials.models.classifiers import Classifier, Linear, SupportVectors
from trials.models.description import ModelDescription, write_description
from trials.models.features import FEATURES
from trials.models.model import Model, refuse_other_images
from trials.models.specs import FrozenBackbone
from trials.runs.folder import read
from trials.runs.layout import MODEL_FILE, WEIGHTS

if TYPE_CHECKING:
    from trials.data.augment import Policy
    from trials.models.frozen_features import FrozenFeatures

_BACKBONE = "backbone."  # before the names of a frozen network's weights
Feature = Literal["gradients", "gradient_cells", "statistics"]  # of `FEATURES`
CLASSIFIERS: Mapping[str, type[Classifier]] = {"logistic_regression": Linear, "svm": SupportVectors}


class ClassicalDescription(ModelDescription):
    """What `model.json` holds of a classical model.

    The classifier's inputs are those of the covariates, and behind them the named features or the outputs of
    a frozen `backbone`. With `mirror` the logits are the mean of those for the image and for its mirror
    image, left to right.
    """

    kind: Literal["classical"] = "classical"
    classifier: Literal["logistic_regression", "svm"]
    features: tuple[Feature, ...] = ()
    backbone: FrozenBackbone | None = None
    mirror: bool = False

    @model_validator(mode="after")
    def _sees_one_square(self) -> Self:
        if self.features and self.backbone:
            raise ValueError(f"features {self.features} beside a backbone: expected one of them")
        return self

    @property
    def inputs(self) -> int:
        """How many inputs the classifier has."""
        coded = len(self.covariates.inputs) if self.covariates else 0
        deep = self.backbone.outputs if self.backbone else 0
        return coded + sum(FEATURES[name][1] for name in self.features) + deep

    @property
    def sees_images(self) -> bool:
        """Whether it looks at more than covariates."""
        return bool(self.features or self.backbone)


@dataclass(frozen=True, eq=False)
class ClassicalModel(Model):
    """A classifier of features and covariates, of two classes a classifier of the positive one.

    `frozen` is the backbone that the description names; None: it names none.
    """

    classifier: Classifier
    description: ClassicalDescription
    name: str = "the classifier"  # in errors
    frozen: FrozenFeatures | None = None

    def logits(
        self, images: Sequence[np.ndarray], view: Policy | None = None, covariates: Table | None = None
    ) -> np.ndarray:
        """As `Model.logits`; `view` is of the images in their own size."""
        refuse_other_images(images, self.name)
        card, coded = self.description, self.inputs(covariates, images, np.float64)
        seen = images if view is None else [_seen(image, view) for image in images]
        scores = self._scores(seen, coded)
        if card.mirror:
            scores = (scores + self._scores([image[:, ::-1] for image in seen], coded)) / 2
        index = card.known.index
        return of_two(scores, card.known.positive_of_two) if scores.ndim == 1 else canonical(scores, index)

    def _scores(self, images: Sequence[np.ndarray], coded: np.ndarray | None) -> np.ndarray:
        return self.classifier.scores(features_of(self.description.features, images, coded, self.frozen))


def features_of(
    names: Sequence[str],
    images: Sequence[np.ndarray],
    coded: np.ndarray | None,
    frozen: FrozenFeatures | None = None,
) -> np.ndarray:
    """Return a classifier's inputs, float64 [n, d]: covariates that are `coded` [n, c], then features."""
    parts = [] if coded is None else [coded]
    deep = [frozen.of(images)] if frozen else []
    return np.hstack([*parts, *(FEATURES[name][0](images) for name in names), *deep]).astype(float)


def _seen(image: np.ndarray, view: Policy) -> np.ndarray:
    """Return what a policy of augmentation makes of an image, in bytes."""
    import torch  # late: seconds

    channels_first = np.moveaxis(image.reshape(*image.shape[:2], -1), -1, 0)
    policy = view(torch.from_numpy(channels_first.copy())[None])
    made = (
        policy(torch.zeros(1, dtype=torch.int64), torch.Generator())[0].round().clamp(0, 255).byte().numpy()
    )
    return np.ascontiguousarray(np.moveaxis(made, 0, -1).reshape(*made.shape[1:], *image.shape[2:]))


def save_classical(folder: Path, model: ClassicalModel) -> None:
    """Write `model.json` and the classifier's arrays, beside them a frozen network's weights."""
    deep = model.frozen.network.state_dict(prefix=_BACKBONE) if model.frozen else {}
    weights = {name: weight.cpu().contiguous().numpy() for name, weight in deep.items()}
    write_atomically(folder / WEIGHTS, dump_arrays({**model.classifier.arrays, **weights}))
    write_description(folder, model.description)


def load_classical(folder: Path, description: ClassicalDescription) -> ClassicalModel:
    """Read a classifier's arrays; raises `ModelError` for missing or unfitting ones, and as `read` does."""
    kind, path = CLASSIFIERS[description.classifier], folder / WEIGHTS
    try:
        arrays = load_arrays(read(path))
        deep = {name: arrays.pop(name) for name in list(arrays) if name.startswith(_BACKBONE)}
        classifier = kind.of(arrays, description.inputs, len(description.classes))
        frozen = _restored(description.backbone, deep)
    except (OSError, SafetensorError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError(f"{path}: not the classifier that {MODEL_FILE} describes: {error}") from None
    return ClassicalModel(classifier, description, str(path), frozen)


def _restored(card: FrozenBackbone | None, weights: Mapping[str, np.ndarray]) -> FrozenFeatures | None:
    if card is None and weights:
        raise ValueError(f"weights of a network that it does not name, such as {min(weights)}")
    if card is None:
        return None
    from trials.models.frozen_features import restore_frozen  # late: torch takes seconds

    return restore_frozen(card, {name.removeprefix(_BACKBONE): array for name, array in weights.items()})
