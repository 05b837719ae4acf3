"""Measures of three classes by hand, and in weighted draws as scikit-learn and torchmetrics have them."""

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from scipy.special import expit, logit, softmax
from sklearn import metrics
from torchmetrics.functional.classification import multiclass_calibration_error

from trials.evaluation import measures
from trials.evaluation.bootstrap import GroupBootstrap, Measure
from trials.evaluation.calibration import expected_calibration_error
from trials.evaluation.decisions import class_log_odds
from trials.evaluation.multiclass import absent, class_aucs, kappa, macro_auc, of_each_class, overall

# Six images, two a class, and their probabilities.
LABELS = np.array([0, 0, 1, 1, 2, 2])
PROBABILITIES = np.array(
    [[0.7, 0.2, 0.1], [0.4, 0.5, 0.1], [0.2, 0.6, 0.2], [0.5, 0.3, 0.2], [0.1, 0.1, 0.8], [0.3, 0.3, 0.4]]
)
LOGITS = np.log(PROBABILITIES)
CALLED = PROBABILITIES.argmax(1)  # 0 1 1 0 2 2
ONCE = np.ones((1, 6))


def value(measure: Measure, n: int = 6) -> float:
    return float(measure(np.ones((1, n)))[0])


def values(found: Mapping[str, Measure], n: int = 6) -> dict[str, float]:
    return {name: value(measure, n) for name, measure in found.items()}


def test_areas_worked_by_hand() -> None:
    # Class 0: 0.7 beats 0.2 0.5 0.1 0.3, 0.4 beats three of them: 7 of 8. Class 1: 0.6 beats 0.2 0.5 0.1 0.3;
    # 0.3 beats 0.2 and 0.1, loses to 0.5 and ties 0.3: 4 + 2.5 of 8. Class 2: 0.8 and 0.4 beat all.
    areas = (7 / 8, 6.5 / 8, 1)
    assert class_aucs(LABELS, LOGITS)(ONCE)[0] == pytest.approx(areas)
    found = overall(LABELS, LOGITS, CALLED)
    assert value(found["auc_macro"]) == pytest.approx(sum(areas) / 3)
    assert value(macro_auc(LABELS, LOGITS)) == value(found["auc_macro"])
    # Class 0 drawn three times as often: its AUC counts 3 of 5, and its copies change no AUC of the others
    # but class 1's: 0.6 beats all, 0.3 beats 0.2 (3), 0.1 (1) and ties 0.3 (1): 8 + 4.5 of 16.
    thrice = np.array([[3.0, 3, 1, 1, 1, 1]])
    assert found["auc_weighted"](thrice)[0] == pytest.approx((6 * 7 / 8 + 2 * 12.5 / 16 + 2 * 1) / 10)


def test_pairs_of_classes_worked_by_hand() -> None:
    # 0 and 1: by class 0, 0.7 and 0.4 against 0.2 and 0.5: 3 of 4; by class 1, 0.6 and 0.3 against 0.2 and
    # 0.5: 3 of 4. 0 and 2: by class 0, 0.7 0.4 over 0.1 0.3: all; by class 2 all. 1 and 2: by class 1, 0.6
    # and 0.3 against 0.1 and 0.3: 3.5 of 4; by class 2, 0.8 0.4 over 0.2 0.2: all.
    pairs = ((3 / 4 + 3 / 4) / 2, 1, (3.5 / 4 + 1) / 2)
    assert value(overall(LABELS, LOGITS, CALLED)["auc_one_vs_one"]) == pytest.approx(sum(pairs) / 3)


def test_calls_worked_by_hand() -> None:
    # Called 0 1 | 1 0 | 2 2. Rightly 1, 1, 2 of two each; wrongly called so 1, 1, 0 of four others.
    each = of_each_class(LABELS, LOGITS, CALLED)
    found = [values(rates) for rates in each]
    assert [rates["sensitivity"] for rates in found] == pytest.approx([1 / 2, 1 / 2, 1])
    assert [rates["specificity"] for rates in found] == pytest.approx([3 / 4, 3 / 4, 1])
    assert [rates["ppv"] for rates in found] == pytest.approx([1 / 2, 1 / 2, 1])
    assert [rates["f1"] for rates in found] == pytest.approx([2 / 4, 2 / 4, 4 / 4])
    of_all = values(overall(LABELS, LOGITS, CALLED))
    assert of_all["accuracy"] == pytest.approx(4 / 6)
    assert of_all["balanced_accuracy"] == pytest.approx((1 / 2 + 1 / 2 + 1) / 3)
    assert of_all["macro_f1"] == pytest.approx((1 / 2 + 1 / 2 + 1) / 3)
    assert of_all["kappa"] == pytest.approx((4 / 6 - 1 / 3) / (1 - 1 / 3))  # a third by chance


