"""What whoever ran into an error is told, by the command and by trials."""

from __future__ import annotations


class TrainingError(RuntimeError):
    """A training that cannot go on."""


def in_words(error: Exception) -> str:
    """Return an error as a sentence; of one that nobody foresaw, also where to look."""
    if isinstance(error, OSError):
        return f"{error}; what was saved before is whole, and the same command goes on from there"
    if type(error).__module__.startswith(("trials.", "search_space.", "strategies.")) or isinstance(
        error, ValueError
    ):
        return str(error)
    return f"{type(error).__name__}: {error} (not foreseen; --debug shows where)"
