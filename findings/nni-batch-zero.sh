#!/usr/bin/env bash
# NNI's Batch tuner, told the results of earlier trials (as `nnictl resume` does), proposes those again whose result is exactly 0.
# It takes 0 for no result. A score of 0 is a result: of accuracy the worst, of a loss the best.
set -euo pipefail
pins=(nni==3.0 setuptools==81.0.0 numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check "${pins[@]}"
cd "$folder"

cat > seen <<'END'
told a: 0.0 and b: 0.5; proposes ['a', 'c']
END
venv/bin/python -W ignore > now <<'END'
from nni import NoMoreTrialError
from nni.algorithms.hpo.batch_tuner import BatchTuner

tuner = BatchTuner()
tuner.update_search_space({"combine_params": {"_type": "choice", "_value": ["a", "b", "c"]}})
tuner.import_data([{"parameter": "a", "value": 0.0}, {"parameter": "b", "value": 0.5}])
proposals = []
try:
    while True:
        proposals.append(tuner.generate_parameters(len(proposals)))
except NoMoreTrialError:
    print(f"told a: 0.0 and b: 0.5; proposes {proposals}")
END

echo "${pins[*]}"
cat now
diff -u seen now || { echo "CHANGED: nni-batch-zero"; exit 1; }
