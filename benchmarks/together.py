"""What networks say together: python -m benchmarks.together RESULTS... --methods NAME A+B... --name TABLE

Nothing is trained: the finished or published runs of a comparison are read. A+B is the mean probability of
two methods, seed by seed, of the seeds that both have. A method of several seeds speaks alone, as the mean
AUC of its seeds, and together, as the AUC of their mean probability. Each is compared with itself, and with
each other, or with `--reference` alone (the methods of `--other` runs, such as the same ones by other
settings, are called other:NAME): alone with alone, and together with together where both have as many
seeds. Differences are paired over all images of the outer folds, and over the external ones, by DeLong's test
summed within groups; `smallest` is the smallest that would have been found with a power of 80 %. These
intervals are of the images, the networks taken as they are; `low_of_seeds` and `high_of_seeds` are of the
seeds, the images taken as they are, by Welch's t test of the seeds' AUCs. The table is
`results/together-TABLE.csv`.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import ttest_ind
from sklearn.metrics import roc_auc_score

from benchmarks.measure import ROOT
from trials.evaluation.decisions import mean_log_odds
from trials.evaluation.paired import delong
from trials.evaluation.power import smallest_found
from trials.report.comparison import read_comparison
from trials.report.methods import MethodRuns
from trials.runs.collection import BinaryPredictions

ALONE, TOGETHER = "alone", "together"


@dataclass(frozen=True, eq=False)
class Side:
    """What a method says of `images`, log odds by seed [seeds, n]; of all seeds together [1, n]."""

    method: str
    images: BinaryPredictions
    scores: np.ndarray
    how: str = ALONE

    @property
    def seeds(self) -> int:
        """How many seeds speak, each alone."""
        return len(self.scores)

    @property
    def together(self) -> Side:
        """The mean probability of the seeds."""
        return Side(self.method, self.images, mean_log_odds(self.scores)[None], f"{self.seeds} {TOGETHER}")

    @property
    def label(self) -> str:
        """The method, and how many seeds speak in which way."""
        return f"{self.method}, {f'{self.seeds} {ALONE}' if self.how == ALONE else self.how}"


def side(name: str, found: Mapping[str, MethodRuns], external: bool) -> Side | None:
    """Return what a method, or several joined by a plus sign, say; None where one was not tested so."""
    by_seed: list[dict[int, BinaryPredictions]] = []
    for method in (found[one] for one in name.split("+")):
        said = method.external if external else method.tested
        if said is None:
            return None
        seeds = method.external_seeds if external else method.seeds
        by_seed.append(dict(zip(seeds, said.binary.each, strict=True)))
    common = sorted(set.intersection(*(set(one) for one in by_seed)))
    if not common:
        raise ValueError(f"{name}: no seed that all of them have")
    scores = [mean_log_odds([one[seed].log_odds for one in by_seed]) for seed in common]
    return Side(name, by_seed[0][common[0]], np.stack(scores))


def row(part: str, first: Side, second: Side) -> dict[str, Any]:
    """Compare two sides; raises ValueError where they are of different images."""
    images = first.images
    if not np.array_equal(images.files, second.images.files):
        raise ValueError(f"{first.method} and {second.method}: not of the same images in {part}")
    test = delong(images.positive, first.scores, second.scores, images.groups)
    return {
        "part": part,
        "n": len(images.files),
        "groups": len(np.unique(images.groups)),
        "first": first.label,
        "second": second.label,
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
        areas = [
            [roc_auc_score(side.images.positive, one) for one in side.scores] for side in (first, second)
        ]
        interval = ttest_ind(*areas, equal_var=False).confidence_interval()
        limits = round(float(interval.low), 4), round(float(interval.high), 4)
    return dict(zip(("low_of_seeds", "high_of_seeds"), limits, strict=True))


def rows(part: str, sides: Sequence[Side], reference: str | None = None) -> Iterator[dict[str, Any]]:
    """Yield the comparisons of methods by what they say of one part, all or those with a reference."""
    yield from (row(part, one.together, one) for one in sides if one.seeds > 1)
    for one, other in combinations(sides, 2):
        if reference in (None, one.method, other.method):
            yield row(part, one, other)
            if one.seeds == other.seeds > 1:
                yield row(part, one.together, other.together)


def methods_of(results: Sequence[Path], other: Path | None) -> dict[str, MethodRuns]:
    """Return the methods of a comparison by name, and those of another one as `other:` and their name."""
    found = {one.name: one for one in read_comparison(results).methods}
    if other:
        found |= {f"other:{one.name}": one for one in read_comparison([other]).methods}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path, nargs="+", metavar="RESULTS", help="runs, or published runs")
    parser.add_argument("--other", type=Path, metavar="RUNS", help="whose methods are called other:NAME")
    parser.add_argument("--methods", nargs="+", required=True, metavar="NAME", help="what is compared")
    parser.add_argument("--reference", metavar="NAME", help="with which alone the others are compared")
    parser.add_argument("--name", required=True, metavar="TABLE", help="of the table")
    arguments = parser.parse_args()
    found = methods_of(arguments.results, arguments.other)
    table: list[dict[str, Any]] = []
    for part, external in (("test", False), ("external", True)):
        sides = [said for name in arguments.methods if (said := side(name, found, external))]
        table += rows(part, sides, arguments.reference)
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
