"""Explain what a trained model looked at: maps over what it saw, with a sanity check.

A map shows where, never why. Whether it depends on what was learned at all is tested as by Adebayo et al.,
NeurIPS 2018, arXiv 1810.03292: with random weights it must become another map.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from search_space.strict_json import dump_json
from trials.data.covariates import Table
from trials.data.files.decoding import decode_all
from trials.data.given import image_files
from trials.data.images import from_square
from trials.data.new_folder import new_folder
from trials.errors import DataError, ExplainError, install
from trials.evaluation.decisions import probabilities
from trials.evaluation.measures import spearman
from trials.files import as_paths, write_atomically
from trials.inference.attributions import ATTRIBUTIONS, network_maps, squares_of
from trials.inference.given_covariates import Given
from trials.inference.map_pictures import draw
from trials.inference.own_size_maps import attributions_of
from trials.inference.prediction_rows import CALIBRATED
from trials.inference.unlearned import unlearned
from trials.models.description import ModelDescription
from trials.models.model import Model
from trials.models.model_file import load_model
from trials.models.network import TrainedModel
from trials.models.square import Fit
from trials.runs.layout import MAPS
from trials.runs.predictions import in_words

_WORDS = {"probability": "probability", CALIBRATED: "calibrated probability"}  # of a row's share of a class


@dataclass(frozen=True, eq=False)
class Explanation:
    """What the model saw, uint8 [h, w] or [h, w, 3], and maps by name, float [h, w].

    A network saw a square, made by `fit`; of ensembles and classical models (None) it is the image itself.
    Canonical `logits` [k] are what it said of the image. A map is above 0 where the image speaks for the
    class `speaks_for`, against all others. `sanity` holds for each map its rank correlation with the map of
    the same model with random weights: near 1 or -1 the map does not depend on what was learned. It is NaN
    for a map without variation.
    """

    speaks_for: str
    logits: np.ndarray
    seen: np.ndarray
    maps: Mapping[str, np.ndarray]
    sanity: Mapping[str, float]
    fit: Fit | None = None

    def own_size(self, name: str, size: tuple[int, int]) -> np.ndarray:
        """Return a map for the pixels of the image, whose height and width are `size`."""
        found = self.maps[name]
        return found if self.fit is None else from_square(found, size, self.fit)


def explain(
    model: Model,
    images: Sequence[np.ndarray],
    methods: Sequence[str] | None = None,
    class_name: str | None = None,
    covariates: Table | None = None,
) -> list[Explanation]:
    """Explain what the model says of images, uint8 [h, w] or [h, w, 3]; on the processor.

    Maps speak for `class_name`; unless told for the positive one of two classes, and of more for the class
    that the image is called. `methods` are names of maps; unless told all that there are of such a model.
    `covariates`, where the model takes some, are cells by column, one an image; they have no map and stay
    what they are. Raises `ExplainError` without captum, which maps of networks need, for a class that the
    model does not know, a model that sees no image, a map that there is not, and maps that are not finite.
    """
    chosen = _chosen(model, methods)
    card = model.description
    if class_name is not None:
        _require_class(model, class_name)
    logits = model.logits(images, covariates=covariates)
    which = _explained(card, logits, class_name)
    maps = _maps(model, images, chosen, which, covariates)
    _refuse_not_finite(model, maps)
    blank = _maps(unlearned(model), images, chosen, which, covariates)
    seen, fit = _seen(model, images)
    return [
        Explanation(
            card.classes[which[i]],
            logits[i],
            one,
            {name: found[i] for name, found in maps.items()},
            {name: _rank_correlation(found[i], blank[name][i]) for name, found in maps.items()},
            fit,
        )
        for i, one in enumerate(seen)
    ]


def _chosen(model: Model, methods: Sequence[str] | None) -> Sequence[str]:
    """Return the names of the maps to make of a model."""
    known = ATTRIBUTIONS if isinstance(model, TrainedModel) else attributions_of(model)
    for name in (name for name in methods or () if name not in known):
        raise ExplainError(f"{model.name}: has no map {name!r}, only {', '.join(known)}")
    chosen = tuple(known) if methods is None else methods
    if isinstance(model, TrainedModel) or "grad_cam" in chosen:
        _require_captum()
    return chosen


def _maps(
    model: Model, images: Sequence[np.ndarray], methods: Sequence[str], which: np.ndarray, cells: Table | None
) -> Mapping[str, Sequence[np.ndarray]]:
    """Return maps by name, one an image: of a network of its squares, of others of the images as they are."""
    if isinstance(model, TrainedModel):
        found = network_maps(model, images, methods, which, cells)
        return {name: list(of_images) for name, of_images in found.items()}
    known = attributions_of(model)
    return {name: known[name](model, images, which, cells) for name in methods}


def _refuse_not_finite(model: Model, maps: Mapping[str, Sequence[np.ndarray]]) -> None:
    for name, found in maps.items():
        if not all(np.isfinite(one).all() for one in found):
            raise ExplainError(
                f"{model.name}: its {name} map holds numbers that are not finite: the weights are damaged or "
                "too large to be derived; train it again with a lower retrain.learning_rate"
            )


def _seen(model: Model, images: Sequence[np.ndarray]) -> tuple[Sequence[np.ndarray], Fit | None]:
    """Return what maps are drawn over, uint8 [h, w] or [h, w, 3], and how a network's squares are made."""
    if not isinstance(model, TrainedModel):
        return images, None
    squares = [
        np.squeeze(one.numpy().transpose(1, 2, 0)[..., :: 3 if _is_grey(one) else 1])
        for one in squares_of(model, images)
    ]
    return squares, model.description.fit