def test_probabilities_worked_by_hand() -> None:
    found = values(overall(LABELS, LOGITS, CALLED))
    assert found["log_loss"] == pytest.approx(-np.log([0.7, 0.4, 0.6, 0.3, 0.8, 0.4]).mean())
    # 0.3^2 + 0.2^2 + 0.1^2; 0.6^2 + 0.5^2 + 0.1^2; and so on.
    assert found["brier"] == pytest.approx((0.14 + 0.62 + 0.24 + 0.78 + 0.06 + 0.54) / 6)
    # Likeliest, bins (0.3, 0.4]: 0.4 right; (0.4, 0.5]: 0.5 and 0.5, both wrong; 0.6, 0.7, 0.8, all right.
    # Logarithms round: exp(log(0.4)) may lie in the next bin, but none of these holds another image.
    assert found["calibration_error"] == pytest.approx((0.6 + 1.0 + 0.4 + 0.3 + 0.2) / 6)


def test_ordered_classes_worked_by_hand() -> None:
    # Truth 0 0 1 2, called 0 2 1 1: costs 0, 4, 0, 1 by squares and 0, 2, 0, 1 by grades. By chance, truth in
    # shares 1/2 1/4 1/4 and calls 1/4 1/2 1/4: 1/2 (1/2 * 1 + 1/4 * 4) + 1/4 (1/4 + 1/4) + 1/4 (1/4 * 4 +
    # 1/2 * 1) = 1.25, and by grades 1/2 (1/2 + 1/2) + 1/8 + 1/4 (1/2 + 1/2) = 0.875.
    labels, called, logits = [0, 0, 1, 2], [0, 2, 1, 1], np.zeros((4, 3))
    found = values(overall(labels, logits, called, ordered=True), 4)
    assert found["mean_absolute_error"] == pytest.approx(3 / 4)
    assert found["quadratic_kappa"] == pytest.approx(1 - (5 / 4) / 1.25)
    assert value(kappa(labels, called, 3, power=1), 4) == pytest.approx(1 - (3 / 4) / 0.875)
    assert "quadratic_kappa" not in overall(labels, logits, called)


def test_weights_mean_repetition_as_scikit_learn_has_it() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 4, 60)
    logits = np.round(random.normal(size=(60, 4)) + np.eye(4)[labels], 1)  # some ties
    called = logits.argmax(1)
    weights = random.integers(0, 4, size=(4, 60)).astype(float)
    found = overall(labels, logits, called, ordered=True)
    each = of_each_class(labels, logits, called)
    for row in weights:
        image = np.repeat(np.arange(60), row.astype(int))
        truth, given, scores = labels[image], called[image], softmax(logits[image], axis=1)
        macro = {"average": "macro"}
        expected = {
            "accuracy": metrics.accuracy_score(truth, given),
            "balanced_accuracy": metrics.balanced_accuracy_score(truth, given),
            "macro_f1": metrics.f1_score(truth, given, **macro),
            "auc_macro": metrics.roc_auc_score(truth, scores, multi_class="ovr", **macro),
            "auc_weighted": metrics.roc_auc_score(truth, scores, multi_class="ovr", average="weighted"),
            "auc_one_vs_one": metrics.roc_auc_score(truth, scores, multi_class="ovo", **macro),
            "kappa": metrics.cohen_kappa_score(truth, given),
            "quadratic_kappa": metrics.cohen_kappa_score(truth, given, weights="quadratic"),
            "mean_absolute_error": metrics.mean_absolute_error(truth, given),
            "log_loss": metrics.log_loss(truth, scores),
            "brier": metrics.brier_score_loss(truth, scores),
            "calibration_error": multiclass_calibration_error(
                torch.tensor(scores), torch.tensor(truth), num_classes=4, n_bins=10
            ).item(),
        }
        assert {name: measure(row[None])[0] for name, measure in found.items()} == pytest.approx(
            expected, abs=1e-6
        )
        linear = metrics.cohen_kappa_score(truth, given, weights="linear")
        assert kappa(labels, called, 4, power=1)(row[None])[0] == pytest.approx(linear)
        ppv, sensitivity, f1, _ = metrics.precision_recall_fscore_support(truth, given)
        for one, rates in enumerate(each):
            of_one = {name: rate(row[None])[0] for name, rate in rates.items()}
            assert of_one == pytest.approx(
                {
                    "auc": metrics.roc_auc_score(truth == one, scores[:, one]),
                    "sensitivity": sensitivity[one],
                    "specificity": metrics.recall_score(truth != one, given != one),
                    "ppv": ppv[one],
                    "f1": f1[one],
                }
            )


