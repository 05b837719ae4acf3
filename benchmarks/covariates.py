"""What covariates add to trained networks: python -m benchmarks.covariates RESULTS DATA

A network takes covariates behind its own logits (`trials/models/covariate_head.py`), so that nothing need be
trained to see what they add: the published log odds of each run are joined with the covariates of DATA as a
run would join them, by a layer fitted on its training images and shares fitted on its validation images. The
gain in AUC is paired, over all images of the outer folds, with DeLong's test summed within groups. Writes
`results/covariates-DATA.csv`, a row a method, the mean over its seeds; `smallest` is the smallest gain that
would have been found with a power of 80 %.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import ROOT
from trials.data.dataset import LesionData
from trials.data.load import load_data
from trials.data.split import Split
from trials.evaluation.decisions import log_odds_of
from trials.evaluation.metrics import score
from trials.evaluation.paired import delong
from trials.evaluation.power import smallest_found
from trials.models.covariate_head import CovariateHead
from trials.runs.collect import collect
from trials.runs.finished import Run
from trials.runs.provenance import provenance
from trials.settings.load import load_settings
from trials.settings.schema import Settings

BOX = "width,height"


def joined(run: Run, data: LesionData, settings: Settings) -> np.ndarray:
    """Return the log odds of a run's test images [n] with the covariates.

    Raises ValueError where the run was not split as these data are.
    """
    assert run.validation is not None and run.fold is not None
    split = Split.of(data, settings, folds=run.metrics["folds"], fold=run.fold, seed=run.seed)
    coding = split.coding
    assert coding is not None
    place = {file: index for index, file in enumerate(data.files)}
    chosen, tested = (np.array([place[file] for file in one.files]) for one in (run.validation, run.tested))
    if set(chosen) != set(split.validation) or set(tested) != set(split.test):
        raise ValueError(f"{run.folder}: other images than those of fold {run.fold}, seed {run.seed}")
    head = CovariateHead(len(coding.inputs), len(data.classes))
    head.fit_layer(coding.code(data.cells(split.training)), data.labels[split.training], balanced=True)
    head.fit_shares(run.validation.logits, coding.code(data.cells(chosen)), data.labels[chosen])
    logits = head.join(run.tested.logits, coding.code(data.cells(tested)))
    return log_odds_of(logits, data.known.positive_of_two)


def gain(runs: Sequence[Run], data: LesionData, settings: Settings) -> dict[str, Any]:
    """Return a method's row, of its runs by seed and fold."""
    said = [joined(run, data, settings) for run in runs]
    of_seeds = {run.seed: [i for i, one in enumerate(runs) if one.seed == run.seed] for run in runs}
    seeds = list(of_seeds.values())
    plain, with_them = (
        [np.concatenate([odds[index] for index in seed]) for seed in seeds]
        for odds in ([run.log_odds for run in runs], said)
    )
    positive = np.concatenate([runs[index].positive for index in seeds[0]])
    groups = np.concatenate([runs[index].tested.groups for index in seeds[0]])
    test = delong(positive, with_them, plain, groups)
    areas = np.array([_area(run.positive, run.log_odds) for run in runs])
    areas_with = np.array([_area(run.positive, odds) for run, odds in zip(runs, said, strict=True)])
    return {
        "method": runs[0].method,
        "n": len(positive),
        "groups": len(set(groups.tolist())),
        "seeds": len(seeds),
        "auc": round(areas.mean(), 4),
        "auc_with": round(areas_with.mean(), 4),
        "gain": round((areas_with - areas).mean(), 4),
        "gain_sd_folds": round((areas_with - areas).std(ddof=1), 4),
        "pooled_gain": round(test.difference.estimate, 4),
        "low": round(test.difference.low, 4),
        "high": round(test.difference.high, 4),
        "p": round(test.p, 5),
        "smallest": round(smallest_found(test.difference), 4),
    }


def _area(positive: np.ndarray, log_odds: np.ndarray) -> float:
    return float(score(positive, log_odds, 0.0).auc or np.nan)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path, metavar="RESULTS", help="published runs, such as results/busi")
    parser.add_argument("data", type=Path, metavar="DATA", help="their data set")
    parser.add_argument("--covariates", default=BOX, help=f"columns beside the images (default: {BOX})")
    arguments = parser.parse_args()
    settings = load_settings("cpu", {"data.covariates": arguments.covariates})
    data = load_data(arguments.data, settings)
    runs = [run for run in collect([arguments.results]).runs if _is_network(run)]
    ordered = sorted(runs, key=lambda run: (run.method, run.seed, run.fold or 0))
    rows = [gain(list(part), data, settings) for _, part in groupby(ordered, key=lambda run: run.method)]
    made = provenance()
    table = ROOT / "results" / f"covariates-{arguments.data.name}.csv"
    with table.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, [*rows[0], "covariates", "commit"])
        writer.writeheader()
        for row in sorted(rows, key=lambda row: -row["auc_with"]):
            writer.writerow({**row, "covariates": arguments.covariates, "commit": made["commit"]})
            print("  ".join(f"{name} {value}" for name, value in row.items()), flush=True)


def _is_network(run: Run) -> bool:
    network = run.metrics.get("parameters") is not None and "hog" not in run.method
    return network and run.fold is not None and not run.is_candidate and not run.for_tuning


if __name__ == "__main__":
    main()
