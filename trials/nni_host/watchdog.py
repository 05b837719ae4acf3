"""End a trial that cannot come to a result: one that hangs, or one whose NNI manager is gone.

A trial hangs when it has no heartbeat for long; every batch that goes through a network is one. It prints
where it hung and is ended by whoever started the watch, so that NNI counts it as failed and goes on with the
others. A trial whose manager was killed has nobody to report to, and would block the experiment's next start.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from collections.abc import Callable

TICK = 1.0  # seconds
_heartbeats = 0


def heartbeat() -> None:
    """Tell the watch that this process is at work."""
    global _heartbeats
    _heartbeats += 1


def heartbeats() -> int:
    """Return how many heartbeats there have been."""
    return _heartbeats


def watch(patience: float, end: Callable[[], object]) -> None:
    """Watch this process from now on, in a thread; it hangs after `patience` seconds without a heartbeat.

    Then, or when the process that started it is gone, the reason is printed and `end` is called, once.
    """
    main = threading.main_thread().ident
    assert main is not None
    threading.Thread(target=_watch, args=(patience, os.getppid(), main, end), daemon=True).start()


def _watch(patience: float, parent: int, main: int, end: Callable[[], object]) -> None:
    seen, quiet = _heartbeats, 0.0
    while quiet < patience:  # counted, not read off a clock: a machine that was asleep has not hung
        time.sleep(TICK)
        seen, quiet = (seen, quiet + TICK) if seen == _heartbeats else (_heartbeats, 0.0)
        if os.getppid() != parent:
            _say("NNI's manager, which had started this trial, is gone")
            end()
            return
    traceback.print_stack(sys._current_frames()[main])
    _say(f"no batch in {patience / 60:g} minutes: the trial hangs where the lines above say")
    end()


def _say(reason: str) -> None:
    print(f"error: {reason}; started again, it goes on from its last epoch", file=sys.stderr, flush=True)
