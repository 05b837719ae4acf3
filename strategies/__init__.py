"""How a space is searched with shared weights: ENAS, and its controls.

Names are loaded when first used: NNI imports :mod:`strategies.tuner` through this package, and its manager
waits ten seconds for a tuner to connect, less than importing torch can take.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from strategies.enas import ENAS
    from strategies.evolution import RegularizedEvolution
    from strategies.limit import Limit
    from strategies.local_search import LocalSearch
    from strategies.nni_trial import InProcessEngine
    from strategies.random_sampling import RandomSampling

__all__ = ["ENAS", "InProcessEngine", "Limit", "LocalSearch", "RandomSampling", "RegularizedEvolution"]
_HOMES = {
    "ENAS": "strategies.enas",
    "InProcessEngine": "strategies.nni_trial",
    "Limit": "strategies.limit",
    "LocalSearch": "strategies.local_search",
    "RandomSampling": "strategies.random_sampling",
    "RegularizedEvolution": "strategies.evolution",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import_module("search_space")  # before NNI, of whose import it silences two harmless warnings
    return getattr(import_module(_HOMES[name]), name)
