"""What a trained network looked at: Grad-CAM on its last map, and occlusion, drawn over what it saw.

Grad-CAM: Selvaraju et al., ICCV 2017, arXiv 1610.02391, without the last ReLU, so that what speaks against is
seen too. Occlusion: Zeiler and Fergus, ECCV 2014, arXiv 1311.2901. Both are of the log odds of the positive
class. A map says where, never why; whether it has to do with what was learnt at all is tested as by Adebayo
et al., NeurIPS 2018, arXiv 1810.03292: with random weights it must become another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from scipy.stats import spearmanr
from torch import Tensor, nn
from torch.nn import functional

from search_space.strict_json import dump_json
from trials.data.images import to_tensor
from trials.data.new_folder import new_folder
from trials.data.readers.decoding import decode_all
from trials.errors import ExplainError
from trials.files import write_atomically
from trials.models.inference import InferenceModel
from trials.models.model_file import TrainedModel, load_model, log_odds
from trials.runs.layout import MAPS

WINDOW = 6  # the covered square is a sixth of the side, and moves by half of that; ours
_INSTALL = "explaining needs captum: pip install -c constraints.txt -e '.[explain]'"
Attribution = Callable[[TrainedModel, Tensor], np.ndarray]


@dataclass(frozen=True, eq=False)
class Explanation:
    """What the network saw, uint8 [side, side] or [side, side, 3], and maps by name, float [side, side].

    A map is above 0 where the image speaks for the positive class. `sanity` holds for each map its rank
    correlation with that of the same network with random weights: near 1 or -1 it says nothing of what was
    learnt. NaN for a map without variation.
    """

    seen: np.ndarray
    maps: Mapping[str, np.ndarray]
    sanity: Mapping[str, float]


def grad_cam(model: TrainedModel, squares: Tensor) -> np.ndarray:
    """Return Grad-CAM on the last map, float [n, side, side], of uint8 images [n, channels, side, side].

    The last map is the output of the last cell, normalised where the network does that, or of whatever comes
    last in another network before the mean.
    Where the model looks at the mirror image too, it is the mean of both views' maps.
    """
    from captum.attr import LayerGradCam

    one_view = TrainedModel(model.network, model.description.model_copy(update={"mirror": False}))
    decision = InferenceModel(one_view).eval()
    tap = nn.Identity()  # captum wants a layer of one output; a cell has two

    def through_tap(_: nn.Module, __: object, output: Any) -> Any:
        return (*output[:-1], tap(output[-1])) if isinstance(output, tuple) else tap(output)

    def view(images: Tensor) -> Tensor:
        found = LayerGradCam(_log_odds(decision), tap).attribute(images)
        return functional.interpolate(found.detach(), squares.shape[-2:], mode="bilinear")[:, 0]

    hook = last_map(model.network, decision, squares[:1]).register_forward_hook(through_tap)
    try:
        maps = view(squares.float())
        if model.description.mirror:
            maps = (maps + view(squares.flip(-1).float()).flip(-1)) / 2
    finally:
        hook.remove()
    return maps.numpy()


def last_map(network: nn.Module, decision: InferenceModel, example: Tensor) -> nn.Module:
    """Return the layer of the last map of more than one pixel: the last cell's, where there are cells."""
    found: list[nn.Module] = []

    def note(module: nn.Module, _: object, output: Any) -> None:
        last = output[-1] if isinstance(output, tuple) else output
        if last.ndim == 4 and last.shape[-1] > 1:
            found.append(module)

    hooks = [part.register_forward_hook(note) for part in network.modules()]
    with torch.no_grad():
        decision.logits(example)
    for hook in hooks:
        hook.remove()
    if not found:
        raise ExplainError(f"no layer of this network keeps a map of images of {example.shape[-1]} pixels")
    return found[-1]


