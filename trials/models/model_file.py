"""Trained models on disk: `model.json`, whose `kind` says how the model is read, and what it names.

An ensemble's members lie in its folder, whole models each, which may be ensembles too.
"""

from __future__ import annotations

import math
import os
import reprlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from search_space.regular_files import not_a_file
from trials.errors import DamagedError, LinkError, ModelError
from trials.files import below, write_atomically
from trials.models.classical import ClassicalDescription, load_classical
from trials.models.description import ModelDescription, write_description
from trials.models.ensemble import EnsembleDescription, EnsembleModel, Member, joined_coding
from trials.models.model import Model
from trials.models.network import NetworkDescription, load_network
from trials.runs.folder import read, read_json
from trials.runs.layout import FINAL, MODEL_FILE, STUDY_FILE, WEIGHTS, member_folder
from trials.runs.predictions import Frozen

_DEEPEST = 4  # ensembles in ensembles: of methods, of a method's parts, and room for more; ours
_KINDS: Mapping[str, type[ModelDescription]] = {
    "network": NetworkDescription,
    "classical": ClassicalDescription,
    "ensemble": EnsembleDescription,
}


def load_description(folder: Path) -> ModelDescription:
    """Read `model.json`; raises `ModelError` that names what is wrong with it, and as `read` does.

    Without a `kind`, as before there were several, it is a network's.
    """
    path = folder / MODEL_FILE
    if said := not_a_file(path):
        below = sorted(folder.rglob(MODEL_FILE)) if folder.is_dir() else []
        such = f", such as {below[0].parent}" if below else ""
        raise ModelError(
            f"{folder}: holds no {MODEL_FILE} ({said}); name the output folder of a trained model{such}; "
            "what was published comes without weights, train it again"
        )
    try:
        values = read_json(path)
    except DamagedError:
        raise
    except ValueError as error:
        raise ModelError(str(error)) from None
    kind = values.get("kind", "network")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise ModelError(f"{path}: kind = {kind!r}: expected one of {', '.join(_KINDS)}")
    try:
        return _KINDS[kind].model_validate(values)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc']))}{_found(problem)}: {problem['msg']}"
            for problem in error.errors()
        )
        raise ModelError(f"{path}: not a description of a model: {problems}") from None


def _found(problem: Mapping[str, Any]) -> str:
    """Return the value that a problem is with; not the whole description."""
    return f" = {reprlib.repr(problem['input'])}" if problem["loc"] and problem["type"] != "missing" else ""


def model_folder(folder: Path) -> Path:
    """Return the folder of a trained model: `folder`, or where that is a study's, its final model's.

    Raises `ModelError` for a study that names none in its folder.
    """
    path = folder / STUDY_FILE
    if (folder / MODEL_FILE).exists() or not_a_file(path):
        return folder
    name = read_json(path).get("model")
    if not isinstance(name, str) or not name or ".." in Path(name).parts or Path(name).is_absolute():
        raise ModelError(
            f"{path}: model = {name!r}: expected the final model's folder, named from {folder}; name that "
            "model's own folder"
        )
    return _inside(folder, name)


def study_figures(folder: Path) -> list[str]:
    """Return what to expect of a study's model of all images, which nothing tests; of others nothing.

    These are the figures, in words, that the study's models reached in the outer folds. `folder` is the
    study's, or the model's in it.
    """
    study = folder if (folder / STUDY_FILE).exists() else folder.absolute().parent.parent
    path = study / STUDY_FILE
    if not_a_file(path) or model_folder(folder).absolute().parent != study.absolute() / FINAL:
        return []
    figures = read_json(path).get("figures")
    if not isinstance(figures, list) or not all(isinstance(line, str) for line in figures):
        raise ModelError(f"{path}: figures = {reprlib.repr(figures)}: expected a list of lines")
    return figures


def load_model(folder: str | Path) -> Model:
    """Read a trained model, of a study its final one: its `description`, and what it says of images.

    Its `logits(images)` and `probabilities(images)` are [n, k], a column a class in the order of
    `description.classes`; `log_odds(images)` are those of the positive class [n], where there is one.
    Raises `ModelError` for missing or unfitting files, and as `read` does.
    """
    return _load(model_folder(Path(folder)), _DEEPEST)