def test_two_classes_give_the_two_class_measures() -> None:
    random = np.random.default_rng(1)
    odds, positive = random.normal(size=80) * 3, random.random(80) < 0.4
    odds[0] = 800.0  # its probability is 1, as is that of 40
    called, labels = odds >= 0.5, positive.astype(int)
    logits = np.column_stack([np.zeros(80), odds])
    assert np.array_equal(class_log_odds(logits), np.column_stack([-odds, odds]))
    found = values(overall(labels, logits, called.astype(int)), 80)
    area = value(measures.auc(positive, odds), 80)
    assert (found["auc_macro"], found["auc_weighted"], found["auc_one_vs_one"]) == pytest.approx((area,) * 3)
    assert found["accuracy"] == value(measures.decision("accuracy", positive, called), 80)
    assert found["brier"] == pytest.approx(2 * value(measures.brier(positive, expit(odds)), 80))
    of_one = values(of_each_class(labels, logits, called.astype(int))[1], 80)
    for ours, theirs in (("sensitivity", "tpr"), ("specificity", "tnr"), ("ppv", "precision")):
        assert of_one[ours] == value(measures.decision(theirs, positive, called), 80)
    assert of_one["auc"] == area


def test_equal_probabilities_of_one_are_told_apart() -> None:
    logits = np.array([[900.0, 0, 0], [700.0, 0, 0], [800.0, 0, 0], [0, 1, 2]])
    assert set(softmax(logits, axis=1)[:3, 0]) == {1.0}
    assert class_aucs([0, 1, 0, 2], logits)(np.ones((1, 4)))[0, 0] == 1
    assert np.isfinite(value(overall([1, 1, 0, 2], logits, [0, 0, 0, 2])["log_loss"], 4))


def test_a_class_of_no_image_leaves_its_measures_and_the_means_open() -> None:
    kept = LABELS != 1
    given = LABELS[kept], LOGITS[kept], CALLED[kept]  # one image of class 0 is called 1
    found, each = values(overall(*given, ordered=True), 4), of_each_class(*given)
    undefined = {name for name, one in found.items() if np.isnan(one)}
    assert undefined == {"auc_macro", "auc_one_vs_one", "balanced_accuracy", "macro_f1"}
    assert found["auc_weighted"] == 1  # 0.7 0.4 over 0.1 0.3, and 0.8 0.4 over 0.1 0.1
    assert np.isnan(list(values(each[1], 4).values())).all()
    assert not np.isnan(list(values(each[0], 4).values())).any()
    assert absent(given[0], ["benign", "malignant", "normal"], "test") == [
        "no test image of class malignant: its measures and the means over classes are left open"
    ]
    assert absent(LABELS, "abc") == []
    assert absent(LABELS, "abcd")[0].startswith("no image of class d: its measures")


def test_one_class_alone_has_an_accuracy_and_little_else() -> None:
    found = values(overall([2, 2], LOGITS[4:], [2, 0], ordered=True), 2)
    assert {name for name, one in found.items() if not np.isnan(one)} == {
        *("accuracy", "log_loss", "brier", "calibration_error", "mean_absolute_error")
    }
    assert found["accuracy"] == 0.5


def test_a_class_never_called_has_no_ppv_but_an_f1() -> None:
    (*_, last) = of_each_class(LABELS, LOGITS, [0, 0, 1, 1, 0, 0])
    found = values(last)
    assert np.isnan(found["ppv"]) and found["f1"] == 0 and found["sensitivity"] == 0


def test_likeliest_class_is_calibrated_as_two_classes_are() -> None:
    odds = logit([0.12, 0.18, 0.9, 0.95])  # the likeliest 0.88 0.82 0.9 0.95
    logits, labels = np.column_stack([np.zeros(4), odds]), np.array([0, 0, 1, 0])
    right = np.array([1, 1, 1, 0])
    found = value(overall(labels, logits, [0, 0, 1, 1])["calibration_error"], 4)
    assert found == pytest.approx(value(expected_calibration_error(right, [0.88, 0.82, 0.9, 0.95]), 4))


def test_all_measures_have_intervals_over_groups() -> None:
    random = np.random.default_rng(2)
    labels = np.repeat(np.arange(3), 20)
    logits = random.normal(size=(60, 3)) + np.eye(3)[labels]
    found = overall(labels, logits, logits.argmax(1), ordered=True)
    intervals = GroupBootstrap(labels, np.arange(60) // 2, draws=200).intervals(found)
    for name, interval in intervals.items():
        assert interval.low < interval.high, name
        assert interval.low <= interval.estimate or name == "calibration_error"
