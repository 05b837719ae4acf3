"""Prediction: what trained models say of image files, and how firmly.

Firmness is shown by two spreads, standard deviations of the probability: over views, the image as it is and
slightly zoomed and shifted (test-time augmentation), and over models, such as those of all folds. Neither
says that the answer is right: networks can be wrong alike, and firmly.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from trials.data.augment import Plain, Policy, RandomCenterCropping
from trials.data.decoding import decode_all
from trials.model_file import ModelError, TrainedModel, load_model


class Moved(Plain):
    """Images zoomed about their centre and shifted, both as shares of the side; the border is repeated."""

    def __init__(
        self,
        images: Tensor,
        crop: RandomCenterCropping | None = None,
        *,
        zoom: float = 1.0,
        right: float = 0.0,
        down: float = 0.0,
    ) -> None:
        super().__init__(images, crop)
        self._matrix = torch.tensor([[1 / zoom, 0, -2 * right], [0, 1 / zoom, -2 * down]])

    def __call__(self, indices: Tensor, generator: torch.Generator) -> Tensor:
        """As `Plain`."""
        batch = super().__call__(indices, generator)
        matrices = self._matrix.to(batch.device).expand(len(batch), 2, 3)
        grid = functional.affine_grid(matrices, list(batch.shape), align_corners=False)
        return functional.grid_sample(batch, grid, padding_mode="border", align_corners=False)


# The image as it is comes first. Half of what training with "ultrasound" draws at most; ours. A mirror image
# is no view of its own: a model that was made to look at it does so in each.
VIEWS: tuple[Policy, ...] = (
    Plain,
    *(partial(Moved, zoom=zoom) for zoom in (0.95, 1.05)),
    *(partial(Moved, right=shift) for shift in (-0.025, 0.025)),
    *(partial(Moved, down=shift) for shift in (-0.025, 0.025)),
)


def run_predict(model: Path, images: Sequence[Path], others: Sequence[Path] = ()) -> dict[str, Any]:
    """Return the probability of the positive class for each image, its spread, and the decision.

    Images are crops of lesions, like those that the model was trained on. With `others`, such as the models
    of other folds, all decide together: mean probability against mean frozen threshold. Raises ValueError for
    folders that hold no model, models of other classes than the first, and files that are no images.
    """
    models = [load_model(folder) for folder in (model, *others)]
    for folder, one in zip(others, models[1:], strict=True):
        _refuse_other_classes(models[0], one, folder)
    ranges = dict.fromkeys(one.description.grey_range for one in models)
    read = {grey_range: decode_all(images, grey_range) for grey_range in ranges}
    given = np.array(
        [[one.probabilities(read[one.description.grey_range][0], view) for view in VIEWS] for one in models]
    )  # [models, views, n]
    threshold = float(np.mean([one.description.threshold for one in models]))
    together = given.mean(0)  # [views, n]
    over_models = given[:, 0].std(0, ddof=1).tolist() if others else [None] * len(images)
    card = models[0].description
    return {
        "positive": card.positive,
        "threshold": threshold,
        "models": len(models),
        "not_for": card.not_for,
        "warnings": [
            f"{folder}: {warning}"
            for folder, one in zip((model, *others), models, strict=True)
            for warning in one.description.warnings
        ],
        "notes": list(dict.fromkeys(note for _, notes in read.values() for note in notes)),
        "predictions": [
            {
                "file": str(path),
                "probability": p,
                "spread_over_views": of_views,
                "spread_over_models": of_models,
                "called_positive": p >= threshold,
            }
            for path, p, of_views, of_models in zip(
                images, together[0].tolist(), together.std(0, ddof=1).tolist(), over_models, strict=True
            )
        ],
    }


def _refuse_other_classes(first: TrainedModel, other: TrainedModel, folder: Path) -> None:
    known, found = ((one.description.classes, one.description.positive) for one in (first, other))
    if found != known:
        raise ModelError(
            f"{folder}: tells {' from '.join(found[0])}, positive {found[1]}; the first model tells "
            f"{' from '.join(known[0])}, positive {known[1]}: name models of the same question"
        )


def text(result: dict[str, Any]) -> str:
    """Return predictions as lines to read."""
    positive, together = result["positive"], result["models"] > 1
    models = f", {result['models']} models together, ± over models" if together else ""
    lines = [
        f"probability of {positive}, called so from {result['threshold']:.3f} up; "
        f"not for {result['not_for']}",
        f"± standard deviation over {len(VIEWS)} views (small zooms and shifts){models}",
    ]
    lines += [f"warning: {warning}" for warning in result["warnings"]]
    for row in result["predictions"]:
        verdict = positive if row["called_positive"] else f"not {positive}"
        spread = f"±{row['spread_over_views']:.3f}" + (
            f" ±{row['spread_over_models']:.3f}" if together else ""
        )
        lines.append(f"{row['probability']:.3f} {spread}  {verdict:20}  {row['file']}")
    return "\n".join([*lines, *(f"note: {note}" for note in result["notes"])])
