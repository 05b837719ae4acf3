"""Predict image files with trained models, and show how firm each prediction is.

Two spreads, standard deviations of the probability, show firmness: over views, the image as it is and
slightly zoomed and shifted (test-time augmentation), and over models, such as those of all folds. Neither
says that the prediction is right: networks can be wrong together, and firmly.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from search_space.progress import progress
from trials.data.files.decoding import decode
from trials.data.files.grey_range import GreyRange, notes_on
from trials.data.files.image_file import survey
from trials.data.files.paths import is_printable, printable, some
from trials.data.given import image_files
from trials.data.masks.pixels import is_blank
from trials.errors import DataError, ModelError
from trials.files import as_paths
from trials.inference.given_covariates import Given
from trials.inference.prediction_rows import CALIBRATED, Jointly, Row
from trials.inference.prediction_table import new_table
from trials.inference.views import VIEWS
from trials.models.description import ModelDescription
from trials.models.model import Model
from trials.models.model_file import load_model, study_figures
from trials.runs.predictions import in_words

AT_ONCE = 128  # images in memory at a time
Pixels = dict[GreyRange, np.ndarray]  # of one image, by the grey ranges of models


def run_predict(
    model: str | Path,
    images: str | Path | Sequence[str | Path],
    others: str | Path | Sequence[str | Path] = (),
    table: str | Path | None = None,
    covariates: str | Path | None = None,
) -> dict[str, Any]:
    """Return for each image what the model says, its spreads, and the decision, in `predictions`.

    Of two classes that is the probability of the positive one, as the network gives it, which the threshold
    is of. Of more it is the class `called` and of each class the calibrated probability
    `calibrated:CLASS`; `certainty` orders images by how far the call is from another one, and the spreads
    are those of the called class's probability. Images are crops of lesions, like those that the model was
    trained on; a folder stands for all images in it. With `others`, such as the models of other folds, all
    decide together (`Jointly`), each once. Images that cannot be read are named in `left_out`; the rest goes
    on. `table`, a new CSV file, gets a row an image with the same columns, written at once. `covariates` is a
    table of those that the models take (`Given.read`). Raises ValueError for folders without a model,
    models of other classes or another rule than the first or without finite outputs, where no image can be
    read, and where covariates are not given.
    """
    folders = _each_once([Path(model), *as_paths(others)])
    with new_table(None if table is None else Path(table)) as write:
        models = _load(*folders)
        asked = image_files(as_paths(images))
        beside = Given.read(covariates, asked.files, models)
        left_out = asked.left_out
        files, notes = _readable(asked.files, models, left_out)
        joint = Jointly([one.description for one in models])
        rows: list[Row] = []
        blank: list[str] = []
        steps = range(0, len(files), AT_ONCE)
        for start in progress(steps, f"batches of {AT_ONCE} images predicted"):
            read = _decoded(models, files[start : start + AT_ONCE], left_out)
            blank += [str(file) for file, pixels in read.items() if all(map(is_blank, pixels.values()))]
            found = _predicted(models, read, beside, joint)
            write(found)
            rows += found
        if not rows:
            raise DataError("\n".join(left_out) or "no image was named; name files, or folders of images")
    card = models[0].description
    return {
        **_rule(joint),
        "models": len(models),
        "not_for": card.not_for,
        "warnings": [
            f"{folder}: {warning}"
            for folder, one in zip(folders, models, strict=True)
            for warning in one.description.warnings
        ],
        "to_expect": list(dict.fromkeys(line for folder in folders for line in study_figures(folder))),
        "notes": [*asked.notes, *notes, *_on_blank(blank), *beside.notes],
        "left_out": left_out,
        "predictions": rows,
    }


def _each_once(folders: Sequence[Path]) -> list[Path]:
    """Return the folders; the first model may be among the others, as a shell's pattern has it."""
    found = dict[Path, Path]()
    for folder in folders:
        found.setdefault(folder.resolve(), folder)
    return list(found.values())


def _load(first: Path, *others: Path) -> list[Model]:
    """Load the models; raises `ModelError` where they tell different classes apart, or by another rule."""
    models = [load_model(folder) for folder in (first, *others)]
    known, *rest = ((one.description.classes, one.description.positive) for one in models)
    card, *cards = (one.description for one in models)
    for folder, found in zip(others, rest, strict=True):
        if found != known:
            raise ModelError(
                f"{folder}: classes {', '.join(found[0])}, positive {found[1]}; the first model has "
                f"{', '.join(known[0])}, positive {known[1]}: name models of the same classes"
            )
    for folder, other in zip(others, cards, strict=True):
        if (other.frozen.decision.first, other.costs) != (card.frozen.decision.first, card.costs):
            raise ModelError(
                f"{folder}: calls {_called_how(other)}; the first model calls {_called_how(card)}: name "
                "models of one rule"
            )
    return models


