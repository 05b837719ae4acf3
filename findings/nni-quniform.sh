#!/usr/bin/env bash
# quniform [1, 5, 2] gives 1, 2 and 4, never 3 or 5: multiples count from 0, not from the lower end, and are then clipped to the
# range. Of [low, high, q] one expects low, low + q, low + 2q.
set -euo pipefail
pins=(nni==3.0 setuptools==81.0.0 numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check "${pins[@]}"
cd "$folder"

cat > seen <<'END'
quniform [1, 5, 2]: [1.0, 2.0, 4.0]
quniform [5, 25, 10]: [5.0, 10.0, 20.0]
quniform [3, 9, 3]: [3.0, 6.0, 9.0]
END
venv/bin/python -W ignore > now <<'END'
import logging

from nni.algorithms.hpo.random_tuner import RandomTuner
from nni import NoMoreTrialError

logging.disable(logging.INFO)  # NNI's own lines, with the time

for low, high, step in ((1, 5, 2), (5, 25, 10), (3, 9, 3)):
    tuner = RandomTuner(seed=0)
    tuner.update_search_space({"x": {"_type": "quniform", "_value": [low, high, step]}})
    values = set()
    try:
        for trial in range(100):
            values.add(tuner.generate_parameters(trial)["x"])
    except NoMoreTrialError:  # each value is proposed once
        pass
    print(f"quniform [{low}, {high}, {step}]: {sorted(values)}")
END

echo "${pins[*]}"
cat now
diff -u seen now || { echo "CHANGED: nni-quniform"; exit 1; }
