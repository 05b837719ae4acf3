"""Find covariates that alone tell the class: known only after the diagnosis perhaps, or made with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from trials.data.covariates import Table, fit_coding
from trials.errors import DataError

BOUND = 0.95  # of the AUC; ours
_FOLDS = 5
_TREE = {"max_leaf_nodes": 16, "min_samples_leaf": 5, "random_state": 0}  # ours


def tell_tales(
    table: Table, labels: np.ndarray, classes: Sequence[str], groups: Sequence[str]
) -> Iterator[str]:
    """Yield a sentence for each column that tells a class from the others by an AUC above `BOUND`.

    Each image is scored by a small tree that has seen no image of its group. `labels` are indices [n] into
    `classes`. Classes of one group, and columns that cannot be coded, are passed over.
    """
    for name, cells in table.items():
        areas = {cls: _auc(cells, labels == index, groups) for index, cls in enumerate(classes)}
        told = {cls: area for cls, area in areas.items() if area > BOUND}
        if told:
            best = max(told, key=lambda cls: told[cls])
            yield (
                f"covariate {name} alone tells {best} from the rest (AUC {told[best]:.3f}, above {BOUND:g}); "
                "if it is known only after the diagnosis or made with it, leave it out of data.covariates"
            )


def _auc(cells: Sequence[str], positive: np.ndarray, groups: Sequence[str]) -> float:
    """Return the cross-fitted AUC of one column for one class against the rest; 0.5: it cannot be told."""
    from sklearn.metrics import roc_auc_score  # imported late, as all of it: seconds
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
    from sklearn.tree import DecisionTreeClassifier

    names = np.array(groups)
    folds = min(_FOLDS, *(len(np.unique(names[side])) for side in (positive, ~positive)))
    try:
        inputs = fit_coding({"": cells}, [""]).code({"": cells})
    except DataError:
        return 0.5
    if folds < 2:
        return 0.5
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=0)
    splits = list(splitter.split(inputs, positive, names))
    if not all(0 < positive[training].sum() < len(training) for training, _ in splits):
        return 0.5
    scores = cross_val_predict(
        DecisionTreeClassifier(**_TREE), inputs, positive, cv=splits, method="predict_proba"
    )[:, 1]
    return float(roc_auc_score(positive, scores))
