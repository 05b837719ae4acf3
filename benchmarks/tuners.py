"""Which tuner finds the better combination? On made objectives over the spaces of two experiment files.

    python -m benchmarks.tuners --out results/bench-tuners.json     (some minutes on one core)

Each objective gives every combination a merit: a random effect for each value of a choice, a smooth random
curve for each number, and half as large effects for each pair; its standard deviation over the space is 1. A
trial's epochs approach the merit from below, with the noise of `NOISES`. Trials, their number, two at a time,
and NNI's Medianstop are those of the file. What a tuner chose is the finished trial with the best last epoch,
which counts by its merit without noise. Tuners meet the same objectives, so that their differences are
paired; intervals are of the mean over objectives (Student's t). The random control draws nothing twice.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
from collections.abc import Callable, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import nni
import numpy as np
import optuna
import yaml
from nni.algorithms.hpo.medianstop_assessor import MedianstopAssessor
from nni.algorithms.hpo.random_tuner import RandomTuner
from nni.algorithms.hpo.tpe_tuner import TpeTuner
from nni.assessor import AssessResult
from nni.common.hpo_utils import Deduplicator
from nni.tuner import Tuner
from scipy.stats import t as student

from strategies.optuna_tuner import OptunaTuner

CONFIG = Path(__file__).parents[1] / "nni_config"
EPOCHS = {"boosted_efficientnet_search": 5, "enas_b": 40}  # of the files' profiles
STARTUP = {"boosted_efficientnet_search": 8, "enas_b": 10}  # of NNI's TPE, as the files had it
NOISES = (0.0, 0.5)  # SD of an epoch's noise, in SDs of the merit over the space
GAP = 3.0  # how far below its merit a trial starts

Point = Mapping[str, Any]


class Objective:
    """What combinations of a search space are worth, made from a seed."""

    def __init__(self, space: Mapping[str, Any], seed: int) -> None:
        self.names = [name for name, spec in space.items() if len(spec["_value"]) > 1]
        self.space, self.seed = space, seed
        rng = np.random.default_rng([seed, 0])
        self.pairs = list(combinations(range(len(self.names)), 2))
        terms = len(self.names) + len(self.pairs)
        # A term is a product of cosines of random phase, one for each of its parameters.
        self.phases = rng.uniform(0, 2 * np.pi, (terms, 2))
        self.speeds = rng.uniform(1, 4, (terms, 2))
        self.tables = rng.standard_normal((terms, 2, 8))  # of the values of choices
        self.centre, self.scale = 0.0, 1.0
        sample = [self.merit(point) for point in _random_points(space, rng)]
        self.centre, self.scale = float(np.mean(sample)), float(np.std(sample))

    def merit(self, point: Point) -> float:
        """Return what a combination is worth, in SDs of the space."""
        ones = [self._factor(term, 0, name, point) for term, name in enumerate(self.names)]
        twos = [
            0.5 * self._factor(term, 0, self.names[i], point) * self._factor(term, 1, self.names[j], point)
            for term, (i, j) in enumerate(self.pairs, len(ones))
        ]
        return (sum(ones) + sum(twos) - self.centre) / self.scale

    def _factor(self, term: int, side: int, name: str, point: Point) -> float:
        kind, values = self.space[name]["_type"], self.space[name]["_value"]
        if kind == "choice":
            return float(self.tables[term, side, values.index(point[name])])
        low, high, value = values[0], values[1], point[name]
        if "log" in kind:
            low, high, value = map(math.log, (low, high, value))
        place = (value - low) / (high - low)
        return float(np.sqrt(2) * np.cos(self.phases[term, side] + self.speeds[term, side] * place))

    def epochs(self, point: Point, count: int, noise: float) -> list[float]:
        """Return what a trial reports, epoch by epoch; the same each time."""
        key = [self.names.index(name) * 97 + hash_of(point[name]) for name in self.names]
        rng = np.random.default_rng([self.seed, 1, *key])
        rate = rng.uniform(3, 6) / count
        nearing = GAP * np.exp(-rate * np.arange(1, count + 1))
        return (self.merit(point) - nearing + noise * rng.standard_normal(count)).tolist()


def hash_of(value: Any) -> int:
    """Return a number of a value that is the same in every process."""
    return int.from_bytes(repr(value).encode(), "big") % 1_000_003


def _random_points(space: Mapping[str, Any], rng: np.random.Generator) -> list[Point]:
    tuner = RandomTuner(seed=int(rng.integers(2**31)))
    tuner.update_search_space(space)
    tuner.dedup = lambda parameters: parameters  # type: ignore[assignment]
    return [tuner.generate_parameters(number) for number in range(500)]


def run(tuner: Tuner, config: Mapping[str, Any], objective: Objective, count: int, noise: float) -> float:
    """Play an experiment by its file, epoch by epoch; return the merit of what was chosen."""
    tuner.update_search_space(config["searchSpace"])
    assessor = MedianstopAssessor(**config["assessor"]["classArgs"])
    asked, running, finished = 0, {}, []
    while running or asked < config["maxTrialNumber"]:
        while len(running) < config["trialConcurrency"] and asked < config["maxTrialNumber"]:
            point = tuner.generate_parameters(asked)
            running[asked] = (point, objective.epochs(point, count, noise), [])
            asked += 1
        for number, (point, epochs, told) in list(running.items()):
            told.append(epochs[len(told)])
            ended = assessor.assess_trial(str(number), list(told)) is AssessResult.Bad
            if not ended and len(told) < count:
                continue
            del running[number]
            assessor.trial_end(str(number), not ended)
            if not ended or isinstance(tuner, OptunaTuner):  # NNI's own hears of no trial that was ended
                tuner.receive_trial_result(number, point, told[-1])
            tuner.trial_end(number, not ended)
            if not ended:
                finished.append((told[-1], objective.merit(point)))
    return max(finished)[1]


class Counted(Deduplicator):
    """NNI's deduplicator, which counts what it replaces after start-up."""

    def __init__(self, space: Any, startup: int) -> None:
        super().__init__(space)
        self.asked, self.replaced, self.startup = 0, 0, startup

    def __call__(self, parameters: Any) -> Any:
        new = super().__call__(parameters)
        self.asked += 1
        self.replaced += new is not parameters and self.asked > self.startup
        return new


