"""Map where an image speaks for a class against all others, in log odds, to a trained network.

Grad-CAM: Selvaraju et al., ICCV 2017, arXiv 1610.02391, without the last ReLU, so that the map also shows
what speaks against. Occlusion: Zeiler and Fergus, ECCV 2014, arXiv 1311.2901. All of it runs on the
processor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from search_space.progress import progress
from trials.data.covariates import Table
from trials.data.images import to_tensor
from trials.errors import ExplainError
from trials.models.inference import InferenceModel
from trials.models.network import TrainedModel

WINDOW = 6  # the covered square is a sixth of the side, and moves by half of that; ours
_AT_ONCE = 32  # images of which maps are made together
Attribution = Callable[[TrainedModel, Tensor, Tensor, Tensor | None], np.ndarray]


def grad_cam(
    model: TrainedModel, squares: Tensor, classes: Tensor, covariates: Tensor | None = None
) -> np.ndarray:
    """Return Grad-CAM on the last map, float [n, side, side], of uint8 images [n, channels, side, side].

    `classes`, int64 [n], are the indices of those that the maps speak for; `covariates` [n, d] stay what they
    are. The last map is the output of the last cell, normalised if the network does that; in other networks
    it is that of the last layer before the mean. For a model that looks at the mirror image too, it is the
    mean of both views' maps.
    """
    one_view = replace(model, description=model.description.model_copy(update={"mirror": False}))
    inference = InferenceModel(one_view).eval()
    tap = nn.Identity()  # captum wants a layer of one output; a cell has two

    def through_tap(_: nn.Module, __: object, output: Any) -> Any:
        return (*output[:-1], tap(output[-1])) if isinstance(output, tuple) else tap(output)

    last = last_map(
        model.network, inference, squares[:1], covariates if covariates is None else covariates[:1]
    )
    hook = last.register_forward_hook(through_tap)
    try:
        maps = _cam(inference, tap, squares, (classes, covariates))
        if model.description.mirror:
            mirrored = _cam(inference, tap, squares.flip(-1), (classes, covariates))
            maps = (maps + mirrored.flip(-1)) / 2
    finally:
        hook.remove()
    return maps.numpy()


def _cam(
    inference: InferenceModel, layer: nn.Module, squares: Tensor, beside: tuple[Tensor, Tensor | None]
) -> Tensor:
    """Return the Grad-CAM of a layer, float [n, side, side]."""
    from captum.attr import LayerGradCam

    cam = LayerGradCam(_log_odds(inference), layer)
    found = cam.attribute(squares.float(), additional_forward_args=beside)
    return functional.interpolate(found.detach(), squares.shape[-2:], mode="bilinear")[:, 0]


def last_map(
    network: nn.Module, inference: InferenceModel, example: Tensor, covariates: Tensor | None = None
) -> nn.Module:
    """Return the layer of the last map of more than one pixel: the last cell, in networks of cells.

    `example` is uint8 [1, channels, side, side], `covariates` [1, d]. Raises `ExplainError` where no layer
    keeps a map.
    """
    found: list[nn.Module] = []

    def note(module: nn.Module, _: object, output: Any) -> None:
        last = output[-1] if isinstance(output, tuple) else output
        if last.ndim == 4 and last.shape[-1] > 1:
            found.append(module)

    hooks = [part.register_forward_hook(note) for part in network.modules()]
    with torch.no_grad():
        inference.logits(example, covariates)
    for hook in hooks:
        hook.remove()
    if not found:
        raise ExplainError(f"no layer of this network keeps a map of images of {example.shape[-1]} pixels")
    return found[-1]


def occlusion(
    model: TrainedModel, squares: Tensor, classes: Tensor, covariates: Tensor | None = None
) -> np.ndarray:
    """Return by how much the log odds fall where the training images' mean covers the image.

    Float [n, side, side], of uint8 images [n, channels, side, side], the indices of their classes, int64
    [n], and `covariates` [n, d], which stay what they are: for each pixel the mean over the squares, a sixth
    of the side wide, that cover it.
    """
    from captum.attr import Occlusion

    inference = InferenceModel(model).eval()
    side, channels = squares.shape[-1], squares.shape[1]
    window = max(1, side // WINDOW)
    stride = max(1, window // 2)
    with torch.no_grad():
        found = Occlusion(_log_odds(inference)).attribute(
            squares.float(),
            sliding_window_shapes=(channels, window, window),
            strides=(channels, stride, stride),
            baselines=inference.get_buffer("mean").expand(1, channels, side, side),
            perturbations_per_eval=16,
            additional_forward_args=(classes, covariates),
        )
    return found.mean(1).numpy()


def _log_odds(inference: InferenceModel) -> Callable[[Tensor, Tensor, Tensor | None], Tensor]:
    return lambda images, classes, covariates: _log_odds_of(inference.logits(images, covariates), classes)


def _log_odds_of(logits: Tensor, classes: Tensor) -> Tensor:
    """Return the log odds [n] of a class an image, at `classes` [n], against all others."""
    own = functional.one_hot(classes, logits.shape[1]).bool()
    return logits[own] - logits.masked_fill(own, -torch.inf).logsumexp(1)


ATTRIBUTIONS: dict[str, Attribution] = {"grad_cam": grad_cam, "occlusion": occlusion}


def network_maps(
    model: TrainedModel,
    images: Sequence[np.ndarray],
    methods: Sequence[str],
    classes: np.ndarray,
    covariates: Table | None = None,
) -> dict[str, np.ndarray]:
    """Return maps by name, float [n, side, side], of images uint8 [h, w] or [h, w, 3], on the processor.

    `classes`, int64 [n], are the indices of those that the maps speak for; `covariates` are cells by column.
    """
    inputs = model.inputs(covariates, images)
    beside = None if inputs is None else torch.from_numpy(inputs)
    here = replace(model, network=model.network.cpu().eval())
    squares, of = squares_of(model, images), torch.from_numpy(classes)
    blocks = [slice(start, start + _AT_ONCE) for start in range(0, max(1, len(squares)), _AT_ONCE)]

    def maps(name: str) -> np.ndarray:
        return np.concatenate(
            [
                ATTRIBUTIONS[name](here, squares[some], of[some], None if beside is None else beside[some])
                for some in progress(blocks, f"batches of {_AT_ONCE} maps, {name}")
            ]
        )

    return {name: maps(name) for name in methods}


def squares_of(model: TrainedModel, images: Sequence[np.ndarray]) -> Tensor:
    """Return what a network sees of images: uint8 [n, channels, side, side]."""
    card = model.description
    return to_tensor(images, *card.square).expand(-1, card.channels, -1, -1)
