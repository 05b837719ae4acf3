"""How a space is searched: ENAS with shared weights, and its random control."""

import search_space  # noqa: F401  # before NNI, of whose import it silences two harmless warnings
from strategies.enas import ENAS
from strategies.limit import Limit
from strategies.random_sampling import RandomSampling

__all__ = ["ENAS", "Limit", "RandomSampling"]
