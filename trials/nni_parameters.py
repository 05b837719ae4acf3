"""A trial's parameters, as the tuner meant them for it."""

from __future__ import annotations

import json
import os
import signal
import urllib.request
from collections.abc import Mapping
from typing import Any

import nni


def own_parameters() -> dict[str, Any]:
    """Return the parameters that NNI's manager has on record for this very trial.

    With several trials at a time NNI 3.0 hands queued parameters to whichever trial asks first
    (``V3asV1.start`` of its manager), so that its web UI and its tuner would take one trial's results for
    another's. A trial on another host has the manager's address as seen from there in LESION_NAS_MANAGER.
    """
    # NNI ends a trial by this signal. One that exits of it, instead of dying, it takes for failed.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    parameters: dict[str, Any] = nni.get_next_parameter()  # marks the trial as started
    channel = os.environ.get("NNI_TRIAL_COMMAND_CHANNEL")
    if channel is None:  # NNI's older training services, such as kubeflow: each trial has a file of its own
        return meant(parameters)
    manager = os.environ.get("LESION_NAS_MANAGER") or channel.rpartition("/env/")[0]
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy to loopback
    with opener.open(f"{manager}/api/v1/nni/trial-jobs/{nni.get_trial_id()}", timeout=30) as answer:
        record = nni.load(json.load(answer)["hyperParameters"][0])
    nni.trial._params = record  # what NNI sends along with every result
    return meant(record["parameters"])


def meant(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters with None for the word "null": null itself in a search space empties NNI's web UI."""
    return {name: None if value == "null" else value for name, value in parameters.items()}
