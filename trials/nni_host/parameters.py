"""A trial's parameters, as the tuner meant them for it, read as plain JSON.

`nni.load`, by which NNI 3.0 reads them, builds objects of whatever class the text names, and the text comes
from its web API.
"""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import IO, Any

import nni

from trials.errors import ParametersError


def trial_parameters() -> dict[str, Any]:
    """Return the parameters that NNI's manager has on record for this very trial.

    With several trials at a time NNI 3.0 hands queued parameters to whichever trial asks first
    (``V3asV1.start`` of its manager), so that its web UI and its tuner would take one trial's results for
    another's. A trial on another host has the manager's address as seen from there in LESION_NAS_MANAGER.
    Raises `ParametersError` for a record of anything but parameters by name.
    """
    from nni.runtime.trial_command_channel import local_legacy

    with plain_json(nni, local_legacy):
        parameters: object = nni.get_next_parameter()  # marks the trial as started
    channel = os.environ.get("NNI_TRIAL_COMMAND_CHANNEL")
    if channel is None:  # NNI's older training services, such as kubeflow: each trial has a file of its own
        return meant(parameters)
    manager = os.environ.get("LESION_NAS_MANAGER") or channel.rpartition("/env/")[0]
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy to loopback
    with opener.open(f"{manager}/api/v1/nni/trial-jobs/{nni.get_trial_id()}", timeout=30) as answer:
        record = json.loads(json.load(answer)["hyperParameters"][0])
    nni.trial._params = record  # what NNI sends along with every result
    return meant(record["parameters"])


def meant(parameters: object) -> dict[str, Any]:
    """Return parameters with None for the word "null": null itself in a search space empties NNI's web UI."""
    if not isinstance(parameters, Mapping):
        raise ParametersError(f"expected a trial's parameters by name, found {parameters!r:.80}")
    return {name: None if value == "null" else value for name, value in parameters.items()}


@contextmanager
def plain_json(*modules: ModuleType) -> Iterator[None]:
    """Let modules of NNI's read plain JSON by their function `load` during the block."""
    own = [module.load for module in modules]
    try:
        for module in modules:
            module.load = _load  # type: ignore[attr-defined]
        yield
    finally:
        for module, load in zip(modules, own, strict=True):
            module.load = load  # type: ignore[attr-defined]


def _load(text: str | None = None, *, fp: IO[str] | None = None) -> Any:
    return json.loads(text or "") if fp is None else json.load(fp)