def _load(folder: Path, depth: int) -> Model:
    description = load_description(folder)
    if isinstance(description, NetworkDescription):
        return load_network(folder, description)
    if isinstance(description, ClassicalDescription):
        return load_classical(folder, description)
    if isinstance(description, EnsembleDescription):
        return _load_ensemble(folder, description, depth)
    raise TypeError(f"{folder}: nothing reads a {type(description).__name__}")


def _load_ensemble(folder: Path, description: EnsembleDescription, depth: int) -> EnsembleModel:
    path = folder / MODEL_FILE
    if depth == 0:
        raise ModelError(f"{path}: ensembles in ensembles, more than {_DEEPEST} deep; join their members")
    places = [_inside(folder, member.folder) for member in description.members]
    members = [_load(place, depth - 1) for place in places]
    _refuse_others([folder, *places], [description, *(member.description for member in members)])
    return EnsembleModel(members, description, str(path))


def _inside(folder: Path, name: str) -> Path:
    """Return a folder in `folder`; raises `ModelError` where a link leads it out of there."""
    try:
        return below(folder, folder / name)
    except LinkError:
        raise ModelError(
            f"{folder / name}: a link leads out of {folder}, expected a model's own folder; copy it there"
        ) from None


def _refuse_others(places: Sequence[Path], descriptions: Sequence[ModelDescription]) -> None:
    """Raise `ModelError` where a model has other classes, or reads greys in another way, than the first."""
    for name in ("classes", "positive", "ordered", "grey_range"):
        first, *others = (getattr(one, name) for one in descriptions)
        for place, found in zip(places[1:], others, strict=True):
            if found != first:
                raise ModelError(
                    f"{place}: {name} = {found!r}, but {first!r} in {places[0]}; join models that agree"
                )


def save_ensemble(folder: Path, members: Sequence[tuple[Path, float]], frozen: Frozen) -> None:
    """Write the ensemble of the models in these folders with weights, of any scale, and what is frozen of it.

    The members' files are copied into the folder, where the disk can as links to the same content. One
    without weight is left out. Raises `ModelError` for models that do not belong together, no weight above 0,
    and as `load_description` does.
    """
    weighty = [(place, weight) for place, weight in members if weight != 0]
    total = math.fsum(weight for _, weight in weighty)
    if not (math.isfinite(total) and total > 0 and all(weight > 0 for _, weight in weighty)):
        raise ModelError(
            f"{folder}: weights {[weight for _, weight in members]}: expected numbers from 0 up, one above"
        )
    places = [place for place, _ in weighty]
    first, *_ = descriptions = [load_description(place) for place in places]
    _refuse_others(places, descriptions)
    shares = [
        {"folder": member_folder(number), "weight": weight / total}
        for number, (_, weight) in enumerate(weighty)
    ]
    ensemble = EnsembleDescription(
        classes=first.classes,
        positive=first.positive,
        ordered=first.ordered,
        grey_range=first.grey_range,
        covariates=joined_coding(descriptions),
        threshold=0.5 if first.known.are_two else None,
        members=tuple(map(Member.model_validate, shares)),
    ).with_frozen(frozen)
    for place, description, share in zip(places, descriptions, ensemble.members, strict=True):
        _copy(place, description, _inside(folder, share.folder))
    write_description(folder, ensemble)


def _copy(source: Path, description: ModelDescription, target: Path) -> None:
    """Copy a model's own files, and those of its members; `model.json` comes last."""
    target.mkdir(parents=True, exist_ok=True)
    if isinstance(description, EnsembleDescription):
        for member in description.members:
            inner = _inside(source, member.folder)
            _copy(inner, load_description(inner), _inside(target, member.folder))
    else:
        _link(source / WEIGHTS, target / WEIGHTS)
    write_atomically(target / MODEL_FILE, read(source / MODEL_FILE))


def _link(source: Path, target: Path) -> None:
    """Make `target` the file `source` under another name, or a copy where the disk knows no such names."""
    content = read(source)  # refuses what is no file, or not as its run has left it
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        write_atomically(target, content)
