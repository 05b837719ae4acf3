"""A trained model of any kind in use: images in, logits and probabilities out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from trials.data.covariates import Table, own_cells
from trials.data.dataset import LesionData
from trials.errors import ModelError
from trials.evaluation.decisions import log_odds_of, probabilities
from trials.models.description import ModelDescription

if TYPE_CHECKING:
    from trials.data.augment import Policy


class Model(ABC):
    """What a user asks about images; `name` is what errors call it."""

    description: ModelDescription
    name: str

    @abstractmethod
    def logits(
        self, images: Sequence[np.ndarray], view: Policy | None = None, covariates: Table | None = None
    ) -> np.ndarray:
        """Return canonical logits of the classes [n, k]; images are uint8 [h, w] or [h, w, 3].

        `view` makes, as a policy of augmentation does, what the model sees of the images; None: they stay as
        they are. `covariates` are cells by column, one an image; what the model takes as an image's own size
        need not be given. Raises `ModelError` for other images, where the model gives no finite number, and
        where other covariates that it takes are not given.
        """

    def probabilities(
        self, images: Sequence[np.ndarray], view: Policy | None = None, covariates: Table | None = None
    ) -> np.ndarray:
        """Return the classes' probabilities [n, k]; as `logits`."""
        return probabilities(self.logits(images, view, covariates))

    def log_odds(
        self, images: Sequence[np.ndarray], view: Policy | None = None, covariates: Table | None = None
    ) -> np.ndarray:
        """Return the log odds of the positive class against all others [n]; as `logits`.

        Raises ValueError where no class is positive.
        """
        index = self.description.known.index
        if index is None:
            raise ValueError(f"{self.name}: none of its classes is positive; use logits or probabilities")
        return log_odds_of(self.logits(images, view, covariates), index)

    def logits_of(self, data: LesionData, indices: np.ndarray) -> np.ndarray:
        """Return `logits` [n, k] of the images of a data set at `indices`, with the cells of its table."""
        coding = self.description.covariates
        cells = data.cells(indices, coding.names if coding else ())
        return self.logits([data.images[i] for i in indices], covariates=cells)

    def inputs(
        self,
        covariates: Table | None,
        images: Sequence[np.ndarray],
        dtype: type[np.floating[Any]] = np.float32,
    ) -> np.ndarray | None:
        """Return the inputs [n, d] that covariates, cells by column, become; None: it takes none.

        Raises `ModelError` as `logits`, and for another number of images.
        """
        coding = self.description.covariates
        if coding is None:
            return None
        sizes = [own_cells(image.shape[1], image.shape[0]) for image in images]
        own = {name: [size[name] for size in sizes] for name in coding.of_image}
        cells = {**own, **(covariates or {})}
        if missing := [name for name in coding.names if name not in cells]:
            raise ModelError(
                f"{self.name}: takes covariates beside the images; give {', '.join(missing)}, a cell an image"
            )
        if found := {len(cells[name]) for name in coding.names} - {len(images)}:
            raise ModelError(f"{self.name}: {found.pop()} cells of a covariate for {len(images)} images")
        return coding.code(cells, dtype)


def refuse_other_images(images: Sequence[object], name: str) -> None:
    """Raise `ModelError` that names the model for an image that is not uint8 [h, w] or [h, w, 3].

    Such as floats from 0 to 1, of which a model would see black, or a path.
    """
    for number, image in enumerate(images):
        if not isinstance(image, np.ndarray):
            found = type(image).__name__
        elif image.dtype != np.uint8 or image.shape[2:] not in ((), (3,)) or image.ndim < 2 or not image.size:
            found = f"{image.dtype} {list(image.shape)}"
        else:
            continue
        raise ModelError(
            f"{name}: image {number} is {found}; give a list of arrays uint8 [h, w] or [h, w, 3]; files go "
            "to `trials.predict`"
        )


def refuse_not_finite(logits: np.ndarray, name: str) -> None:
    """Raise `ModelError` that names the network where one of its logits [n, k] is not finite."""
    off = np.flatnonzero(~np.isfinite(logits).all(1))
    if len(off):
        raise ModelError(
            f"{name}: gives the logits {logits[off[0]].tolist()} for {len(off)} of {len(logits)} images, "
            "expected finite numbers: its training has diverged or its weights are damaged; put back the "
            "file, or train it again with a lower retrain.learning_rate"
        )
