"""NNI's process for tuner and assessor, which here reads what it is told as plain JSON.

``python -m trials.nni_host.dispatcher ARGUMENTS`` stands in for ``python -m nni ARGUMENTS``, whose `nni.load`
builds objects of whatever class the text names: text that comes from the web API.
"""

from __future__ import annotations

import runpy

from trials.nni_host.parameters import plain_json


def main() -> None:
    """Run ``python -m nni``."""
    from nni.runtime import msg_dispatcher, msg_dispatcher_base

    with plain_json(msg_dispatcher, msg_dispatcher_base):
        runpy.run_module("nni", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
