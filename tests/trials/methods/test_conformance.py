"""The quick methods here pass the suite that others can use."""

from __future__ import annotations

from trials.methods.registry import METHODS
from trials.methods.testing import MethodTests


class TestGeometry(MethodTests):
    entry = METHODS["geometry"]


class TestGradients(MethodTests):
    entry = METHODS["hog_geometry"]


class TestMirroredCells(MethodTests):
    entry = METHODS["hog_cells_mirrored"]


class TestStatistics(MethodTests):
    entry = METHODS["statistics"]


class TestRandomCells(MethodTests):
    entry = METHODS["cells7"]


class TestCnn3(MethodTests):
    entry = METHODS["cnn3"]
