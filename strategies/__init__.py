"""How a space is searched: ENAS with shared weights, and its random control."""

from strategies.enas import ENAS
from strategies.random_sampling import RandomSampling

__all__ = ["ENAS", "RandomSampling"]
