"""The figures of a method on one set of images of more than two classes: all together, and each alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import confusion_matrix

from trials.evaluation.bootstrap import Interval, Measure
from trials.evaluation.multiclass import brier, macro_auc, of_each_class, overall
from trials.report.methods import MethodRuns
from trials.report.summaries import Summary, accuracies_of_decided, measured, over_seeds
from trials.runs.collection import Predictions

MACRO_AUC = "auc_macro"
OF_CLASS = ("auc", "sensitivity", "specificity", "ppv", "f1")


@dataclass(frozen=True, eq=False)
class ClassSummary(Summary[Predictions]):
    """As `Summary`, of all classes by their macro AUC; and of each class against all others.

    `of_class` are by the class's name and the measure's; `images` are counted by class. `confusion` [k, k]
    counts images, mean over the seeds, in a row for each class that they are of and a column for each that
    they are called.
    """

    of_class: Mapping[str, Mapping[str, Interval]]
    images: Mapping[str, int]
    confusion: np.ndarray

    @property
    def shares(self) -> np.ndarray:
        """The confusion as shares of each row [k, k]; NaN for a class of no image."""
        total = self.confusion.sum(1, keepdims=True)
        shares: np.ndarray = np.divide(
            self.confusion, total, out=np.full_like(self.confusion, np.nan), where=total > 0
        )
        return shares


def summarise_classes(method: MethodRuns, predictions: Predictions, *, ordered: bool) -> ClassSummary:
    """Measure what a method said of these images, with 95 % intervals by bootstrap over their groups."""
    names = predictions.classes.names
    of_all = measured(
        method,
        predictions,
        MACRO_AUC,
        lambda part: macro_auc(part.labels, part.logits),
        lambda part: _measures(part, ordered=ordered),
    )
    found = over_seeds(predictions, _of_classes)
    counts = [
        confusion_matrix(part.labels, part.called, labels=range(len(names))) for part in predictions.each
    ]
    return ClassSummary(
        **vars(of_all),
        of_class={name: {of: found[f"{of}:{index}"] for of in OF_CLASS} for index, name in enumerate(names)},
        images=dict(zip(names, counts[0].sum(1).tolist(), strict=True)),
        confusion=np.mean(counts, axis=0),
    )


def _measures(predictions: Predictions, *, ordered: bool) -> dict[str, Measure]:
    labels, logits = predictions.labels, predictions.logits
    found = overall(labels, logits, predictions.called, ordered=ordered)
    del found["calibration_error"]  # which has no interval
    measures = {MACRO_AUC: found.pop(MACRO_AUC), **found, **accuracies_of_decided(predictions)}
    if predictions.calibrated is not None:
        tiny = np.finfo(float).tiny
        measures["brier_scaled"] = brier(labels, np.log(np.maximum(predictions.calibrated, tiny)))
    return measures


def _of_classes(predictions: Predictions) -> dict[str, Measure]:
    each = of_each_class(predictions.labels, predictions.logits, predictions.called)
    return {f"{name}:{number}": of for number, found in enumerate(each) for name, of in found.items()}
