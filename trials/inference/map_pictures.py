"""Draw maps of what a model looked at over what it saw."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure


def overlay(seen: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Return a map, float [h, w], over what was seen, uint8 [h, w] or [h, w, 3].

    Uint8 [h, w, 3]: red speaks for the class, blue against.
    """
    strength = found / max(float(np.abs(found).max()), 1e-12)
    colour = mpl.colormaps["coolwarm"]((strength + 1) / 2)[..., :3]
    seen = seen if seen.ndim == 3 else seen[..., None]
    opacity = 0.6 * np.abs(strength)[..., None]  # what does not matter stays as it is
    mixed: np.ndarray = (seen / 255 * (1 - opacity) + colour * opacity) * 255
    return mixed.astype(np.uint8)


def draw(
    seen: np.ndarray,
    maps: Mapping[str, np.ndarray],
    sanity: Mapping[str, float],
    name_of_class: str,
    title: str,
) -> Figure:
    """Draw what was seen, under a `title`, and each map over it; else as in `Explanation`."""
    figure = Figure(figsize=(3 * (1 + len(maps)), 3.5), layout="constrained")
    panels = figure.subplots(1, 1 + len(maps))
    panels[0].imshow(seen, cmap="gray", vmin=0, vmax=255)
    panels[0].set_title(title, fontsize=8)
    for axes, (name, found) in zip(panels[1:], maps.items(), strict=True):
        axes.imshow(overlay(seen, found))
        said = f"correlation with random weights' map {sanity[name]:.2f}"
        axes.set_title(f"{name}: red for {name_of_class}, blue against\n{said}", fontsize=8)
    for axes in panels:
        axes.set_axis_off()
    return figure