def occlusion(model: TrainedModel, squares: Tensor) -> np.ndarray:
    """Return by how much the log odds fall where the image is covered by the training images' mean.

    Float [n, side, side], of uint8 images [n, channels, side, side]: for each pixel the mean over the
    squares, a sixth of the side wide, that cover it.
    """
    from captum.attr import Occlusion

    decision = InferenceModel(model).eval()
    side, channels = squares.shape[-1], squares.shape[1]
    window = max(1, side // WINDOW)
    stride = max(1, window // 2)
    with torch.no_grad():
        found = Occlusion(_log_odds(decision)).attribute(
            squares.float(),
            sliding_window_shapes=(channels, window, window),
            strides=(channels, stride, stride),
            baselines=decision.get_buffer("mean").expand(1, channels, side, side),
            perturbations_per_eval=16,
        )
    return found.mean(1).numpy()


ATTRIBUTIONS: dict[str, Attribution] = {"grad_cam": grad_cam, "occlusion": occlusion}


def _log_odds(decision: InferenceModel) -> Callable[[Tensor], Tensor]:
    return lambda images: log_odds(decision.logits(images), decision.positive)


def explain(
    model: TrainedModel, images: Sequence[np.ndarray], methods: Sequence[str] = tuple(ATTRIBUTIONS)
) -> list[Explanation]:
    """Explain what the model says of images, uint8 [h, w] or [h, w, 3]; on the processor.

    Raises `ExplainError` where captum is not installed.
    """
    try:
        import captum  # noqa: F401
    except ImportError:
        raise ExplainError(_INSTALL) from None
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


def _is_grey(square: Tensor) -> bool:
    return bool((square == square[:1]).all())


def _with_random_weights(model: TrainedModel) -> TrainedModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return TrainedModel(model.description.build().eval(), model.description)


def _rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    flat = one.ravel(), other.ravel()
    return float(spearmanr(*flat).statistic) if all(np.ptp(values) > 0 for values in flat) else float("nan")


def run_explain(model: Path, images: Sequence[Path], out: Path) -> dict[str, Any]:
    """Explain what a trained model says of image files: a picture of each and `maps.json`, in a new folder.

    Raises ValueError for a folder that holds no model, files that are no images, and an `out` in use.
    """
    with new_folder(out) as folder:
        trained = load_model(model)
        pixels, notes = decode_all(images, trained.description.grey_range)
        probabilities = trained.probabilities(pixels).tolist()
        explained = explain(trained, pixels)
        card = trained.description
        rows = []
        for number, (path, p, one) in enumerate(zip(images, probabilities, explained, strict=True), start=1):
            name = f"{number:03d}-{path.stem}.png"  # two folders may hold files of one name
            _draw(one, card.positive, p).savefig(folder / name, dpi=110)
            sanity = {key: None if np.isnan(value) else value for key, value in one.sanity.items()}
            rows.append({"file": str(path), "picture": name, "probability": p, "sanity": sanity})
        result = {
            "positive": card.positive,
            "threshold": card.threshold,
            "not_for": card.not_for,
            "warnings": card.cautions,
            "notes": notes,
            "explanations": rows,
        }
        write_atomically(folder / MAPS, (dump_json(result) + "\n").encode())
    return {"out": str(out), **result}


def overlay(one: Explanation, name: str) -> np.ndarray:
    """Return one map over what was seen, uint8 [side, side, 3]: red speaks for the class, blue against."""
    import matplotlib as mpl

    found = one.maps[name]
    strength = found / max(float(np.abs(found).max()), 1e-12)
    colour = mpl.colormaps["coolwarm"]((strength + 1) / 2)[..., :3]
    seen = one.seen if one.seen.ndim == 3 else one.seen[..., None]
    opacity = 0.6 * np.abs(strength)[..., None]  # what does not matter stays as it is
    mixed: np.ndarray = (seen / 255 * (1 - opacity) + colour * opacity) * 255
    return mixed.astype(np.uint8)


def _draw(one: Explanation, positive: str, probability: float) -> Figure:
    figure = Figure(figsize=(3 * (1 + len(one.maps)), 3.5), layout="constrained")
    panels = figure.subplots(1, 1 + len(one.maps))
    panels[0].imshow(one.seen, cmap="gray", vmin=0, vmax=255)
    panels[0].set_title(f"as the network sees it\nprobability of {positive} {probability:.3f}", fontsize=8)
    for axes, name in zip(panels[1:], one.maps, strict=True):
        axes.imshow(overlay(one, name))
        said = f"correlation with random weights' map {one.sanity[name]:.2f}"
        axes.set_title(f"{name}: red for {positive}, blue against\n{said}", fontsize=8)
    for axes in panels:
        axes.set_axis_off()
    return figure


def text(result: dict[str, Any]) -> str:
    """Return where the pictures are and how far each map depends on what was learnt, as lines to read."""
    lines = [
        f"{result['out']}: red speaks for {result['positive']}, blue against; not for {result['not_for']}",
        "correlation: of a map with that of the same network with random weights; the nearer to 1, the less "
        "the map has to do with what was learnt",
    ]
    lines += [f"warning: {warning}" for warning in result["warnings"]]
    for row in result["explanations"]:
        sanity = ", ".join(
            f"{name} {'undefined' if value is None else f'{value:.2f}'}"
            for name, value in row["sanity"].items()
        )
        lines.append(f"{row['probability']:.3f}  {row['picture']}  correlation: {sanity}  {row['file']}")
    return "\n".join([*lines, *(f"note: {note}" for note in result["notes"])])