def _require_captum() -> None:
    try:
        import captum  # noqa: F401
    except ImportError:
        raise ExplainError(f"explaining needs captum: {install('explain')}") from None


def _require_class(model: Model, name: str) -> None:
    classes = model.description.classes
    if name not in classes:
        near = difflib.get_close_matches(name, classes, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ExplainError(f"{model.name}: no class is named {name!r}, only {', '.join(classes)}{hint}")


def _explained(card: ModelDescription, logits: np.ndarray, class_name: str | None) -> np.ndarray:
    """Return the index of the class that each map speaks for: int64 [n]."""
    if class_name is None and not card.known.are_two:
        return card.frozen.decision.call(logits)
    return np.full(len(logits), card.classes.index(class_name or str(card.positive)), dtype=np.int64)


def _is_grey(square: Tensor) -> bool:
    return bool((square == square[:1]).all())


def _rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    flat = one.ravel(), other.ravel()
    if not all(np.ptp(values) > 0 for values in flat):
        return float("nan")
    return float(spearman(*flat)(np.ones((1, one.size)))[0])


def run_explain(
    model: str | Path,
    images: str | Path | Sequence[str | Path],
    out: str | Path,
    class_name: str | None = None,
    covariates: str | Path | None = None,
) -> dict[str, Any]:
    """Explain what a trained model says of image files: a picture of each and `maps.json`, in a new folder.

    Maps speak for `class_name`; unless told for the positive one of two classes, and of more for the class
    that the image is called. `maps.json` names it with each picture, but for the positive one of two unasked.
    Beside it stands the `probability` of the class as the network gives it, of more than two classes the
    `calibrated` one and what the image is `called`. A folder stands for all images in it. `covariates` is a
    table of those that the model takes (`Given.read`). Raises ValueError for a folder without a model, a
    class that it does not know, files that are no images, and an `out` in use.
    """
    asked = image_files(as_paths(images))
    if asked.left_out or not asked.files:
        raise DataError("\n".join(asked.left_out) or "no image was named; name files, or folders of images")
    paths = asked.files
    with new_folder(Path(out)) as folder:
        trained = load_model(model)
        card = trained.description
        if class_name is not None:
            _require_class(trained, class_name)
        pixels, notes = decode_all(paths, card.grey_range)
        given = Given.read(covariates, paths, [trained])
        found = explain(trained, pixels, class_name=class_name, covariates=given.of(paths))
        explained = zip(paths, found, strict=True)
        named = class_name is not None or not card.known.are_two
        rows = [
            _write_picture(folder, number, path, one, card, named=named)
            for number, (path, one) in enumerate(explained, start=1)
        ]
        result = {
            **({} if card.known.are_two else _rule(card)),
            "positive": card.positive,
            "threshold": card.threshold,
            "not_for": card.not_for,
            "warnings": card.warnings,
            "notes": [*asked.notes, *notes, *given.notes],
            "explanations": rows,
        }
        write_atomically(folder / MAPS, (dump_json(result) + "\n").encode())
    return {"out": str(out), **result}


def _rule(card: ModelDescription) -> dict[str, Any]:
    return {"classes": card.classes, "decision": in_words(card.frozen.decision, card.known)}


def _write_picture(
    folder: Path, number: int, path: Path, one: Explanation, card: ModelDescription, *, named: bool
) -> dict[str, Any]:
    """Draw an explanation; return its row of `maps.json`, with the class if it is to be `named`."""
    name = f"{number:03d}-{path.stem}.png"  # two folders may hold files of one name
    said = _said(card, one)
    shown = ", ".join(f"{_WORDS[key]} of {one.speaks_for} {said[key]:.3f}" for key in _WORDS if key in said)
    title = f"{'the image' if one.fit is None else 'as the network sees it'}\n{shown}"
    draw(one.seen, one.maps, one.sanity, one.speaks_for, title).savefig(folder / name, dpi=110)
    sanity = {key: None if np.isnan(value) else value for key, value in one.sanity.items()}
    spoken = {"class": one.speaks_for} if named else {}
    return {"file": str(path), "picture": name, **spoken, **said, "sanity": sanity}


def _said(card: ModelDescription, one: Explanation) -> dict[str, Any]:
    """Return the probability of the class that the maps speak for; of more than two also what is called."""
    index = card.classes.index(one.speaks_for)
    if card.known.are_two:
        return {"probability": float(probabilities(one.logits)[index])}
    (called,) = card.frozen.decision.call(one.logits[None])
    share = probabilities(one.logits, card.temperature)[index]
    return {"called": card.classes[called], CALIBRATED: float(share)}


def text(result: dict[str, Any]) -> str:
    """Return where the pictures are and how far each map depends on what was learned, as lines to read."""
    named = {row.get("class", result["positive"]) for row in result["explanations"]}
    of = named.pop() if len(named) == 1 else "the class of each picture"
    lines = [
        f"{result['out']}: red speaks for {of}, blue against; not for {result['not_for']}",
        "correlation: of a map with that of the same model with random weights; the nearer to 1, the less "
        "the map depends on what was learned",
    ]
    lines += [f"warning: {warning}" for warning in result["warnings"]]
    for row in result["explanations"]:
        sanity = ", ".join(
            f"{name} {'undefined' if value is None else f'{value:.2f}'}"
            for name, value in row["sanity"].items()
        )
        share = next(row[key] for key in _WORDS if key in row)
        called = f" {row['class']}, called {row['called']}" if "called" in row else ""
        lines.append(f"{share:.3f}{called}  {row['picture']}  correlation: {sanity}  {row['file']}")
    return "\n".join([*lines, *(f"note: {note}" for note in result["notes"])])
