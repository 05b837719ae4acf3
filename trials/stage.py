"""Run as an NNI trial the stage that its parameters name.

``python -m trials.stage --data DATA --out OUT --profile cpu`` takes parameters from NNI: ``stage`` (search,
retrain, train, tune, rank, evaluate or finish) and, as the stage needs them, ``folds``, ``fold``, ``layout``,
``method``, ``index``, ``count`` and ``seed``; for a cross-fit ``parts`` and ``part``, for an ensemble
``members``, and ``final`` for a model of all data; all others are settings by name, such as
``retrain.epochs``, over the profile's. Results go to ``OUT/fold0/search``, ``OUT/fold0/enas7``, ...,
``OUT/evaluation``; to ``OUT/seed1/...`` with another seed than 0; without a fold, for data with a split of
their own, to ``OUT/search``, ``OUT/enas7``, ... A ``tune`` is a ``train`` without a test, for a tuner: its
result is of the validation images, and goes to ``OUT/fold0/tuning/CHOICES/enas_b``. ``--fold`` names the fold
where the parameters do not, as a tuner's must not choose it. What the command line does not say is read from
the environment (`VARIABLES`), so that an experiment's file, and NNI's web UI, show a short command.
"""

from __future__ import annotations

import os

from trials.nni_host.allocator import restart_with_mimalloc

if __name__ == "__main__":
    restart_with_mimalloc()
    # Before NumPy and PyTorch read it: these networks gain nothing from more threads.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import math
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from search_space.errors import LesionNasError
from trials.data.load import load_external
from trials.data.phantoms import make_phantoms
from trials.data.split import Split
from trials.errors import in_words
from trials.files import FileLock, below
from trials.methods.registry import find_method
from trials.nni_host.parameters import trial_parameters
from trials.nni_host.variables import VARIABLES
from trials.nni_host.watchdog import watch
from trials.pipeline.evaluate import run_evaluate
from trials.pipeline.train import run_retrain, run_train
from trials.runs.finished import UNKNOWN_REASON, Failed
from trials.runs.folder import failure, is_done
from trials.runs.layout import (
    ARCHITECTURE,
    EVALUATION,
    FINAL,
    SEARCHES,
    candidate_name,
    fold_folder,
    part_folder,
    seed_folder,
    tuning_folder,
    variant,
    with_variant,
)
from trials.settings.load import flat, load_settings, read_overrides
from trials.settings.schema import Settings, check_folds

OF_STAGE = (
    *("stage", "folds", "fold", "layout", "layouts", "method", "index", "count", "seed", "failed"),
    *("part", "parts", "members", "final", "methods"),
)
_SETTINGS = {"parts": "protocol.cross_fit", "members": "ensemble.members"}  # no folder is named after these


