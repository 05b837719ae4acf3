"""Map what a model of any kind says of images in their own size; its members may see several squares.

Occlusion as of networks (Zeiler and Fergus, ECCV 2014, arXiv 1311.2901), through the whole model. Grad-CAM
is of networks: of an ensemble the mean of its networks' maps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product

import numpy as np

from search_space.progress import progress
from trials.data.covariates import Table
from trials.data.images import from_square
from trials.errors import ExplainError
from trials.evaluation.decisions import log_odds_of
from trials.inference.attributions import WINDOW, network_maps
from trials.models.classical import ClassicalModel
from trials.models.inference_ensemble import leaf_members
from trials.models.model import Model
from trials.models.network import TrainedModel

Images = Sequence[np.ndarray]  # uint8 [h, w] or [h, w, 3]
Attribution = Callable[[Model, Images, np.ndarray, Table | None], list[np.ndarray]]
_AT_ONCE = 16  # covered copies of an image


def mean_grad_cam(
    model: Model, images: Images, classes: np.ndarray, covariates: Table | None = None
) -> list[np.ndarray]:
    """Return the mean of the Grad-CAM maps of an ensemble's networks by their weights, float [h, w] an image.

    `classes`, int [n], are the indices of those that the maps speak for; `covariates` are cells by column.
    Each map is divided by its largest value before, as networks' last maps differ in scale.
    """
    total = [np.zeros(image.shape[:2]) for image in images]
    for leaf, share in leaf_members(model):
        if isinstance(leaf, TrainedModel):
            found = network_maps(leaf, images, ["grad_cam"], classes, covariates)["grad_cam"]
            for place, one, image in zip(total, found, images, strict=True):
                place += share * from_square(_scaled(one), image.shape[:2], leaf.description.fit)
    return total


def _scaled(values: np.ndarray) -> np.ndarray:
    largest = np.abs(values).max()
    return values / largest if largest > 0 else values


def occlusion(
    model: Model, images: Images, classes: np.ndarray, covariates: Table | None = None
) -> list[np.ndarray]:
    """Return by how much the log odds fall where an image's own mean covers it, float [h, w] an image.

    As `attributions.occlusion`, by rectangles of a sixth of height and width; else as `mean_grad_cam`.
    """
    cells = [{name: [column[at]] for name, column in (covariates or {}).items()} for at in range(len(images))]
    given = list(zip(images, classes.tolist(), cells, strict=True))
    return [_occlusion(model, *one) for one in progress(given, "images occluded")]


def _occlusion(model: Model, image: np.ndarray, index: int, cells: Mapping[str, list[str]]) -> np.ndarray:
    def odds(seen: Images) -> np.ndarray:
        given = {name: cell * len(seen) for name, cell in cells.items()} or None
        return log_odds_of(model.logits(seen, covariates=given), index)

    windows, (whole,) = list(_windows(image.shape[:2])), odds([image])
    fall, count = np.zeros((2, *image.shape[:2]))
    for start in range(0, len(windows), _AT_ONCE):
        some = windows[start : start + _AT_ONCE]
        for window, said in zip(some, odds([_covered(image, one) for one in some]), strict=True):
            fall[window] += whole - said
            count[window] += 1
    mean: np.ndarray = fall / count
    return mean


def _covered(image: np.ndarray, window: tuple[slice, slice]) -> np.ndarray:
    covered = image.copy()
    covered[window] = image.mean((0, 1)).round()
    return covered


def _windows(size: tuple[int, ...]) -> Iterator[tuple[slice, slice]]:
    """Yield rectangles that overlap by half and together cover an image of that height and width."""
    rows, columns = (list(_parts(length)) for length in size)
    yield from product(rows, columns)


def _parts(length: int) -> Iterator[slice]:
    window = max(1, length // WINDOW)
    for start in range(0, length, max(1, window // 2)):
        end = min(start + window, length)
        yield slice(end - window, end)
        if end == length:
            return


def attributions_of(model: Model) -> dict[str, Attribution]:
    """Return what maps there are of an ensemble or a classical model, by name.

    Raises `ExplainError` for a model that sees no image.
    """
    leaves = [leaf for leaf, _ in leaf_members(model)]
    if not any(isinstance(one, TrainedModel) or _sees_images(one) for one in leaves):
        raise ExplainError(f"{model.name}: looks at covariates alone, and maps are of images")
    networks = any(isinstance(one, TrainedModel) for one in leaves)
    return {**({"grad_cam": mean_grad_cam} if networks else {}), "occlusion": occlusion}


def _sees_images(model: Model) -> bool:
    return isinstance(model, ClassicalModel) and model.description.sees_images
