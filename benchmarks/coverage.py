"""How often a cross-validated AUC's 95 % interval misses: python -m benchmarks.coverage

An interval by bootstrap takes the models as they are. The models of cross-validation share training images
and are tested on each other's, so that their AUCs err together, which no bootstrap over test images sees
(Bates, Hastie and Tibshirani, Journal of the American Statistical Association 119, 2024, 1434-1445). Made-up
features, normal in both classes and moved apart in one of them, are cross-validated by logistic regression;
the pooled AUC's interval is made as the report's, of 500 draws. The truth is the mean AUC on 4,000 new
images each of the models of all data sets. Writes `results/coverage.csv`, a row a setting.
"""

from __future__ import annotations

import csv
from itertools import product
from typing import Any

import numpy as np
from scipy.special import ndtri
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from benchmarks.measure import ROOT
from trials.evaluation.bootstrap import GroupBootstrap
from trials.evaluation.measures import auc
from trials.runs.provenance import provenance

IMAGES, FEATURES, FOLDS, BEST = (120, 630), (5, 50), (2, 5), (0.5, 0.65, 0.8, 0.9)
DATA_SETS, NEW = 200, 4000


def made(
    count: int, features: int, best: float, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return features [count, features] and labels [count]; no classifier has an AUC above `best`."""
    labels = np.arange(count) % 2
    images = random.normal(size=(count, features))
    images[:, 0] += np.sqrt(2) * ndtri(best) * labels
    return images, labels


def simulated(count: int, features: int, folds: int, best: float) -> dict[str, Any]:
    """Return one row: what so many data sets give, each cross-validated once."""
    random = np.random.default_rng([count, features, folds, int(100 * best)])
    truths, found = [], []
    for number in range(DATA_SETS):
        images, labels = made(count, features, best, random)
        new, new_labels = made(NEW, features, best, random)
        scores = np.empty(count)
        for training, test in StratifiedKFold(folds, shuffle=True, random_state=number).split(images, labels):
            model = LogisticRegression().fit(images[training], labels[training])
            scores[test] = model.decision_function(images[test])
            truths.append(auc(new_labels, model.decision_function(new))(np.ones((1, NEW)))[0])
        bootstrap = GroupBootstrap(labels, np.arange(count), draws=500, seed=number)
        found.append(bootstrap.interval(auc(labels, scores)))
    truth, width = np.mean(truths), np.mean([one.high - one.low for one in found])
    missed = np.mean([not one.low <= truth <= one.high for one in found])
    return {
        "images": count,
        "features": features,
        "folds": folds,
        "truth": round(float(truth), 3),
        "data_sets": DATA_SETS,
        "mean": round(float(np.mean([one.estimate for one in found])), 3),
        "sd": round(float(np.std([one.estimate for one in found], ddof=1)), 4),
        "sd_of_intervals": round(float(width / (2 * ndtri(0.975))), 4),
        "missed": round(float(missed), 3),
        "missed_sd": round(float(np.sqrt(missed * (1 - missed) / DATA_SETS)), 3),
        "commit": provenance()["commit"],
    }


def main() -> None:
    rows = [simulated(*setting) for setting in product(IMAGES, FEATURES, FOLDS, BEST)]
    with (ROOT / "results" / "coverage.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(ROOT / "results" / "coverage.csv")


if __name__ == "__main__":
    main()
