#!/usr/bin/env bash
# GridSearchCV whose score is NaN everywhere ends well: it warns, ranks all candidates first, and takes the first of the list.
# roc_auc is NaN where a fold's test part holds one class alone, and one such fold makes the mean NaN. The order in which candidates are
# written down then decides, and refit=True fits that one. `error_score="raise"` does not help.
set -euo pipefail
pins=(scikit-learn==1.9.1 numpy==2.4.6 scipy==1.17.1)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check "${pins[@]}"
cd "$folder"

cat > seen <<'END'
C of [0.01, 1, 100]: best 0.01, score nan; ranks [1, 1, 1]; warned: UndefinedMetricWarning, UserWarning
C of [100, 1, 0.01]: best 100, score nan; ranks [1, 1, 1]; warned: UndefinedMetricWarning, UserWarning
END
venv/bin/python -W ignore > now <<'END'
import warnings

import numpy
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.svm import SVC

random = numpy.random.RandomState(0)
features, truth = random.normal(size=(30, 3)), numpy.isin(numpy.arange(30), (0, 20))
for candidates in ([0.01, 1, 100], [100, 1, 0.01]):
    search = GridSearchCV(SVC(), {"C": candidates}, scoring="roc_auc", cv=KFold(5), error_score="raise")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        search.fit(features, truth)
    kinds = sorted({one.category.__name__ for one in said})
    print(f"C of {candidates}: best {search.best_params_['C']}, score {search.best_score_}", end="; ")
    print(f"ranks {search.cv_results_['rank_test_score'].tolist()}; warned: {', '.join(kinds)}")
END

echo "${pins[*]}"
cat now
diff -u seen now || { echo "CHANGED: sklearn-search-nan"; exit 1; }
