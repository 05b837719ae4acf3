"""How a space is searched: ENAS with shared weights, and its random control.

Both are loaded when first asked for: NNI loads :mod:`strategies.tuner` through this package, and its manager
waits ten seconds for a tuner to connect, less than importing torch can take.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from strategies.enas import ENAS
    from strategies.random_sampling import RandomSampling

__all__ = ["ENAS", "RandomSampling"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import search_space  # noqa: F401  # before NNI, of whose import it silences two harmless warnings
    from strategies import enas, random_sampling

    return enas.ENAS if name == "ENAS" else random_sampling.RandomSampling
