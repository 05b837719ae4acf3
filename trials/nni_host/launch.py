"""Runs an experiment of `nni_config/` to its end: ``lesion-nas launch nni_config/quickstart.yml``.

`launch` starts ``nnictl create`` with the web UI bound to this machine alone, prints its address, then a line
for every result that a trial reports, and stops the experiment at the end, also after a KeyboardInterrupt. It
first ends what an earlier experiment of the same folder, which was killed, has left running.
"""

from __future__ import annotations

import json
import math
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from search_space.regular_files import not_a_file, read_file
from search_space.strict_json import dump_json, parse_json
from trials.errors import ExperimentError, LockedError, reason
from trials.files import FileLock, write_atomically
from trials.nni_host.experiment import (
    LOOPBACK,
    Manager,
    check_home,
    end,
    environment,
    experiment,
    free_port,
    tail,
)
from trials.nni_host.hosts import Tunnel, hosts_of, tunnels
from trials.nni_host.paths import LAUNCH_LOCK, SETTINGS_FILE
from trials.nni_host.variables import VARIABLES
from trials.settings.load import flat, load_settings, read_overrides, read_yaml
from trials.settings.schema import require_one_training_of_cells

POLL_SECONDS = 1.0
# NNI never calls an experiment done because its tuner has no more trials: so many polls without a trial do.
# On a busy machine the first trial can take long to appear after the tuner has said it has no second one.
IDLE_POLLS, FIRST_POLLS = 10, 120
CONFIGS = Path(__file__).parents[2] / "nni_config"
HOST_NAME = re.compile(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]")
_DATA_NAMED = re.compile(rb"trials\.stage[^#]*--(phantoms|data) ")
_PROFILE = re.compile(r'^[^#\n]*--profile[ =]"?(?:\$\{(\w+):-)?(\w+)', re.MULTILINE)
_PIPELINES = ("tuner.PipelineTuner", "LesionPipeline")  # tuners whose stages no search space names
ENDED = ("SUCCEEDED", "FAILED", "USER_CANCELED", "SYS_CANCELED", "EARLY_STOPPED")
ENDED_EARLY = ("EARLY_STOPPED", "USER_CANCELED")  # NNI 3.0 calls what its assessor ends by either name

Trial = Mapping[str, Any]
Note = Callable[[Sequence[Trial]], str | None]  # a line on how far an experiment is, where there is news


@contextmanager
def only_launcher(out: Path) -> Iterator[None]:
    """Make the folder; let no other launcher run an experiment there during the block.

    What an earlier one has left running is ended. Raises `ExperimentError` where another launcher is at work,
    and where the folder cannot be written to.
    """
    lock = FileLock(out / LAUNCH_LOCK)
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except LockedError:
        raise ExperimentError(
            f"{out}: another launcher runs an experiment there; wait for its end, stop it, or name another "
            "folder with --out"
        ) from None
    except OSError as error:
        raise ExperimentError(
            f"{out}: cannot be written to ({reason(error)}); name another folder with --out"
        ) from None
    try:
        if ended := end(out):
            say(f"ended {ended} processes that an earlier experiment for {out} had left running")
        yield
    finally:
        lock.release()


def follow(
    manager: Manager, logs: Path, ways: Sequence[Tunnel] = (), note: Note = lambda _: None
) -> list[Trial]:
    """Print the experiment's progress, each line once, and what `note` says, until it is over.

    Returns its trials. Keeps the `ways` to its hosts open. Raises `ExperimentError` where NNI gives up, with
    what its `logs` say.
    """
    said: set[str] = set()
    idle = 0
    while True:
        keep_open(ways, said)
        state = manager.get("check-status")
        trials = sorted(manager.get("trial-jobs"), key=lambda trial: trial["sequenceId"])
        for line in progress(trials, manager.get("metric-data")):
            if line not in said:
                said.add(line)
                say(line)
        if news := note(trials):
            say(news)
        if state["status"] == "ERROR":
            reason = tail(read(logs / "nnictl_stderr.log"))
            raise ExperimentError(f"NNI gave up: {'; '.join(state['errors'])}\n{reason}\nall logs: {logs}")
        running = any(trial["status"] not in ENDED for trial in trials)
        idle = idle + 1 if state["status"] == "TUNER_NO_MORE_TRIAL" and not running else 0
        over = idle >= (IDLE_POLLS if trials else FIRST_POLLS)
        if over or state["status"] in ("DONE", "STOPPING", "STOPPED"):
            return trials
        time.sleep(POLL_SECONDS)


def keep_open(ways: Sequence[Tunnel], said: set[str]) -> None:
    """Open lost tunnels again, and say of each host once, in a line of `said`, that it is lost."""
    for way in ways:
        line = f"host {way.host} is lost: its trials go on elsewhere, and here again once it is back"
        if way.renew():
            if line not in said:
                say(line)
            said.add(line)
        else:
            said.discard(line)


