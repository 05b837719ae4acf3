"""The search space: what can be searched, as plain data, as a network, and as a picture."""

from search_space.architecture import KINDS, OPERATIONS, Architecture, CellArchitecture, Edge
from search_space.boosted_efficientnet import BoostedEfficientNet
from search_space.cost import multiply_adds, parameters
from search_space.drawing import draw
from search_space.layouts import Layout, layout
from search_space.network import Cell, EnasSpace, FinalCell

__all__ = [
    "KINDS",
    "OPERATIONS",
    "Architecture",
    "BoostedEfficientNet",
    "Cell",
    "CellArchitecture",
    "Edge",
    "EnasSpace",
    "FinalCell",
    "Layout",
    "draw",
    "layout",
    "multiply_adds",
    "parameters",
]