@dataclass(frozen=True)
class Stage:
    """What a trial runs: checked `parameters`, the images, and where results go.

    A retraining takes `architecture`, else that of its fold's search; a method is tested on `external` too.
    `of_data` are settings of the data, which no folder is named after.
    """

    parameters: Mapping[str, Any]
    data: Path
    out: Path
    profile: str
    architecture: Path | None = None
    external: Path | None = None
    of_data: Mapping[str, object] = field(default_factory=dict)

    @property
    def changes(self) -> dict[str, Any]:
        """The parameters that are settings."""
        return {name: value for name, value in self.parameters.items() if name not in OF_STAGE}

    @cached_property
    def settings(self) -> Settings:
        """The profile's settings with the changes."""
        named = {name: self.parameters[key] for key, name in _SETTINGS.items() if key in self.parameters}
        return load_settings(self.profile, {**self.of_data, **named, **self.changes})

    @property
    def varied(self) -> list[str]:
        """What folders of this trial's changes are named after."""
        return variant(self.changes)

    @property
    def root(self) -> Path:
        """The folder of the trial's seed, or of models of all data in it."""
        root = seed_folder(self.out, self.parameters.get("seed", 0))
        return root / FINAL if self.parameters.get("final") else root

    @property
    def of_fold(self) -> Path:
        """The folder of the trial's fold, whatever the changes."""
        return fold_folder(self.root, self.parameters.get("fold"))

    def split(self) -> Split:
        """Load the data and split them."""
        given = self.parameters
        folds, fold, seed = given.get("folds", 5), given.get("fold"), given.get("seed", 0)
        return Split.load(self.data, self.settings, folds=folds, fold=fold, seed=seed)

    def search(self) -> None:
        """Search for cells."""
        # Late, as PyTorch takes seconds, which not all trials need.
        from trials.pipeline.search import run_search

        out = below(self.out, self.of_fold / with_variant(SEARCHES["enas"], self.varied))
        run_search(self.split(), self.settings, out)

    def retrain(self) -> None:
        """Train found cells from scratch."""
        layout = self.parameters["layout"]
        found = self.architecture or self.of_fold / SEARCHES["enas"] / ARCHITECTURE
        out = below(self.out, self.of_fold / with_variant(layout, self.varied))
        run_retrain(self.split(), self.settings, found, out, layout=layout)

    def train(self) -> None:
        """Train and test a method."""
        folder = fold_folder(self.root, self.parameters.get("fold"), self.varied)
        part, parts = self.parameters.get("part"), self.settings.protocol.cross_fit
        self._train(part_folder(folder, part, parts) if part is not None and parts else folder)

    def tune(self) -> None:
        """Train a method without a test; all trials of a fold share its search."""
        self._train(tuning_folder(self.of_fold, self.varied), tested=False, home=self.of_fold)

    def _train(self, folder: Path, *, tested: bool = True, home: Path | None = None) -> None:
        name, settings = self.parameters["method"], self.settings
        entry = find_method(name)
        entry.settings(settings)  # a wrong name ends here, before data are read
        split = self.split()
        external = load_external(self.external, settings, split.data) if self.external else None
        out = below(self.out, folder / entry.title.name)
        part = self.parameters.get("part")
        run_train(split, settings, name, out, external=external, tested=tested, home=home, part=part)

    def rank(self) -> None:
        """Train a candidate of a search alone."""
        from trials.pipeline.ranking import run_rank  # late, as a search

        layout, index = self.parameters["layout"], self.parameters["index"]
        folder = fold_folder(self.root, self.parameters.get("fold"), self.varied)
        out = below(self.out, folder / candidate_name(layout, index))
        run_rank(self.split(), self.settings, index, out, layout=layout, count=self.parameters["count"])

    def evaluate(self) -> None:
        """Bring the finished retrainings of all folds together."""
        layouts, folds = self.parameters["layouts"], range(self.parameters.get("folds", 5))
        runs = [fold_folder(self.root, fold) / layout for fold in folds for layout in layouts]
        finished = [run for run in runs if is_done(run)]
        stages, seed = self.parameters.get("failed") or (), self.parameters.get("seed", 0)
        failed = _failed(self.root, layouts, stages, seed)
        if not finished:
            reasons = "".join(f"; {one.place}: {one.reason}" for one in failed)
            raise ValueError(f"{self.root}: nothing to evaluate, no retraining has finished{reasons}")
        run_evaluate(finished, below(self.out, self.root / EVALUATION), failed=failed)

    def finish(self) -> None:
        """Report a study and export its final model."""
        from trials.studies.finish import run_finish  # late: what draws and exports takes seconds

        given, settings = self.parameters, self.settings.data
        run_finish(
            self.out,
            self.data,
            given["methods"],
            given.get("folds", 1),
            given.get("failed") or (),
            settings.group_column,
        )


# What runs each stage, and the parameters that it needs.
_STAGES: Mapping[str, tuple[Callable[[Stage], None], tuple[str, ...]]] = {
    "search": (Stage.search, ()),
    "retrain": (Stage.retrain, ("layout",)),
    "train": (Stage.train, ("method",)),
    "tune": (Stage.tune, ("method",)),
    "rank": (Stage.rank, ("layout", "index", "count")),
    "evaluate": (Stage.evaluate, ("layouts",)),
    "finish": (Stage.finish, ("methods",)),
}
_LOWEST = {"folds": 1, "fold": 0, "seed": 0, "index": 0, "count": 2, "part": 0, "parts": 2}
_RENAMED = {"contend": "train", "contestant": "method"}  # words of version 0.1


def run_stage(parameters: Mapping[str, Any], data: Path, out: Path, profile: str, **options: Any) -> None:
    """Run the stage that `parameters` name; the arguments are those of `Stage`.

    Raises ValueError where the parameters, the data or the output folder do not fit.
    """
    stage = Stage(_checked(parameters), data, out, profile, **options)
    run, _ = _STAGES[stage.parameters["stage"]]
    run(stage)


