"""What NNI's manager starts on another host: its keeper of trials, behind the changes of `nni_manager.cjs`.

``python -m trials.nni_host.trial_keeper FOLDER`` stands in for NNI's
``nni.tools.nni_manager_scripts.launch_trial_keeper``.
The keeper, a node process, has a web server of its own; it is bound to loopback. It gives up at once where
the manager does not answer, so the tunnel to that is waited for.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from nni.tools.nni_manager_scripts.launch_trial_keeper import main as launch_trial_keeper

from trials.nni_host.experiment import no_proxy, node_options

WAIT_SECONDS = 60.0


def wait_for(host: str, port: int) -> None:
    """Return once somebody answers at a port, or after a minute."""
    end = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < end:
        with suppress(OSError), socket.create_connection((host, port), timeout=5):
            return
        time.sleep(1)


def main() -> None:
    """Start the keeper that FOLDER, the first argument, describes; print NNI's JSON about it."""
    described = json.loads(Path(sys.argv[1], "launcher_config.json").read_text(encoding="utf-8"))
    manager = urlsplit(described["managerCommandChannel"])
    wait_for(manager.hostname or "localhost", manager.port or 80)
    os.environ |= {"NODE_OPTIONS": node_options(), **no_proxy(manager.hostname or "localhost")}
    launch_trial_keeper()


if __name__ == "__main__":
    main()
