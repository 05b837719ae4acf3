"""Progress of what may take long, with the time that is left: a bar on a terminal, plain lines elsewhere.

All of it goes to standard error, and nothing for what is done at once. The time left is by the mean pace.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

AT_ONCE = 1.0  # seconds before a terminal shows anything; ours
FIRST, BETWEEN = 10.0, 60.0  # seconds before the first line of a log, and between its lines; ours
LINE = "{desc}: {n_fmt} of {total_fmt}, {elapsed} passed, {remaining} left"


def progress(
    items: Iterable[Any] | None = None, what: str = "", *, total: int | None = None, done: int = 0
) -> Any:
    """Return a `tqdm` over the items, or, without items, one whose `update()` is called for each.

    `what` is done to all; `total` says of how many, unless the items have a length, and `done` how many of
    them were done before.
    """
    shared = {"desc": what, "total": total, "initial": done, "leave": False, "smoothing": 0}
    if sys.stderr.isatty():
        return tqdm(items, **shared, file=sys.stderr, delay=AT_ONCE)
    lines = {"mininterval": FIRST, "miniters": 1, "position": 0, "bar_format": LINE}
    return tqdm(items, **shared, **lines, file=_Log(), delay=FIRST)


class _Log:
    """Prints what tqdm draws as lines, with pauses between them."""

    def __init__(self) -> None:
        self._last = float("-inf")

    def write(self, drawn: str) -> None:
        line = drawn.strip()
        if line and time.monotonic() - self._last >= BETWEEN:
            self._last = time.monotonic()
            print(line, file=sys.stderr, flush=True)

    def flush(self) -> None:
        """Do nothing: lines are flushed."""
