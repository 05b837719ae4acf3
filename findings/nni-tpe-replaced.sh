#!/usr/bin/env bash
# Most of what NNI's TPE proposes in a small space of choices is thrown away, and the next point of a grid is tried instead.
# TPE proposes a combination again when it thinks it good; NNI's Deduplicator then takes the first untried point in the order
# of a grid search, and says so once, at level INFO. With other samplers a repeated proposal is drawn again, or evaluated again.
# Here: 4 choices of 4 values, the score their sum, 50 trials, the first 20 at random.
set -euo pipefail
pins=(nni==3.0 setuptools==81.0.0 numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check "${pins[@]}"
cd "$folder"

cat > seen <<'END'
replaced, of the 30 proposals after start-up, by seed: [29, 29, 28, 28, 27, 28, 29, 26, 29, 25]
mean 27.8
END
venv/bin/python -W ignore > now <<'END'
import logging
import numpy
from nni.algorithms.hpo.tpe_tuner import TpeTuner

logging.disable(logging.INFO)  # NNI's own lines, with the time

SPACE = {f"choice{i}": {"_type": "choice", "_value": [0, 1, 2, 3]} for i in range(4)}
replaced = []
for seed in range(10):
    tuner = TpeTuner(optimize_mode="maximize", seed=seed)
    tuner.update_search_space(SPACE)
    own, changed = tuner.dedup, []

    def watched(proposal):
        result = own(proposal)
        changed.append(result != proposal)
        return result

    tuner.dedup = watched
    for trial in range(50):
        parameters = tuner.generate_parameters(trial)
        tuner.receive_trial_result(trial, parameters, sum(parameters.values()))
    replaced.append(sum(changed[20:]))
print(f"replaced, of the 30 proposals after start-up, by seed: {replaced}")
print(f"mean {numpy.mean(replaced):.1f}")
END

echo "${pins[*]}"
cat now
diff -u seen now || { echo "CHANGED: nni-tpe-replaced"; exit 1; }
