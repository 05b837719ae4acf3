#!/usr/bin/env bash
# A trial that an assessor ends is never told to the tuner: it proposes as if the trial had not been.
# NNI 3.0 has code that tells the tuner its last intermediate result, under a variable that its manager sets from
# `config.deprecated.includeIntermediateResults`; its Python settings have no such field, so that it is always false. Bad trials, the
# very ones that an assessor ends, are so missing from what TPE learns from. Here NNI's own dispatcher is given what its manager sends.
set -euo pipefail
pins=(nni==3.0 setuptools==81.0.0 numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check "${pins[@]}"
cd "$folder"

cat > seen <<'END'
trial 0, score 0.9: SUCCEEDED; results that TPE knows: 1
trial 1, score 0.9: SUCCEEDED; results that TPE knows: 2
trial 2, score 0.9: SUCCEEDED; results that TPE knows: 3
trial 3, score 0.1: EARLY_STOPPED; results that TPE knows: 3
waiting in the dispatcher's queue: 0
settings for it: []
END
venv/bin/python -W ignore > now <<'END'
import logging
import os
from dataclasses import fields

os.environ["NNI_INCLUDE_INTERMEDIATE_RESULTS"] = "false"  # as nni_node/core/nnimanager.js sets it

from nni.algorithms.hpo.medianstop_assessor import MedianstopAssessor
from nni.algorithms.hpo.tpe_tuner import TpeTuner
from nni.common import dump
from nni.experiment.config import ExperimentConfig
from nni.runtime.msg_dispatcher import MsgDispatcher

logging.disable(logging.INFO)  # NNI's own lines, with the time

tuner = TpeTuner(optimize_mode="maximize", seed=0)
dispatcher = MsgDispatcher("ws://_unittest_", tuner, MedianstopAssessor(optimize_mode="maximize", start_step=0))
sent = []
dispatcher.send = lambda command, data: sent.append(command.name)
dispatcher.handle_initialize({"x": {"_type": "uniform", "_value": [0, 1]}})
dispatcher.handle_request_trial_jobs(4)

for trial, score in ((0, 0.9), (1, 0.9), (2, 0.9), (3, 0.1)):
    job = {"trial_job_id": f"job{trial}", "parameter_id": trial}
    dispatcher.handle_report_metric_data({**job, "type": "PERIODICAL", "sequence": 0, "value": dump(score)})
    ended = "KillTrialJob" in sent
    if not ended:
        dispatcher.handle_report_metric_data({**job, "type": "FINAL", "sequence": 0, "value": dump(score)})
    event = "EARLY_STOPPED" if ended else "SUCCEEDED"
    dispatcher.handle_trial_end(
        {"trial_job_id": f"job{trial}", "event": event, "hyper_params": dump({"parameter_id": trial})}
    )
    print(f"trial {trial}, score {score}: {event}; results that TPE knows: {len(tuner._history[('x',)])}")
print(f"waiting in the dispatcher's queue: {dispatcher.default_command_queue.qsize()}")
settings = [field.name for field in fields(ExperimentConfig) if "intermediate" in field.name or "deprecated" in field.name]
print(f"settings for it: {settings}")
END

echo "${pins[*]}"
cat now
diff -u seen now || { echo "CHANGED: nni-medianstop-unheard"; exit 1; }
