#!/usr/bin/env bash
# NNI's GP and Metis tuners give ten proposals and then fail with SciPy 1.17, on any space.
# Both draw their first ten at random; the eleventh is the first that minimises an acquisition function, whose start they hand to
# scipy.optimize.minimize as an array of two dimensions. NNI 3.0 asks for no upper limit of SciPy.
set -euo pipefail
pins=(nni==3.0 setuptools==81.0.0 numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check "${pins[@]}"
cd "$folder"

cat > seen <<'END'
GPTuner: 10 proposals, then ValueError: 'x0' must only have one dimension.
MetisTuner: 10 proposals, then ValueError: 'x0' must only have one dimension.
END
venv/bin/python -W ignore > now <<'END'
from nni.algorithms.hpo.gp_tuner import GPTuner
from nni.algorithms.hpo.metis_tuner import MetisTuner

for kind in (GPTuner, MetisTuner):
    tuner = kind(optimize_mode="maximize")
    tuner.update_search_space({"x": {"_type": "uniform", "_value": [0, 1]}})
    given = 0
    try:
        while given < 20:
            parameters = tuner.generate_parameters(given)
            tuner.receive_trial_result(given, parameters, parameters["x"])
            given += 1
        print(f"{kind.__name__}: {given} proposals")
    except Exception as error:
        print(f"{kind.__name__}: {given} proposals, then {type(error).__name__}: {error}")
END

echo "${pins[*]}"
cat now
diff -u seen now || { echo "CHANGED: nni-gp-scipy"; exit 1; }