def _called_how(card: ModelDescription) -> str:
    return in_words(card.frozen.decision, card.known) + (f" {card.costs}" if card.costs else "")


def _rule(joint: Jointly) -> dict[str, Any]:
    """Return the classes and how an image is called."""
    classes, decision = joint.classes, joint.decision
    threshold = None if decision.first is None else float(expit(decision.cutoff))
    if classes.are_two:
        return {"positive": classes.positive, "threshold": threshold}
    return {
        "classes": list(classes.names),
        "positive": classes.positive,
        "decision": in_words(decision, classes),
        "threshold": threshold,
        "temperature": joint.temperature,
    }


def _readable(
    files: Sequence[Path], models: Sequence[Model], left_out: list[str]
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


def _on_blank(files: Sequence[str]) -> Iterator[str]:
    if files:
        yield f"{len(files)} images are blank ({some(files)}): what is said of them comes from no finding"


def _predicted(
    models: Sequence[Model], read: Mapping[Path, Pixels], beside: Given, joint: Jointly
) -> list[Row]:
    """Return a row for each image."""
    if not read:
        return []
    seen = [[pixels[one.description.grey_range] for pixels in read.values()] for one in models]
    cells = beside.of(list(read))
    given = [
        np.stack([one.logits(pixels, view, cells) for view in VIEWS])
        for one, pixels in zip(models, seen, strict=True)
    ]  # of each model [views, n, k]
    return joint.rows(list(read), given)


def _decoded(models: Sequence[Model], files: Sequence[Path], left_out: list[str]) -> dict[Path, Pixels]:
    """Return the pixels of each file that can be read, by the models' grey ranges; name the others."""
    ranges = dict.fromkeys(one.description.grey_range for one in models)
    read: dict[Path, Pixels] = {}
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
    models = f", {result['models']} models together, ± over models" if result["models"] > 1 else ""
    said = _of_more if "classes" in result else _of_two
    headline, runner_up = _headline(result)
    lines = [
        f"{headline}; not for {result['not_for']}",
        f"± standard deviation over {len(VIEWS)} views (small zooms and shifts){models}{runner_up}",
        *(said(row, result) for row in result["predictions"]),
    ]
    return "\n".join([*lines, *_remarks(result)])


def _headline(result: dict[str, Any]) -> tuple[str, str]:
    if "classes" not in result:
        return f"probability of {result['positive']}, called so from {result['threshold']:.3f} up", ""
    called = f"calibrated probability of the class that each image is called: {result['decision']}"
    return called, "; the likeliest other class and its probability"


def _of_two(row: Row, result: dict[str, Any]) -> str:
    verdict = result["positive"] if row["called_positive"] else f"not {result['positive']}"
    return f"{row['probability']:.3f} {_spreads(row)}  {verdict:20}  {row['file']}"


def _of_more(row: Row, result: dict[str, Any]) -> str:
    shares = {name: row[f"{CALIBRATED}:{name}"] for name in result["classes"]}
    share = shares.pop(row["called"])
    other = max(shares, key=lambda name: shares[name])
    called = f"{row['called']:20}  {shares[other]:.3f} {other:20}"
    return f"{share:.3f} {_spreads(row)}  {called}  {row['file']}"


def _spreads(row: Row) -> str:
    spreads = (row["std_over_views"], row["std_over_models"])
    return " ".join(f"±{spread:.3f}" for spread in spreads if spread is not None)


def table_text(result: dict[str, Any]) -> str:
    """Return how many images a table has, and which were left out, as lines to read."""
    rows = result["predictions"]
    if "classes" in result:
        called = Counter(row["called"] for row in rows)
    else:
        called = Counter({result["positive"]: sum(row["called_positive"] for row in rows)})
    counts = ", ".join(f"{count} called {name}" for name, count in called.items())
    first = f"{len(rows)} images, {counts}; not for {result['not_for']}"
    return "\n".join([first, *_remarks(result)])


def _remarks(result: dict[str, Any]) -> Iterator[str]:
    yield from (f"to expect, by its study's outer folds: {figure}" for figure in result["to_expect"])
    for kind, key in (("warning", "warnings"), ("note", "notes"), ("left out", "left_out")):
        yield from (f"{kind}: {remark}" for remark in result[key])
