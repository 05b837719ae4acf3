"""The search space: what can be searched, as plain data, as a network, and as a picture.

Each is loaded when first asked for: names and files are checked before torch is there, which takes seconds.
"""

import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

# On import NNI takes two names of torch.nn for modules, and says so. Harmless.
warnings.filterwarnings(
    "ignore", r"<class 'torch\.nn\.(parameter|modules\.linear_cross_entropy_options)\.", RuntimeWarning
)

if TYPE_CHECKING:
    from search_space.boosted_efficientnet import BoostedEfficientNet
    from search_space.enas.architecture import KINDS, OPERATIONS, Architecture, CellArchitecture, Edge
    from search_space.enas.cost import macs, parameters
    from search_space.enas.drawing import draw
    from search_space.enas.layouts import Layout, layout
    from search_space.enas.network import Cell, EnasSpace, FinalCell

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
    "macs",
    "parameters",
]
_HOMES = {
    **dict.fromkeys(("KINDS", "OPERATIONS", "Architecture", "CellArchitecture", "Edge"), "enas.architecture"),
    "BoostedEfficientNet": "boosted_efficientnet",
    **dict.fromkeys(("macs", "parameters"), "enas.cost"),
    "draw": "enas.drawing",
    **dict.fromkeys(("Layout", "layout"), "enas.layouts"),
    **dict.fromkeys(("Cell", "EnasSpace", "FinalCell"), "enas.network"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"search_space.{_HOMES[name]}"), name)
