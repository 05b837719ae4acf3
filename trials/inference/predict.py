"""Predict image files with trained models, and show how firm each prediction is.

Two spreads, standard deviations of the probability, show firmness: over views, the image as it is and
slightly zoomed and shifted (test-time augmentation), and over models, such as those of all folds. Neither
says that the prediction is right: networks can be wrong together, and firmly.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit
from tqdm import tqdm

from trials.data.files.decoding import decode
from trials.data.files.grey_range import GreyRange, notes_on
from trials.data.files.image_file import survey
from trials.data.files.paths import is_printable, printable
from trials.data.given import image_files
from trials.errors import DataError, ModelError
from trials.evaluation.decisions import Decision, log_odds_of, mean_logits, together
from trials.files import as_paths
from trials.inference.prediction_table import COLUMNS, Row, new_table
from trials.inference.views import VIEWS
from trials.models.model_file import TrainedModel, load_model

AT_ONCE = 128  # images in memory at a time


def run_predict(
    model: str | Path,
    images: str | Path | Sequence[str | Path],
    others: str | Path | Sequence[str | Path] = (),
    table: str | Path | None = None,
) -> dict[str, Any]:
    """Return the probability of the positive class for each image, its spreads, and the decision.

    Images are crops of lesions, like those that the model was trained on; a folder stands for all images in
    it. With `others`, such as the models of other folds, all decide together (`together`). Images that
    cannot be read are named in `left_out`; the rest goes on. `table`, a new CSV file, gets a row an image
    with the columns `COLUMNS`, written at once. Raises ValueError for folders without a model, models of
    other classes than the first or without finite outputs, and where no image can be read.
    """
    folders = [Path(model), *as_paths(others)]
    with new_table(None if table is None else Path(table)) as write:
        models = _load(*folders)
        asked = image_files(as_paths(images))
        left_out = asked.left_out
        files, notes = _readable(asked.files, models, left_out)
        decision = together([one.description.frozen.decision for one in models])
        rows: list[Row] = []
        steps = range(0, len(files), AT_ONCE)
        for start in tqdm(steps, desc="images", file=sys.stderr, disable=None, leave=False):
            some = _predicted(models, files[start : start + AT_ONCE], decision, left_out)
            write(some)
            rows += some
        if not rows:
            raise DataError("\n".join(left_out) or "no image was named; name files, or folders of images")
    card = models[0].description
    return {
        "positive": card.positive,
        "threshold": float(expit(decision.cutoff)),
        "models": len(models),
        "not_for": card.not_for,
        "warnings": [
            f"{folder}: {warning}"
            for folder, one in zip(folders, models, strict=True)
            for warning in one.description.warnings
        ],
        "notes": [*asked.notes, *notes],
        "left_out": left_out,
        "predictions": rows,
    }


def _load(first: Path, *others: Path) -> list[TrainedModel]:
    """Load the models; raises `ModelError` where they tell different classes apart."""
    models = [load_model(folder) for folder in (first, *others)]
    known, *rest = ((one.description.classes, one.description.positive) for one in models)
    for folder, found in zip(others, rest, strict=True):
        if found != known:
            raise ModelError(
                f"{folder}: classes {', '.join(found[0])}, positive {found[1]}; the first model has "
                f"{', '.join(known[0])}, positive {known[1]}: name models of the same classes"
            )
    return models


def _readable(
    files: Sequence[Path], models: Sequence[TrainedModel], left_out: list[str]
) -> tuple[list[Path], list[str]]:
    """Return the files that begin as images, and notes on how their greys are read; name the others."""
    stored = []
    for file in files:
        with _naming(left_out):
            if not is_printable(file):
                raise DataError(f"{printable(file)}: a name that is not UTF-8; rename the file")
            stored.append((file, survey(file)))
    named = [(str(file), one) for file, one in stored]
    ranges = dict.fromkeys(one.description.grey_range for one in models)
    notes = [note for known in ranges for note in notes_on(named, known, own=False)]
    return [file for file, _ in stored], list(dict.fromkeys(notes))


def _predicted(
    models: Sequence[TrainedModel], files: Sequence[Path], decision: Decision, left_out: list[str]
) -> list[Row]:
    """Return a row for each file that can be read; name the others."""
    read = _decoded(models, files, left_out)
    if not read:
        return []
    seen = [[pixels[one.description.grey_range] for pixels in read.values()] for one in models]
    index = models[0].description.known.index or 0
    given = [
        np.stack([one.logits(pixels, view) for view in VIEWS])
        for one, pixels in zip(models, seen, strict=True)
    ]  # of each model [views, n, k]
    odds = log_odds_of(mean_logits(given, index), index)  # [views, n]
    views = expit(odds)
    each = expit([log_odds_of(one[0], index) for one in given])
    over_models = each.std(0, ddof=1).tolist() if len(models) > 1 else [None] * len(read)
    said = (views[0].tolist(), odds[0].tolist(), views.std(0, ddof=1).tolist(), over_models)
    called = (odds[0] >= decision.cutoff).tolist()
    return [
        dict(zip(COLUMNS, (str(file), *values), strict=True))
        for file, *values in zip(read, *said, called, strict=True)
    ]


def _decoded(
    models: Sequence[TrainedModel], files: Sequence[Path], left_out: list[str]
) -> dict[Path, dict[GreyRange, np.ndarray]]:
    """Return the pixels of each file that can be read, by the models' grey ranges; name the others."""
    ranges = dict.fromkeys(one.description.grey_range for one in models)
    read: dict[Path, dict[GreyRange, np.ndarray]] = {}
    for file in files:
        with _naming(left_out):
            read[file] = {known: decode(file, grey_range=known) for known in ranges}
    return read


@contextmanager
def _naming(left_out: list[str]) -> Iterator[None]:
    try:
        yield
    except DataError as error:
        left_out.append(str(error))


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
    first = f"{len(rows)} images, {called} called {result['positive']}; not for {result['not_for']}"
    return "\n".join([first, *_remarks(result)])


def _remarks(result: dict[str, Any]) -> Iterator[str]:
    for kind, key in (("warning", "warnings"), ("note", "notes"), ("left out", "left_out")):
        yield from (f"{kind}: {remark}" for remark in result[key])
