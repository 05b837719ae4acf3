"""What several networks say together: python -m benchmarks.together RESULTS... --methods NAME NAME...

Nothing is trained: the finished or published runs of a comparison are read. A method of several seeds speaks
alone, as the mean AUC of its seeds, and together, as the AUC of their mean probability. Each method together
is compared with itself alone, and with each other method that has as many seeds; each alone with each other
alone. Differences are paired over all images of the outer folds, and over the external ones, by DeLong's test
summed within groups; `smallest` is the smallest that would have been found with a power of 80 %. These
intervals are of the images, the networks taken as they are; `low_of_seeds` and `high_of_seeds` are of the
seeds, the images taken as they are, by Welch's t test of the seeds' AUCs. Writes `results/together-NAME.csv`.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import ttest_ind
from sklearn.metrics import roc_auc_score

from benchmarks.measure import ROOT
from trials.evaluation.paired import delong
from trials.evaluation.power import smallest_found
from trials.report.comparison import read_comparison
from trials.runs.collection import BinaryPredictions

ALONE, TOGETHER = "alone", "together"


@dataclass(frozen=True)
class Side:
    """What a method says of a part of the images, and how its seeds speak."""

    method: str
    said: BinaryPredictions
    how: str = ALONE

    @property
    def scores(self) -> np.ndarray:
        """Log odds: of each seed [seeds, n], or of the seeds' mean probability [n]."""
        if self.how == TOGETHER:
            return self.said.log_odds
        return np.stack([one.log_odds for one in self.said.each])

    @property
    def seeds(self) -> int:
        """How many seeds speak."""
        return len(self.said.each)

    @property
    def together(self) -> Side:
        """The same method, its seeds together."""
        return replace(self, how=TOGETHER)


def row(part: str, first: Side, second: Side) -> dict[str, Any]:
    """Compare two sides; raises ValueError where they are of different images."""
    said = first.said
    if not np.array_equal(said.files, second.said.files):
        raise ValueError(f"{first.method} and {second.method}: not of the same images in {part}")
    test = delong(said.positive, first.scores, second.scores, said.groups)
    return {
        "part": part,
        "n": len(said.files),
        "groups": len(np.unique(said.groups)),
        "first": f"{first.method}, {first.seeds} {first.how}",
        "second": f"{second.method}, {second.seeds} {second.how}",
        "auc": round(test.first, 4),
        "other_auc": round(test.second, 4),
        "difference": round(test.difference.estimate, 4),
        "low": round(test.difference.low, 4),
        "high": round(test.difference.high, 4),
        "p": round(test.p, 5),
        "smallest": round(smallest_found(test.difference), 4),
        **_of_seeds(first, second),
    }


def _of_seeds(first: Side, second: Side) -> dict[str, float | None]:
    """Return the limits of the difference between seeds; None where a side has one score."""
    limits: tuple[float | None, float | None] = None, None
    if first.how == second.how == ALONE and min(first.seeds, second.seeds) > 1:
        areas = [[roc_auc_score(side.said.positive, one) for one in side.scores] for side in (first, second)]
        interval = ttest_ind(*areas, equal_var=False).confidence_interval()
        limits = round(float(interval.low), 4), round(float(interval.high), 4)
    return dict(zip(("low_of_seeds", "high_of_seeds"), limits, strict=True))


def rows(part: str, sides: Sequence[Side]) -> Iterator[dict[str, Any]]:
    """Yield the comparisons of methods by what they say of one part."""
    yield from (row(part, one.together, one) for one in sides if one.seeds > 1)
    for one, other in combinations(sides, 2):
        yield row(part, one, other)
        if one.seeds == other.seeds > 1:
            yield row(part, one.together, other.together)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path, nargs="+", metavar="RESULTS", help="runs, or published runs")
    parser.add_argument("--methods", nargs="+", required=True, metavar="NAME", help="what is compared")
    parser.add_argument("--name", required=True, help="of the table")
    arguments = parser.parse_args()
    found = {one.name: one for one in read_comparison(arguments.results).methods}
    chosen = [found[name] for name in arguments.methods]
    said = {
        "test": [Side(one.name, one.tested.binary) for one in chosen if one.tested],
        "external": [Side(one.name, one.external.binary) for one in chosen if one.external],
    }
    table = [line for part, sides in said.items() for line in rows(part, sides)]
    with (ROOT / "results" / f"together-{arguments.name}.csv").open(
        "w", encoding="utf-8", newline=""
    ) as stream:
        writer = csv.DictWriter(stream, list(table[0]))
        writer.writeheader()
        for line in table:
            writer.writerow(line)
            print("  ".join(map(str, line.values())), flush=True)


if __name__ == "__main__":
    main()