class NniTpe(TpeTuner):
    """NNI's TPE as the files had it."""

    def __init__(self, seed: int, startup: int) -> None:
        super().__init__("maximize", seed=seed, tpe_args={"n_startup_jobs": startup})
        self.startup = startup

    def update_search_space(self, space: Any) -> None:
        super().update_search_space(space)
        self.dedup = Counted(self.space, self.startup)


def tuners(file: str, config: Mapping[str, Any]) -> dict[str, Callable[[int], Tuner]]:
    """Return what is compared, each made from a seed."""
    ours = {name: value for name, value in config["tuner"]["classArgs"].items() if name != "seed"}
    return {
        "random": lambda seed: OptunaTuner(seed=seed, startup_trials=config["maxTrialNumber"]),
        "NNI's TPE": lambda seed: NniTpe(seed, STARTUP[file]),
        "Optuna's TPE": lambda seed: OptunaTuner(**ours, seed=seed),
    }


def compare(file: str, noise: float, objectives: range) -> dict[str, Any]:
    """Return each tuner's mean merit, and its gain over random search."""
    config = yaml.safe_load((CONFIG / f"{file}.yml").read_text())
    found: dict[str, list[float]] = {}
    replaced = []
    for seed in objectives:
        objective = Objective(config["searchSpace"], seed)
        for name, make in tuners(file, config).items():
            tuner = make(seed)
            found.setdefault(name, []).append(run(tuner, config, objective, EPOCHS[file], noise))
            if isinstance(tuner, NniTpe):
                replaced.append(tuner.dedup.replaced)
    return {
        "file": file,
        "noise": noise,
        "objectives": len(objectives),
        "trials": config["maxTrialNumber"],
        "tuners": {name: against(values, found["random"]) for name, values in found.items()},
        "proposals of NNI's TPE after start-up": config["maxTrialNumber"] - STARTUP[file],
        "of these replaced by NNI's deduplicator": round(float(np.mean(replaced)), 2),
    }


def against(values: list[float], reference: list[float]) -> dict[str, float]:
    """Return the mean of values, and the mean of their gain over a reference with its 95 % interval."""
    gain = np.subtract(values, reference)
    half = student.ppf(0.975, len(gain) - 1) * gain.std(ddof=1) / math.sqrt(len(gain))
    return {
        "merit": round(float(np.mean(values)), 3),
        "more than random": round(float(gain.mean()), 3),
        "from": round(float(gain.mean() - half), 3),
        "to": round(float(gain.mean() + half), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--objectives", type=int, default=200)
    parser.add_argument(
        "--first", type=int, default=0, help="seed of the first; others to choose settings by"
    )
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    objectives = range(arguments.first, arguments.first + arguments.objectives)
    rows = []
    for file in EPOCHS:
        for noise in NOISES:
            rows.append(compare(file, noise, objectives))
            print(json.dumps(rows[-1], allow_nan=False), flush=True)
    if arguments.out:
        made = {"nni": nni.__version__, "optuna": optuna.__version__, "first": arguments.first, "rows": rows}
        arguments.out.write_text(json.dumps(made, indent=1, allow_nan=False) + "\n")


if __name__ == "__main__":
    main()
