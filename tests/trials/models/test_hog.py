"""The module's histograms are scikit-image's, whatever runtime computes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from skimage.feature import hog
from torch import Tensor, nn

from trials.models.hog import Hog, cell_moments, grey
from trials.models.onnx import export_onnx


def images(channels: int, side: int = 100) -> Tensor:
    """Return noise, a smooth image, slopes along bins' edges, and an even image, uint8."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side]
    smooth = 127 + 60 * np.sin(x / 9) * np.cos(y / 13) + 30 * np.sin((x + y) / 5)
    made = [
        random.integers(0, 256, (channels, side, side)),
        np.stack([smooth + 5 * c for c in range(channels)]),
    ]
    for angle in range(0, 180, 20):
        slope = 127 + 1.2 * (x * np.cos(np.deg2rad(angle)) + y * np.sin(np.deg2rad(angle)) - side / 2)
        made.append(np.broadcast_to(slope, (channels, side, side)))
    made.append(np.full((channels, side, side), 7))
    return torch.from_numpy(np.stack(made).clip(0, 255).astype(np.uint8))


def pixels_of(squares: Tensor) -> np.ndarray:
    return squares.numpy().astype(np.float32).mean(1)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("block", "norm", "cell"), [(3, "L2-Hys", 10), (1, "L2", 10), (2, "L2-Hys", 7)], ids=str
)
def test_histograms_are_those_of_scikit_image(channels: int, block: int, norm: str, cell: int) -> None:
    squares = images(channels)
    told = {"pixels_per_cell": (cell, cell), "cells_per_block": (block, block), "block_norm": norm}
    expected = np.stack([hog(image, **told) for image in pixels_of(squares)])
    found = Hog(cell, block, norm)(grey(squares)).numpy()
    assert found.shape == expected.shape and np.ptp(expected) > 0.1
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_moments_are_those_of_each_cell() -> None:
    squares = images(3)
    cells = pixels_of(squares).astype(float).reshape(-1, 10, 10, 10, 10)
    expected = [cells.mean((2, 4)).reshape(-1, 100), cells.std((2, 4)).reshape(-1, 100)]
    np.testing.assert_allclose(cell_moments(grey(squares), 10).numpy(), np.hstack(expected), atol=1e-9)


class Both(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hog, self.cells = Hog(), Hog(block=1, norm="L2")

    def forward(self, squares: Tensor) -> Tensor:
        pixels = grey(squares)
        return torch.cat([self.hog(pixels), self.cells(pixels), cell_moments(pixels, 10)], dim=1)


def test_runtimes_compute_the_same_histograms(tmp_path: Path) -> None:
    squares, module = images(3), Both()
    expected = module(squares).numpy()
    export_onnx(module, {"images": squares[:1]}, tmp_path / "hog.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "hog.onnx", providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"images": squares.numpy()})
    np.testing.assert_allclose(found, expected, atol=1e-12)
    batch = {0: torch.export.Dim("batch")}
    program = torch.export.export(module, (squares[:2],), dynamic_shapes=(batch,))
    np.testing.assert_allclose(program.module()(squares).numpy(), expected, atol=1e-12)
