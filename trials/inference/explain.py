"""Explain what a trained network looked at: maps over what it saw, with a sanity check.

A map shows where, never why. Whether it depends on what was learned at all is tested as by Adebayo et al.,
NeurIPS 2018, arXiv 1810.03292: with random weights it must become another map.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor

from search_space.strict_json import dump_json
from trials.data.files.decoding import decode_all
from trials.data.images import to_tensor
from trials.data.new_folder import new_folder
from trials.errors import ExplainError
from trials.files import as_paths, write_atomically
from trials.inference.attributions import ATTRIBUTIONS
from trials.inference.map_pictures import draw
from trials.models.model_file import TrainedModel, load_model
from trials.runs.layout import MAPS

_INSTALL = "explaining needs captum: pip install -c constraints.txt -e '.[explain]'"


@dataclass(frozen=True, eq=False)
class Explanation:
    """What the network saw, uint8 [side, side] or [side, side, 3], and maps by name, float [side, side].

    A map is above 0 where the image speaks for the positive class. `sanity` holds for each map its rank
    correlation with the map of the same network with random weights: near 1 or -1 the map does not depend on
    what was learned. It is NaN for a map without variation.
    """

    seen: np.ndarray
    maps: Mapping[str, np.ndarray]
    sanity: Mapping[str, float]


def explain(
    model: TrainedModel, images: Sequence[np.ndarray], methods: Sequence[str] = tuple(ATTRIBUTIONS)
) -> list[Explanation]:
    """Explain what the model says of images, uint8 [h, w] or [h, w, 3]; on the processor.

    Raises `ExplainError` without captum, and for maps that are not finite.
    """
    _require_captum()
    card = model.description
    squares = to_tensor(images, card.image_size, card.fit, card.channels)
    squares = squares.expand(-1, card.channels, -1, -1)
    model = TrainedModel(model.network.cpu().eval(), card, model.name)
    maps = {name: ATTRIBUTIONS[name](model, squares) for name in methods}
    for name, found in maps.items():
        if not np.isfinite(found).all():
            raise ExplainError(
                f"{model.name}: its {name} map holds numbers that are not finite: the weights are damaged or "
                "too large to be derived; train it again with a lower retrain.learning_rate"
            )
    blank = {name: ATTRIBUTIONS[name](_with_random_weights(model), squares) for name in methods}
    return [
        Explanation(
            np.squeeze(square.numpy().transpose(1, 2, 0)[..., :: 3 if _is_grey(square) else 1]),
            {name: found[i] for name, found in maps.items()},
            {name: _rank_correlation(found[i], blank[name][i]) for name, found in maps.items()},
        )
        for i, square in enumerate(squares)
    ]


def _require_captum() -> None:
    try:
        import captum  # noqa: F401
    except ImportError:
        raise ExplainError(_INSTALL) from None


def _is_grey(square: Tensor) -> bool:
    return bool((square == square[:1]).all())


def _with_random_weights(model: TrainedModel) -> TrainedModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return TrainedModel(model.description.build().eval(), model.description)


def _rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    flat = one.ravel(), other.ravel()
    return float(spearmanr(*flat).statistic) if all(np.ptp(values) > 0 for values in flat) else float("nan")


def run_explain(
    model: str | Path, images: str | Path | Sequence[str | Path], out: str | Path
) -> dict[str, Any]:
    """Explain what a trained model says of image files: a picture of each and `maps.json`, in a new folder.

    Raises ValueError for a folder without a model, files that are no images, and an `out` in use.
    """
    paths = as_paths(images)
    with new_folder(Path(out)) as folder:
        trained = load_model(model)
        card = trained.description
        pixels, notes = decode_all(paths, card.grey_range)
        probabilities = trained.probabilities(pixels)[:, card.known.index].tolist()
        explained = zip(paths, probabilities, explain(trained, pixels), strict=True)
        rows = [
            _write_picture(folder, number, path, one, str(card.positive), probability)
            for number, (path, probability, one) in enumerate(explained, start=1)
        ]
        result = {
            "positive": card.positive,
            "threshold": card.threshold,
            "not_for": card.not_for,
            "warnings": card.warnings,
            "notes": notes,
            "explanations": rows,
        }
        write_atomically(folder / MAPS, (dump_json(result) + "\n").encode())
    return {"out": str(out), **result}


def _write_picture(
    folder: Path, number: int, path: Path, one: Explanation, positive: str, probability: float
) -> dict[str, Any]:
    """Draw an explanation; return its row of `maps.json`."""
    name = f"{number:03d}-{path.stem}.png"  # two folders may hold files of one name
    draw(one.seen, one.maps, one.sanity, positive, probability).savefig(folder / name, dpi=110)
    sanity = {key: None if np.isnan(value) else value for key, value in one.sanity.items()}
    return {"file": str(path), "picture": name, "probability": probability, "sanity": sanity}


def text(result: dict[str, Any]) -> str:
    """Return where the pictures are and how far each map depends on what was learned, as lines to read."""
    lines = [
        f"{result['out']}: red speaks for {result['positive']}, blue against; not for {result['not_for']}",
        "correlation: of a map with that of the same network with random weights; the nearer to 1, the less "
        "the map depends on what was learned",
    ]
    lines += [f"warning: {warning}" for warning in result["warnings"]]
    for row in result["explanations"]:
        sanity = ", ".join(
            f"{name} {'undefined' if value is None else f'{value:.2f}'}"
            for name, value in row["sanity"].items()
        )
        lines.append(f"{row['probability']:.3f}  {row['picture']}  correlation: {sanity}  {row['file']}")
    return "\n".join([*lines, *(f"note: {note}" for note in result["notes"])])
