"""What NNI starts as a trial: runs the stage that its parameters name, one of search, retrain and evaluate.

``python -m trials.stage --data DATA --out OUT --profile cpu`` asks NNI for parameters, a dict with
``stage`` and, as the stage needs them, ``fold``, ``folds``, ``layout`` and ``seed``; every other key is a
setting, ``retrain.epochs`` for one, that overrides the profile's. Results go to ``OUT/fold0/search``,
``OUT/fold0/enas7``, ..., ``OUT/evaluation``.
"""

from __future__ import annotations

import json
import os
import urllib.request
from typing import Any

import nni


def own_parameters() -> dict[str, Any]:
    """Return the parameters that NNI's manager has on record for this very trial.

    With several trials at a time NNI 3.0 hands queued parameters to whichever trial asks first
    (``V3asV1.start`` of its manager), so that its web UI and its tuner would take one trial's results for
    another's.
    """
    nni.get_next_parameter()  # marks the trial as started
    manager = os.environ["NNI_TRIAL_COMMAND_CHANNEL"].rpartition("/env/")[0]
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy to loopback
    with opener.open(f"{manager}/api/v1/nni/trial-jobs/{nni.get_trial_id()}", timeout=30) as answer:
        record = nni.load(json.load(answer)["hyperParameters"][0])
    nni.trial._params = record  # what NNI sends along with every result
    parameters: dict[str, Any] = record["parameters"]
    return parameters
