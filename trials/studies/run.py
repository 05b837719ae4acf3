"""A study: from a folder of images to a final model and an honest report, under NNI.

`run_study` verifies the data, plans (`plan`), writes the experiment's file and launches it. OUT/plan.json
keeps the plan of the first start, by which the same command goes on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from search_space.regular_files import read_file
from search_space.strict_json import dump_json, parse_json
from strategies.tuner import name, study_trainings
from trials.data.checks import verify
from trials.data.load import load_data, load_external, reading
from trials.data.split import Split
from trials.errors import DataError, ExperimentError, SettingsError, reason
from trials.files import write_atomically
from trials.methods.registry import find_method
from trials.nni_host.experiment import LOOPBACK
from trials.nni_host.launch import (
    ENDED,
    Trial,
    failures,
    find_config,
    launch,
    parameters,
    profile_of,
    say,
    summary,
)
from trials.runs.folder import check_place, is_done, read_json
from trials.runs.layout import PLAN_FILE, STUDY_CONFIG, STUDY_FILE
from trials.settings.data import SIZE
from trials.settings.load import load_settings, read_yaml
from trials.settings.schema import Settings
from trials.studies.costs import trials_at_once
from trials.studies.plan import Plan, duration, make_plan, read_plan
from trials.studies.timing import time_methods

STUDY_TUNER = "tuner.StudyTuner"  # as an experiment's file names `strategies.tuner.StudyTuner`
OWN_SETTINGS = {"protocol.cross_fit": "--seeds and its plan", "ensemble.members": "--methods"}
DISPATCH_SECONDS = 3.0  # from the end of a trial to the start of the next; NNI's


def run_study(
    data: str | Path,
    out: str | Path,
    *,
    external: str | Path | None = None,
    hours: float = 1.0,
    methods: Sequence[str] = (),
    seeds: int = 3,
    folds: int = 5,
    settings: Mapping[str, object] = MappingProxyType({}),
    config: str | Path = "study",
    port: int | None = None,
    listen: str = LOOPBACK,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Plan and run a study of the images at `data` under NNI; return what came out, also in OUT/study.json.

    Each of the `methods` (by the data unless named) is trained in every outer fold, in up to `seeds` parts of
    a cross-fit, and once more so on all images for the final model. What does not fit the `hours` is cut as
    `plan` says. `settings` are those of all trials that differ, by dotted name. `config` is
    the experiment's file, such as one with hosts. The same call again goes on by the first call's plan. With
    `dry_run` nothing is written and the plan is returned. Raises `DataError` for data unfit for use,
    `SettingsError` for methods and settings that cannot be, `ExperimentError` where the experiment cannot
    run, and where OUT holds a study that was planned otherwise.
    """
    data, out, other = Path(data), Path(out).resolve(), Path(external) if external else None
    file = find_config(Path(config))
    methods, experiment, profile = _names(methods), _experiment(file), profile_of(file)
    _refuse(seeds, hours, settings)
    asked = {
        "data": str(data.absolute()),
        "external": str(other.absolute()) if other else None,
        "hours": hours,
        "methods": list(methods),
        "seeds": seeds,
        "folds": folds,
        "settings": parse_json(dump_json(dict(settings))),  # as they will be read back
        "profile": profile,
    }
    plan = _kept(out, asked)
    if plan is None:
        check_place(out)
        chosen = load_settings(profile, settings)
        plan = _planned(data, other, chosen, methods, folds=folds, seeds=seeds, hours=hours)
        if not dry_run:
            _keep(out, asked, plan)
    say(plan.text())
    if dry_run:
        return {"asked": asked, **plan.to_dict()}
    _write_config(experiment, plan, out)
    trials = launch(
        out / STUDY_CONFIG,
        out,
        data=data,
        external=other,
        port=port,
        listen=listen,
        settings={**settings, **plan.settings},
        note=Progress(plan, out),
    )
    return _outcome(trials, plan, out)


def _keep(out: Path, asked: Mapping[str, object], plan: Plan) -> None:
    out.mkdir(parents=True, exist_ok=True)
    kept = {"asked": asked, **plan.to_dict()}
    write_atomically(out / PLAN_FILE, (dump_json(kept) + "\n").encode())