def _checked(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters, whole numbers as such; raises ValueError for missing and impossible ones."""
    checked = {_RENAMED.get(name, name): value for name, value in parameters.items()}
    stage = str(checked.get("stage"))
    stage = checked["stage"] = _RENAMED.get(stage, stage)
    if stage not in _STAGES:
        raise ValueError(f"stage {stage!r}: expected {', '.join(_STAGES)}")
    if missing := [name for name in _STAGES[stage][1] if name not in checked]:
        raise ValueError(f"stage {stage}: no {missing[0]} among the trial's parameters; name it")
    for name in _LOWEST.keys() & checked.keys():
        if not (name == "fold" and checked[name] is None):
            checked[name] = _whole_number(name, checked[name])
    check_folds(checked.get("folds", 5), checked.get("fold"), checked.get("seed", 0))
    layouts = checked.get("layouts", ["enas7"])
    if not isinstance(layouts, list) or not layouts or not all(isinstance(one, str) for one in layouts):
        raise ValueError(f"layouts = {layouts!r}: expected a list of names such as enas7")
    return checked


def _whole_number(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
        raise ValueError(f"{name} = {value!r}: expected a whole number among the trial's parameters")
    if value < _LOWEST[name]:
        raise ValueError(f"{name} = {value!r}: expected {_LOWEST[name]} or more among the trial's parameters")
    return int(value)


def _failed(root: Path, layouts: Sequence[str], stages: Sequence[str], seed: int) -> list[Failed]:
    """Return the retrainings that failed, or that nothing could be retrained for, of stages' names."""
    found = []
    for stage in stages:  # as fold0/search, fold0/enas7
        fold, _, what = stage.partition("/")
        reason = failure(root / stage) or UNKNOWN_REASON
        for layout in layouts if what == SEARCHES["enas"] else [what]:
            if not is_done(root / fold / layout):
                words = f"its search failed: {reason}" if what == SEARCHES["enas"] else reason
                found.append(Failed(layout, _fold(fold.removeprefix("fold")), seed, words))
    return found


def _fold(text: str) -> int:
    if not text.isdecimal():
        raise ValueError(f"--fold {text}: folds are whole numbers from 0; an empty one means none")
    return int(text)


def _phantoms_once(data: Path, count: int) -> None:
    """Make synthetic lesions, or wait for the trial that is making them."""
    data.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(data.with_name(f".{data.name}.lock")).held(math.inf):
        if not data.exists():
            make_phantoms(data, count)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 2:
        raise argparse.ArgumentTypeError(f"{text}: expected 2 images or more")
    return int(text)


def _minutes(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text}: expected minutes, a number above 0")
    return number


def _of_data(arguments: argparse.Namespace) -> dict[str, object]:
    """Return the settings, of the data mostly, that the command line names for all trials alike."""
    given = dict(flat(read_overrides(arguments.settings))) if arguments.settings else {}
    named = {"data.group_column": arguments.group_column}
    named["data.accept"] = arguments.accept.split(",") if arguments.accept else None
    return given | {name: value for name, value in named.items() if value}


def _home() -> Path:
    """Return where results go unless told: a folder of the experiment's in the home folder."""
    return Path("~/lesion-nas").expanduser() / os.environ.get("NNI_EXP_ID", "")


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line, and the environment for what it does not say."""
    parser = argparse.ArgumentParser(prog="python -m trials.stage", description=__doc__)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--data", type=Path, help="folder of lesion images")
    source.add_argument("--phantoms", type=_count, metavar="N", help="make N synthetic lesions and use those")
    parser.add_argument("--out", type=Path, default=_home(), help="folder for all results")
    parser.add_argument("--profile", default="cpu", help="settings to start from (default: cpu)")
    parser.add_argument("--architecture", type=Path, help="what to retrain (default: what the search found)")
    parser.add_argument("--external", type=Path, help="other images that a method is tested on")
    parser.add_argument(
        "--patience",
        type=_minutes,
        default=60,
        metavar="MINUTES",
        help="end a trial through which no batch has gone for so long: it hangs (default: 60)",
    )
    parser.add_argument("--fold", help="outer fold, where the parameters name none; empty: none")
    parser.add_argument(
        "--group-column", help="manifest column of what must stay together, `folder` or `none`"
    )
    parser.add_argument("--accept", help="problems that are none in these data, with commas between")
    parser.add_argument("--settings", type=Path, help="JSON or YAML file of settings that differ")
    named = {option: os.environ.get(variable) for option, variable in VARIABLES.items()}
    parser.set_defaults(**{option: value for option, value in named.items() if value})
    arguments = parser.parse_args(argv)
    if not (arguments.data or arguments.phantoms):
        parser.error(f"name the folder of your images: --data FOLDER, or export {VARIABLES['data']}=FOLDER")
    return arguments


def main(argv: Sequence[str] | None = None) -> int:
    """Run as an NNI trial; return the exit status."""
    arguments = _arguments(argv)
    watch(60 * arguments.patience, end=lambda: os._exit(1))  # a thread cannot end its process otherwise
    parameters = trial_parameters()
    data = arguments.out / "synthetic_phantoms" if arguments.phantoms else arguments.data
    try:
        if arguments.fold:
            parameters = {"fold": _fold(arguments.fold), **parameters}
        if arguments.phantoms:
            _phantoms_once(data, arguments.phantoms)
        run_stage(
            parameters,
            data,
            arguments.out,
            arguments.profile,
            architecture=arguments.architecture,
            external=arguments.external,
            of_data=_of_data(arguments),
        )
    except (LesionNasError, ValueError, OSError) as error:
        print(f"error: {in_words(error)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    # NNI ends a trial by this signal. One that exits of it, instead of dying, it takes for failed.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(main())
