"""What is said wherever more than two classes are evaluated as two."""

from __future__ import annotations

from collections.abc import Collection


def as_two(classes: Collection[str], positive: str) -> list[str]:
    """Return a sentence for more than two classes: every measure knows the positive one and the others."""
    if len(classes) <= 2:
        return []
    return [
        f"{len(classes)} classes ({', '.join(classes)}) are evaluated as two, {positive} against all others "
        "together: no measure tells the others apart"
    ]
