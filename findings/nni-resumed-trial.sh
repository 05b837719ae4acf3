#!/usr/bin/env bash
# A trial that was running when an experiment stopped runs again after `nnictl resume`, but tuner and assessor do not hear of it: a grid proposes
# its point once more, and no assessor ends it, however bad it is. One would expect it to be a trial like others.
# NNI 3.0's manager tells its dispatcher of such trials, which notes their numbers, does not give the tuner their parameters, and passes their
# intermediate results over. Here the dispatcher is given what the manager sends when an experiment of two trials, one finished, is resumed.
set -euo pipefail
pins=(nni==3.0 setuptools==81.0.0 numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check "${pins[@]}"
cd "$folder"

cat > seen <<'END'
x = 1 has finished, x = 2 runs again; the grid of 1, 2, 3, 4 proposes [2, 3, 4]
new trial, 0.9: not ended
new trial, 0.9: not ended
new trial, 0.1: ended
resumed trial, 0.1: not ended
END
venv/bin/python -W ignore > now <<'END'
import json
import logging

from nni.algorithms.hpo.gridsearch_tuner import GridSearchTuner
from nni.algorithms.hpo.medianstop_assessor import MedianstopAssessor
from nni.runtime.msg_dispatcher import MsgDispatcher

logging.disable(logging.WARNING)  # NNI's own lines, with the time

dispatcher = MsgDispatcher("ws://_unittest_", GridSearchTuner(), MedianstopAssessor("maximize", start_step=0))
sent = []
dispatcher.send = lambda command, data: sent.append((command.name, data))
dispatcher.handle_initialize({"x": {"_type": "choice", "_value": [1, 2, 3, 4]}})
dispatcher.handle_import_data([{"parameter": {"x": 1}, "value": 0.9, "trialJobId": "job0"}])
resumed = {"parameter_id": 1, "parameter_source": "resumed", "parameters": {"x": 2}, "parameter_index": 0}
dispatcher.handle_add_customized_trial([resumed])
dispatcher.handle_request_trial_jobs(3)
new = [json.loads(data) for command, data in sent if command == "NewTrialJob"]
print(f"x = 1 has finished, x = 2 runs again; the grid of 1, 2, 3, 4 proposes {[one['parameters']['x'] for one in new]}")

for kind, number, score in (*zip(["new"] * 3, [one["parameter_id"] for one in new], (0.9, 0.9, 0.1)), ("resumed", 1, 0.1)):
    job, sent[:] = {"trial_job_id": f"job{number}", "parameter_id": number}, []
    dispatcher.handle_report_metric_data({**job, "type": "PERIODICAL", "sequence": 0, "value": json.dumps(score)})
    ended = any(command == "KillTrialJob" for command, _ in sent)
    print(f"{kind} trial, {score}: {'ended' if ended else 'not ended'}")
    event = "EARLY_STOPPED" if ended else "SUCCEEDED"
    dispatcher.handle_trial_end({"trial_job_id": f"job{number}", "event": event, "hyper_params": json.dumps(job)})
END

echo "${pins[*]}"
cat now
diff -u seen now || { echo "CHANGED: nni-resumed-trial"; exit 1; }
