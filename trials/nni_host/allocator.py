"""The memory allocator of what trains: mimalloc, in place of the C library's.

A training step asks for memory some ten thousand times, in blocks of all sizes, and glibc's allocator takes a
fifth of the step. What is computed stays the same to the last bit. A process takes its allocator when it
starts, so that one that is to train starts itself again.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, files

PACKAGE, LIBRARY = "cmeel-mimalloc", "libmimalloc.so"
PRELOADED = "LD_PRELOAD"


def restart_with_mimalloc() -> None:
    """Start this process again with mimalloc, the same command in its place.

    To be called before anything is imported that takes time. Nothing happens where mimalloc is not installed,
    nor where a library is preloaded already: by this function, or by the user, whose it may be an allocator.
    """
    if PRELOADED not in os.environ and (variables := with_mimalloc()):
        os.execve(sys.executable, sys.orig_argv, {**os.environ, **variables})


def with_mimalloc() -> Mapping[str, str]:
    """Return the variables of a process with mimalloc; none where it is not installed."""
    try:
        installed = files(PACKAGE) or []
    except PackageNotFoundError:
        return {}
    library = next((str(file.locate()) for file in installed if file.name == LIBRARY), None)
    # What is freed is kept for the next step: giving it back to the system, and taking it again, costs much
    # of what mimalloc gains.
    return {PRELOADED: library, "MIMALLOC_PURGE_DELAY": "-1"} if library else {}
