#!/usr/bin/env bash
# SVC(probability=True) can turn the order of its own decisions round: AUC 1 by decision_function, 0 by predict_proba, of the very data
# that it was fitted to. Platt's sigmoid is fitted by an inner cross-validation, and with few cases of a class its slope can take the wrong
# sign. scikit-learn's guide says that the two may be inconsistent; not that all of the order may be lost.
# Here: n cases of the one class, 2 standard deviations apart in one of five features, and 10 of the other; 30 draws each.
set -euo pipefail
pins=(scikit-learn==1.9.1 numpy==2.4.6 scipy==1.17.1)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check "${pins[@]}"
cd "$folder"

cat > seen <<'END'
2 of 10: AUC above 0.95 by decision, below 0.05 by probability in 17 of 30 draws
3 of 10: AUC above 0.95 by decision, below 0.05 by probability in 11 of 30 draws
5 of 10: AUC above 0.95 by decision, below 0.05 by probability in 4 of 30 draws
10 of 10: AUC above 0.95 by decision, below 0.05 by probability in 0 of 30 draws
END
venv/bin/python -W ignore > now <<'END'
import numpy
from sklearn.metrics import roc_auc_score
from sklearn.svm import SVC

for positives in (2, 3, 5, 10):
    turned = []
    for seed in range(30):
        random = numpy.random.RandomState(seed)
        features = random.normal(size=(positives + 10, 5))
        features[:positives, 0] += 2
        truth = numpy.arange(positives + 10) < positives
        model = SVC(probability=True, random_state=0).fit(features, truth)
        by_decision = roc_auc_score(truth, model.decision_function(features))
        by_probability = roc_auc_score(truth, model.predict_proba(features)[:, 1])
        turned.append(by_decision > 0.95 and by_probability < 0.05)
    print(f"{positives} of 10: AUC above 0.95 by decision, below 0.05 by probability in {sum(turned)} of 30 draws")
END

echo "${pins[*]}"
cat now
diff -u seen now || { echo "CHANGED: sklearn-platt-order"; exit 1; }
