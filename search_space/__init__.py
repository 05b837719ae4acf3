"""The search space: what can be searched, as plain data, as a network, and as a picture.

Names are loaded when first used. `Architecture`, `parameters` and `macs` need NumPy alone, `draw` matplotlib
too, `EnasNetwork` PyTorch, the others also NNI, whose import takes seconds.
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
    from search_space.boosted_space import BoostedArchitecture, BoostedSpace
    from search_space.enas.architecture import Architecture
    from search_space.enas.cost import macs, parameters
    from search_space.enas.drawing import draw
    from search_space.enas.final_network import EnasNetwork
    from search_space.enas.network import EnasSpace

__all__ = [
    "Architecture",
    "BoostedArchitecture",
    "BoostedEfficientNet",
    "BoostedSpace",
    "EnasNetwork",
    "EnasSpace",
    "draw",
    "macs",
    "parameters",
]
_HOMES = {
    "Architecture": "enas.architecture",
    "BoostedArchitecture": "boosted_space",
    "BoostedEfficientNet": "boosted_efficientnet",
    "BoostedSpace": "boosted_space",
    "EnasNetwork": "enas.final_network",
    "EnasSpace": "enas.network",
    "draw": "enas.drawing",
    "macs": "enas.cost",
    "parameters": "enas.cost",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"search_space.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})  # a notebook completes names that are not loaded yet