def progress(trials: Sequence[Trial], metrics: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a line for everything that has happened, in its order; trials have the web UI's numbers."""
    numbers = {trial["trialJobId"]: trial["sequenceId"] for trial in trials}
    events: list[tuple[int, str]] = []
    for trial in trials:
        if "startTime" in trial:
            events.append(
                (trial["startTime"], f"{trial['sequenceId']} started: {describe(parameters(trial))}")
            )
        if trial["status"] in ENDED:
            events.append((trial.get("endTime", 0), f"{trial['sequenceId']} {status(trial)}"))
    for metric in metrics:
        kind = "result" if metric["type"] == "FINAL" else f"epoch {metric['sequence'] + 1}"
        if metric["trialJobId"] in numbers:  # else it is newer than the list of trials
            line = f"{numbers[metric['trialJobId']]} {kind}: {describe(value(metric))}"
            events.append((metric["timestamp"], line))
    return [f"trial {line}" for _, line in sorted(events)]


def launch(
    config: Path,
    out: Path,
    *,
    data: Path | None = None,
    external: Path | None = None,
    port: int | None = None,
    listen: str = LOOPBACK,
    hosts: Sequence[str] = (),
    group_column: str | None = None,
    accept: Sequence[str] = (),
    settings: Mapping[str, object] = MappingProxyType({}),
    note: Note = lambda _: None,
) -> list[Trial]:
    """Run an experiment to its end; return its trials, which have their results in `out`.

    The web UI and TensorBoard listen on loopback, and on `listen`, an address of this machine, if that is
    another; they answer to these names, and to `hosts`, such as that of a reverse proxy. All trials have the
    `settings`, by dotted name, over their profile's; the file `settings.json` in `out` keeps them. A line
    that `note` makes of the trials is printed among the progress. Raises
    `SettingsError` for settings that cannot be, `ExperimentError` for images that the trials would pass over
    and where the experiment cannot start or come to its end, and `HostError` for hosts that it cannot use.
    """
    config = find_config(config)
    for host in hosts:
        if not HOST_NAME.fullmatch(host):
            raise ExperimentError(f"--allow-host {host}: expected a name or an address, without port or path")
    for folder in (data, external):
        if folder is not None and not folder.exists():
            raise ExperimentError(f"{folder}: no such folder of images")
    out = out.resolve()
    data, external = (given and given.absolute() for given in (data, external))
    variables = environment(out, data, external, listen, hosts)
    if _reads(config, VARIABLES["data"]) and VARIABLES["data"] not in variables:
        raise ExperimentError(f"{config} runs on your images; name their folder: --data FOLDER")
    _refuse_passed_over(config, data, external)
    profile = profile_of(config)
    load_settings(profile, settings)  # wrong names end here
    settings = _continued(settings, out / SETTINGS_FILE)
    for stage in sorted({"rank", "retrain"} & _stages(config)):
        require_one_training_of_cells(load_settings(profile, settings), stage)
    file = out / SETTINGS_FILE if settings else None
    variables |= _told(config, {"group_column": group_column, "accept": ",".join(accept), "settings": file})
    check_home()
    with only_launcher(out), ExitStack() as running:
        if settings:
            write_atomically(out / SETTINGS_FILE, (dump_json(settings) + "\n").encode())
        # Until the port is taken: experiments that start together would choose the same.
        with FileLock(Path(tempfile.gettempdir(), f"lesion-nas-{os.getuid()}.lock"), own=True).held(math.inf):
            port = free_port(port, listen)
            ways = running.enter_context(tunnels(hosts_of(config, listen), port))
            manager = running.enter_context(experiment(config, port, out, variables))
        say(f"web UI: {manager.address} (while this runs); results: {out}")
        if listen != LOOPBACK:
            say(f"open to all who reach {listen}:{port}: no password, and it starts commands here")
        return follow(manager, Path(manager.get("experiment")["logDir"], "log"), ways, note)


def profile_of(config: Path) -> str:
    """Return the profile of an experiment's trials, as its file or the environment names it, else cpu."""
    named = _PROFILE.search(read_file(config).decode(errors="replace"))
    variable, default = named.groups() if named else (VARIABLES["profile"], "cpu")
    return os.environ.get(variable or "") or default


def _refuse_passed_over(config: Path, data: Path | None, external: Path | None) -> None:
    """Raise `ExperimentError` for images that an experiment's trials would pass over."""
    text = read_file(config)
    if data and _DATA_NAMED.search(text) and VARIABLES["data"].encode() not in text:
        raise ExperimentError(
            f"{config}: its trialCommand names other images than --data {data}, which no trial looks at; "
            "leave that out, or run an experiment of your images, such as pipeline"
        )
    stages = _stages(config)
    if external and stages and not {"train", "contend"} & stages:
        raise ExperimentError(
            f"{config}: none of its stages tests on --external {external}; leave that out, or run compare or "
            "a study"
        )


def _stages(config: Path) -> set[str]:
    """Return the stages of an experiment's trials; none where its file does not tell them."""
    try:
        content = read_yaml(read_file(config).decode())
        tuner, space = content.get("tuner") or {}, content.get("searchSpace") or {}
        if str(tuner.get("className") or tuner.get("name")) in _PIPELINES:
            return {"search", "retrain", "evaluate"}
        return set((space.get("stage") or {}).get("_value") or ())
    except (AttributeError, TypeError, ValueError, yaml.YAMLError):
        return set()  # nnictl says what is wrong


def _told(config: Path, options: Mapping[str, str | Path | None]) -> dict[str, str]:
    """Return the variables of those options that have a value.

    Raises `ExperimentError` where an experiment's trials do not read one of them.
    """
    told = {VARIABLES[option]: str(value) for option, value in options.items() if value}
    for name in told:
        if not _reads(config, name):
            raise ExperimentError(
                f"{config} does not read {name}; add it to its trialCommand, or let that be as in "
                "nni_config/pipeline.yml"
            )
    return told


def _reads(config: Path, variable: str) -> bool:
    """Whether an experiment's trials read a variable: its file names it, or they are stages of any images."""
    text = read_file(config)
    return variable.encode() in text or (b"trials.stage" in text and not _DATA_NAMED.search(text))


def _continued(settings: Mapping[str, object], file: Path) -> dict[str, object]:
    """Return the settings of all trials, those in the folder's file where none are named.

    Raises `ExperimentError` where the folder's trials have others.
    """
    given = dict(settings)
    if not file.exists():
        return given
    known = dict(flat(read_overrides(file)))
    if given and known != parse_json(dump_json(given)):
        raise ExperimentError(
            f"{file}: the trials of this folder have the settings {known}, not {given}; leave out --set and "
            "--settings to go on, or name another folder"
        )
    return known


def find_config(config: Path) -> Path:
    """Return the file of an experiment: a path, or the bare name of one that comes with this package.

    Either may lack its `.yml`. Raises `ExperimentError` where there is none.
    """
    bare = [CONFIGS / config.name] if config == Path(config.name) else []
    for place in (config, *bare):
        for file in (place, place.with_name(f"{place.name}.yml")):
            if not_a_file(file) is None:
                return file
    said = not_a_file(config) if config.name else "is a folder, expected a file"
    ours = ", ".join(sorted(file.name for file in CONFIGS.glob("*.yml")))
    raise ExperimentError(f"{config}: {said}; expected an experiment's file, or one of ours: {ours}")


def summary(trial: Trial) -> dict[str, Any]:
    """Return a trial as JSON values: its number, its parameters, how it ended, and with what result."""
    finals = trial.get("finalMetricData") or []
    return {
        "number": trial["sequenceId"],
        "parameters": parameters(trial),
        "status": status(trial),
        "result": value(finals[-1]) if finals else None,
    }


def failures(trials: Sequence[Trial]) -> list[str]:
    """Return what went wrong, with the last lines of each failed trial's log; empty if all is well."""
    if not trials:
        return ["the experiment ended without a trial"]
    failed = []
    for trial in trials:
        if trial["status"] not in ("SUCCEEDED", *ENDED_EARLY):
            folder = Path(trial["logPath"])  # on another host HOST:FOLDER
            log = read(folder / "trial.stderr") or read(folder / "trial.log")
            reason = tail(log) or f"  its logs: {folder}"
            failed.append(f"trial {trial['sequenceId']} {status(trial)}:\n{reason}")
    return failed


def parameters(trial: Trial) -> Any:
    """Return a trial's parameters as the tuner gave them."""
    return json.loads(trial["hyperParameters"][0])["parameters"]


def status(trial: Trial) -> str:
    """Return how a trial is, in words."""
    state = str(trial["status"])
    return "ended early" if state in ENDED_EARLY else state.lower().replace("_", " ")


def value(metric: Mapping[str, Any]) -> Any:
    """Return what a trial reported: a number, or numbers by name; NNI keeps it as JSON within JSON."""
    return json.loads(json.loads(metric["data"]))


def describe(values: Any) -> str:
    """Return parameters or metrics on one line; NNI's ``default`` repeats another where there is one."""
    if not isinstance(values, Mapping):
        return f"{values:.4g}" if isinstance(values, float) else str(values)
    named = {name: item for name, item in values.items() if name != "default"} or values
    return "  ".join(f"{name} {describe(item)}" for name, item in named.items())


def read(path: Path) -> str:
    """Return a log's text; empty where there is none."""
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def say(text: str) -> None:
    """Print a line at once, into pipes too."""
    print(text, flush=True)
