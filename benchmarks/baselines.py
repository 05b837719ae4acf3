"""Cheap baselines on the same outer folds as the networks: python -m benchmarks.baselines DATA

- geometry: width, height and their ratio of the lesion's box; logistic regression. It sees no pixel.
- hog: histograms of oriented gradients (Dalal and Triggs 2005) of the crop at 100x100, 10x10 pixels a cell;
  an SVM with an RBF kernel, its C chosen by grouped cross-validation within the training folds.

Unlike the contestants of the same names they learn from all images outside the test fold, and decide where
the classifier does. Needs `pip install 'lesion-nas[contestants]'`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from trials.contestants.features import geometry, gradients
from trials.data.folds import assign_folds
from trials.data.sources import load
from trials.metrics import RATES, mean_and_spread, score

BASELINES = {
    "geometry": (geometry, make_pipeline(StandardScaler(), LogisticRegression()), {}),
    "hog": (gradients, SVC(), {"C": [1, 3, 10, 30]}),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("--folds", type=int, default=5)
    arguments = parser.parse_args()
    data = load(arguments.data)
    folds = assign_folds(data, arguments.folds)
    positive = data.labels == data.classes.index(data.positive)
    result = {}
    groups = np.array(data.groups)
    for name, (features_of, classifier, choices) in BASELINES.items():
        features = features_of(data, np.arange(len(data.files)))
        scores = []
        for fold in range(folds.count):
            training, test = folds.split(fold)
            inner = StratifiedGroupKFold(3, shuffle=True, random_state=0)
            model = GridSearchCV(classifier, choices, scoring="roc_auc", cv=inner)
            model.fit(features[training], positive[training], groups=groups[training])
            # A decision function of 0 is where both classifiers decide.
            scores.append(score(positive[test], model.decision_function(features[test]), 0.0).to_dict())
        result[name] = {rate: mean_and_spread([one[rate] for one in scores]) for rate in RATES}
    print(json.dumps({"data": data.name, "n": len(data.files), "folds": folds.source, **result}, indent=2))


if __name__ == "__main__":
    main()
