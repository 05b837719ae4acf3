#!/usr/bin/env bash
# Results of NaN teach NNI's TPE nothing: it goes on proposing what fails nearly as often as chance does;
# and Medianstop never ends a trial whose first result is NaN.
# TPE sorts losses, and where NaN comes in the order is undefined; Medianstop compares the
# largest result, which is NaN then, and no comparison with NaN is true.
# Here trials fail where x is above 0.5 and otherwise score 1 - x. Told -1 for those that fail TPE keeps away from them.
set -euo pipefail
pins=(nni==3.0 setuptools==81.0.0 numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check "${pins[@]}"
cd "$folder"

cat > seen <<'END'
TPE, failed trials told as -1:  9% of the proposals after start-up fail
TPE, failed trials told as NaN: 44% of the proposals after start-up fail
Medianstop, others at 0.9, of 0.1, 0.1, 0.1: Bad
Medianstop, others at 0.9, of NaN, NaN, NaN: Good
Medianstop, others at 0.9, of NaN, 0.1, 0.1: Good
END
venv/bin/python -W ignore > now <<'END'
import logging
import numpy
from nni.algorithms.hpo.medianstop_assessor import MedianstopAssessor
from nni.algorithms.hpo.tpe_tuner import TpeTuner

logging.disable(logging.INFO)  # NNI's own lines, with the time


def share_of_failing(result_of_failed):
    shares = []
    for seed in range(20):
        tuner = TpeTuner(optimize_mode="maximize", seed=seed)
        tuner.update_search_space({"x": {"_type": "uniform", "_value": [0, 1]}})
        tried = []
        for trial in range(60):
            parameters = tuner.generate_parameters(trial)
            x = parameters["x"]
            tried.append(x)
            tuner.receive_trial_result(trial, parameters, result_of_failed if x > 0.5 else 1 - x)
        shares.append(numpy.mean(numpy.array(tried[20:]) > 0.5))
    return numpy.mean(shares)


nan = float("nan")
print(f"TPE, failed trials told as -1:  {share_of_failing(-1.0):.0%} of the proposals after start-up fail")
print(f"TPE, failed trials told as NaN: {share_of_failing(nan):.0%} of the proposals after start-up fail")

assessor = MedianstopAssessor(optimize_mode="maximize", start_step=0)
for trial in range(5):
    for steps in range(1, 6):
        assessor.assess_trial(trial, [0.9] * steps)
    assessor.trial_end(trial, True)
for name, results in (("0.1, 0.1, 0.1", [0.1] * 3), ("NaN, NaN, NaN", [nan] * 3), ("NaN, 0.1, 0.1", [nan, 0.1, 0.1])):
    print(f"Medianstop, others at 0.9, of {name}: {assessor.assess_trial(name, results).name}")
END

echo "${pins[*]}"
cat now
diff -u seen now || { echo "CHANGED: nni-nan-results"; exit 1; }