def _kept(out: Path, asked: Mapping[str, object]) -> Plan | None:
    """Return the plan of the study in a folder; raises `ExperimentError` where it was asked otherwise."""
    if not (out / PLAN_FILE).exists():
        return None
    kept: dict[str, Any] = read_json(out / PLAN_FILE)
    for key, value in asked.items():
        if (before := kept["asked"].get(key)) != value:
            raise ExperimentError(
                f"{out / PLAN_FILE}: this study was begun with {key} = {before}, not {value}; repeat that to "
                "go on, or name another folder"
            )
    try:
        return read_plan(kept)
    except (KeyError, TypeError) as error:
        raise ExperimentError(
            f"{out / PLAN_FILE}: the plan of another version ({reason(error)}); go on with the version that "
            "began this study, or name another folder"
        ) from None


def _planned(
    data: Path,
    external: Path | None,
    settings: Settings,
    methods: Sequence[str],
    *,
    folds: int,
    seeds: int,
    hours: float,
) -> Plan:
    """Verify the data, time the methods, and plan."""
    report = verify(data, folds=folds, **reading(settings.data))
    if not report.ok:  # whoever catches that says the problems
        raise DataError("\n".join(report.problems))
    say(report.text())
    loaded = load_data(data, settings)
    own = loaded.splits is not None
    split = Split.of(loaded, settings, folds=folds, fold=None if own else 0, seed=0)
    if external:
        load_external(external, settings, loaded)  # raises for unfit ones
    names = methods or default_methods(split)
    say(f"timing {', '.join(names)}")
    timed = time_methods(data, external, settings.profile, settings.given, names, folds=folds, parts=seeds)
    if not timed.costs:
        raise DataError("\n".join(f"{one.method}: {one.reason}" for one in timed.left_out))
    return make_plan(
        timed.costs,
        folds=1 if own else folds,
        most_parts=seeds,
        at_once=trials_at_once(max(cost.memory_bytes for cost in timed.costs)),
        hours=hours,
        start_seconds=timed.start_seconds + DISPATCH_SECONDS,
        left_out=timed.left_out,
    )


def default_methods(split: Split) -> list[str]:
    """Return the methods of a study that names none, by whether there are boxes; all can be exported."""
    boxes = all(column in split.data.table for column in SIZE)
    return ["hog_geometry" if boxes else "hog", "hog_cells_mirrored", "efficientnet_lite0", "cells7"]


def _refuse(seeds: int, hours: float, settings: Mapping[str, object]) -> None:
    """Raise `SettingsError` for numbers that cannot be, and for settings that a study makes itself."""
    if seeds < 2 or not hours > 0:
        raise SettingsError(f"seeds = {seeds}, hours = {hours:g}: expected 2 seeds or more, hours above 0")
    for setting in OWN_SETTINGS.keys() & settings.keys():
        raise SettingsError(f"{setting}: a study sets it, by {OWN_SETTINGS[setting]}; leave it out")


def _names(methods: Sequence[str]) -> list[str]:
    """Return the names that methods, or one alone, have in runs.

    Raises `SettingsError` for one that does not exist or is there twice, and for one that no study trains.
    """
    entries = [find_method(method) for method in ([methods] if isinstance(methods, str) else methods)]
    names = [entry.title.name for entry in entries]
    for entry in entries:
        method = entry.title.name
        if entry.joins:
            raise SettingsError(f"method {method}: a study joins its methods itself; leave it out")
        if entry.choices:
            raise SettingsError(
                f"method {method}: takes settings from a tuning of each fold, which a study does not make; "
                "leave it out, and train it by itself"
            )
        if names.count(method) > 1:
            raise SettingsError(f"method {method}: is named twice; leave one of them out")
    return names


def _experiment(config: Path) -> dict[str, Any]:
    """Return the content of an experiment's file that runs studies, with its folders as full paths.

    Raises `ExperimentError` for another file.
    """
    try:
        found: dict[str, Any] = read_yaml(read_file(config).decode())
        tuner, service = found["tuner"], found["trainingService"]
        code = (config.parent / tuner["codeDirectory"]).resolve()
        if tuner["className"] != STUDY_TUNER or "platform" not in service:
            raise ValueError
    except (LookupError, TypeError, ValueError, yaml.YAMLError):
        raise ExperimentError(
            f"{config}: expected the experiment of a study, with a trainingService and the tuner "
            f"{STUDY_TUNER}; begin with a copy of nni_config/study.yml"
        ) from None
    return found | {
        "tuner": tuner | {"codeDirectory": str(code)},
        "trialCodeDirectory": str(config.parent.resolve()),
    }


