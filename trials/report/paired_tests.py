"""Paired tests: two methods on the images that both have, corrected over a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from search_space.progress import progress
from trials.evaluation.bootstrap import GroupBootstrap, Interval, difference, mean_of
from trials.evaluation.measures import weighted_mean
from trials.evaluation.paired import (
    AccuracyTest,
    AucTest,
    compare_accuracy,
    compare_macro_auc,
    delong,
    holm,
)
from trials.report.methods import MethodRuns
from trials.report.summaries import Said
from trials.runs.collection import BinaryPredictions


@dataclass(frozen=True, eq=False)
class PairedTest:
    """Two methods on the images that both have; p values also as Holm corrects them over the table.

    `auc` is the AUC of one class against all others, or the macro AUC of all classes, and sums within groups;
    `p_of_images` is DeLong's test as published, images taken as independent.
    `accuracy` is the first less the second, its interval over groups; `mcnemar` the exact test. Of several
    seeds AUC and accuracy are means over the seeds, and McNemar's test, which knows one decision an image, is
    of the seeds' mean probability against their mean threshold.
    """

    first: MethodRuns
    second: MethodRuns
    n: int
    auc: AucTest
    p_of_images: float
    accuracy: Interval
    mcnemar: AccuracyTest
    auc_p_holm: float
    accuracy_p_holm: float


Side = Callable[[MethodRuns], Said | None]


def paired_tests(pairs: Iterable[tuple[MethodRuns, MethodRuns]], side: Side[Said]) -> list[PairedTest]:
    """Test pairs on their test folds or on external images, as `side` picks; one table, one correction.

    Pairs without images in common, or with too few of a class or group for a test, are left out.
    """
    shown = progress(list(pairs), "pairs of methods tested")
    found = [test for first, second in shown if (test := _test(first, second, side)) is not None]
    corrected = holm([p for test in found for p in (test.auc.p, test.mcnemar.p)])
    return [
        PairedTest(**{**vars(test), "auc_p_holm": corrected[2 * i], "accuracy_p_holm": corrected[2 * i + 1]})
        for i, test in enumerate(found)
    ]


def _test(first: MethodRuns, second: MethodRuns, side: Side[Said]) -> PairedTest | None:
    one, two = side(first), side(second)
    if one is None or two is None:
        return None
    _, of_one, of_two = np.intersect1d(one.files.astype(str), two.files.astype(str), return_indices=True)
    one, two = one.at(of_one), two.at(of_two)
    if not len(one.files):
        return None
    try:
        grouped, plain = _compare_auc(one, two, one.groups), _compare_auc(one, two)
    except ValueError:  # too few of a class, or groups
        return None
    gap = difference(*(mean_of([weighted_mean(part.right) for part in whose.each]) for whose in (one, two)))
    return PairedTest(
        first,
        second,
        len(one.files),
        grouped,
        plain.p,
        GroupBootstrap(one.labels, one.groups).interval(gap),
        compare_accuracy(one.right, two.right),
        auc_p_holm=float("nan"),
        accuracy_p_holm=float("nan"),
    )


def _compare_auc(one: Said, two: Said, groups: np.ndarray | None = None) -> AucTest:
    first, second = (np.array([part.scores for part in whose.each]) for whose in (one, two))
    compare = delong if isinstance(one, BinaryPredictions) else compare_macro_auc
    return compare(one.labels, first, second, groups)


def against(reference: MethodRuns, methods: Sequence[MethodRuns]) -> list[tuple[MethodRuns, MethodRuns]]:
    """Return the pairs of every other method with the reference."""
    return [(method, reference) for method in methods if method is not reference]


def within_layouts(methods: Sequence[MethodRuns]) -> list[tuple[MethodRuns, MethodRuns]]:
    """Return the pairs that share a layout: cells found by search, and at random, in the same network."""
    cells = [method for method in methods if method.layout]
    return [(one, two) for one, two in combinations(cells, 2) if one.layout == two.layout]
