"""Prediction: what trained models say of image files, and how firmly.

Firmness is shown by two spreads, standard deviations of the probability: over views, the image as it is and
slightly zoomed and shifted (test-time augmentation), and over models, such as those of all folds. Neither
says that the answer is right: networks can be wrong alike, and firmly.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.special import expit
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from trials.data.augment import Plain, Policy, RandomCenterCropping
from trials.data.given import image_files
from trials.data.readers.decoding import decode
from trials.data.readers.grey_range import GreyRange, notes_on
from trials.data.readers.image_file import survey
from trials.data.readers.paths import is_printable, printable
from trials.errors import DataError, ModelError
from trials.evaluation.calibration import mean_log_odds
from trials.models.model_file import TrainedModel, load_model


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


Row = dict[str, Any]  # of an image: its file and the columns below
COLUMNS = ("file", "probability", "log_odds", "std_over_views", "std_over_models", "called_positive")
TOGETHER = 128  # images in memory at a time


def run_predict(
    model: Path, images: Sequence[Path], others: Sequence[Path] = (), table: Path | None = None
) -> dict[str, Any]:
    """Return the probability of the positive class for each image, its spread, and the decision.

    Images are crops of lesions, like those that the model was trained on; a folder stands for all that it
    holds. With `others`, such as the models of other folds, all decide together: mean probability against
    mean frozen threshold, as log odds. What cannot be read is named in `left_out`, and the rest goes on.
    `table`, a new CSV file, has a row an image with the columns `COLUMNS`, written as they come. Raises
    ValueError for folders that hold no model, models of other classes than the first or without finite
    outputs, and where no image can be read.
    """
    with _new_table(table) as write:
        models = [load_model(folder) for folder in (model, *others)]
        for folder, one in zip(others, models[1:], strict=True):
            _refuse_other_classes(models[0], one, folder)
        asked = image_files(images)
        left_out = asked.left_out
        files, notes = _readable(asked.files, models, left_out)
        cutoff = float(mean_log_odds([one.description.cutoff for one in models]))
        rows: list[Row] = []
        steps = range(0, len(files), TOGETHER)
        for start in tqdm(steps, desc="images", file=sys.stderr, disable=None, leave=False):
            some = _predicted(models, files[start : start + TOGETHER], cutoff, left_out)
            write(some)
            rows += some
        if not rows:
            raise DataError("\n".join(left_out) or "no image was named; name files, or folders of images")
    card = models[0].description
    return {
        "positive": card.positive,
        "threshold": float(expit(cutoff)),
        "models": len(models),
        "not_for": card.not_for,
        "warnings": [
            f"{folder}: {warning}"
            for folder, one in zip((model, *others), models, strict=True)
            for warning in one.description.cautions
        ],
        "notes": [*asked.notes, *notes],
        "left_out": left_out,
        "predictions": rows,
    }


@contextmanager
def _new_table(path: Path | None) -> Iterator[Callable[[Sequence[Row]], None]]:
    """Yield what writes rows to a new file, which stays when its maker is stopped; None: to nowhere."""
    if path is None:
        yield lambda rows: None
        return
    with path.open("x", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()

        def write(rows: Sequence[Row]) -> None:
            writer.writerows(row | {"called_positive": int(row["called_positive"])} for row in rows)
            file.flush()

        head = file.tell()
        try:
            yield write
        except BaseException:
            if file.tell() == head:  # nothing came of it
                path.unlink(missing_ok=True)
            raise


def _readable(
    files: Sequence[Path], models: Sequence[TrainedModel], left_out: list[str]
) -> tuple[list[Path], list[str]]:
    """Return the files that begin as images, and notes on how their greys are read; name the others."""
    stored = []
    for file in files:
        with _left_out(left_out):
            if not is_printable(file):
                raise DataError(f"{printable(file)}: a name that is not UTF-8; rename the file")
            stored.append((file, survey(file)))
    named = [(str(file), one) for file, one in stored]
    ranges = dict.fromkeys(one.description.grey_range for one in models)
    notes = [note for known in ranges for note in notes_on(named, known, own=False)]
    return [file for file, _ in stored], list(dict.fromkeys(notes))


def _predicted(
    models: Sequence[TrainedModel], files: Sequence[Path], cutoff: float, left_out: list[str]
) -> list[Row]:
    """Return a row for each file that can be read; name the others."""
    ranges = dict.fromkeys(one.description.grey_range for one in models)
    read: dict[Path, dict[GreyRange, np.ndarray]] = {}
    for file in files:
        with _left_out(left_out):
            read[file] = {known: decode(file, grey_range=known) for known in ranges}
    if not read:
        return []
    seen = [[pixels[one.description.grey_range] for pixels in read.values()] for one in models]
    given = np.array(
        [[one.log_odds(pixels, view) for view in VIEWS] for one, pixels in zip(models, seen, strict=True)]
    )  # [models, views, n]
    odds = mean_log_odds(given)  # [views, n]
    views = expit(odds)
    over_models = expit(given[:, 0]).std(0, ddof=1).tolist() if len(models) > 1 else [None] * len(read)
    said = (views[0].tolist(), odds[0].tolist(), views.std(0, ddof=1).tolist(), over_models)
    called = (odds[0] >= cutoff).tolist()
    return [
        dict(zip(COLUMNS, (str(file), *values), strict=True))
        for file, *values in zip(read, *said, called, strict=True)
    ]


@contextmanager
def _left_out(reasons: list[str]) -> Iterator[None]:
    try:
        yield
    except DataError as error:
        reasons.append(str(error))


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
    for row in result["predictions"]:
        verdict = positive if row["called_positive"] else f"not {positive}"
        spread = f"±{row['std_over_views']:.3f}" + (f" ±{row['std_over_models']:.3f}" if together else "")
        lines.append(f"{row['probability']:.3f} {spread}  {verdict:20}  {row['file']}")
    return "\n".join([*lines, *_remarks(result)])


def table_text(result: dict[str, Any]) -> str:
    """Return how many images a table has, and which were left out, as lines to read."""
    rows = result["predictions"]
    called = sum(row["called_positive"] for row in rows)
    told = f"{len(rows)} images, {called} called {result['positive']}; not for {result['not_for']}"
    return "\n".join([told, *_remarks(result)])


def _remarks(result: dict[str, Any]) -> Iterator[str]:
    for kind, key in (("warning", "warnings"), ("note", "notes"), ("left out", "left_out")):
        yield from (f"{kind}: {remark}" for remark in result[key])