def _write_config(experiment: Mapping[str, Any], plan: Plan, out: Path) -> None:
    """Write the experiment's file of this study: the given one, with the plan's methods, parts and folds."""
    arguments = {
        **{"methods": plan.methods, "folds": plan.folds, "parts": plan.parts},
        **{"seed": 0, "once": plan.once, "done": finished(plan, out)},
    }
    found = {**experiment, "maxTrialNumber": plan.trials}
    found["tuner"] = experiment["tuner"] | {"classArgs": arguments}
    if experiment["trainingService"]["platform"] == "local":
        found["trialConcurrency"] = plan.at_once
    write_atomically(out / STUDY_CONFIG, yaml.safe_dump(found, sort_keys=False).encode())


def finished(plan: Plan, out: Path) -> list[str]:
    """Return the names of the trainings that an earlier start has finished."""
    return [one for one in _trainings(plan) if is_done(out / one)]


def _trainings(plan: Plan) -> list[str]:
    """Return the names of all trainings of a plan."""
    return list(map(name, study_trainings(plan.methods, plan.folds, plan.parts, plan.once)))


@dataclass
class Progress:
    """Says how far a study is, once for each training that has ended, and about how long it will go on."""

    plan: Plan
    out: Path
    done_before: int = field(init=False)
    _said: int = -1

    def __post_init__(self) -> None:
        self.done_before = len(finished(self.plan, self.out))

    def __call__(self, trials: Sequence[Trial]) -> str | None:
        """Return a line where another training has ended since the last call."""
        ended = [trial for trial in trials if trial["status"] in ENDED and self._trains(trial)]
        if len(ended) == self._said:
            return None
        self._said = len(ended)
        left = duration(self.seconds_left(ended))
        whole = self.plan.all_trainings
        return f"{self.done_before + len(ended)} of {whole} trainings done, about {left} left"

    def _trains(self, trial: Trial) -> bool:
        """Return whether a trial is a training of the plan, and not what joins some, or one of a user's."""
        given = parameters(trial)
        return given.get("stage") == "train" and name(given) in _trainings(self.plan)

    def seconds_left(self, ended: Sequence[Trial]) -> float:
        """Return the seconds that are left, by what each method's trainings took, or were estimated at."""
        seconds = 0.0
        before = finished(self.plan, self.out)
        for cost in self.plan.costs:
            own = [trial for trial in ended if parameters(trial)["method"] == cost.method]
            took = [(one["endTime"] - one["startTime"]) / 1000 for one in own if one["status"] == "SUCCEEDED"]
            each = sum(took) / len(took) if took else self.plan.trained(cost)
            over = {name(parameters(one)) for one in own} | {
                one for one in before if one.split("/")[-1] == cost.method
            }
            seconds += each * (self.plan.trainings(cost) - len(over))
        return seconds / self.plan.at_once + self.plan.joined


def _outcome(trials: Sequence[Trial], plan: Plan, out: Path) -> dict[str, Any]:
    """Return what came out; raises `ExperimentError` where the last trial failed."""
    finishes = [trial for trial in trials if parameters(trial).get("stage") == "finish"]
    if not finishes or finishes[-1]["status"] != "SUCCEEDED":
        reasons = "\n".join(failures(trials)) or "the study ended before its report"
        raise ExperimentError(f"{out}: no result; start the same command again to go on\n{reasons}")
    told: dict[str, Any] = read_json(out / STUDY_FILE)
    told["left_out"] = [*plan.to_dict()["left_out"], *told["left_out"]]
    return told | {"out": str(out), "trials": [summary(trial) for trial in trials]}


def text(result: Mapping[str, Any]) -> str:
    """Return what came out, in lines to read: figures, model, report, what was left out."""
    figures: Sequence[str] = result["figures"] or ["no figure: no fold was tested"]
    model = f"model: {Path(result['out'], result['model'])}"
    exported = result["exported"] or f"nowhere: {result['export_failed']}"
    left_out = [f"{one['method']}: {one['reason']}" for one in result["left_out"]]
    lines = [*figures, f"{model}, exported to {exported}", f"report: {result['report']}"]
    return "\n".join([*lines, f"left out: {'; '.join(left_out) or 'nothing'}"])
