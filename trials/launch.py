"""Runs an experiment of `nni_config/` to its end: ``lesion-nas launch nni_config/quickstart.yml``.

Starts ``nnictl create`` with the web UI bound to this machine alone, prints its address, then a line for
every result that a trial reports; stops the experiment at the end, on Ctrl-C too. ``python -m trials.launch``
is the same: it ends with 0 when every trial has succeeded or was ended early, by NNI's assessor or a person,
else with 1 and the reason. What an experiment of the same folder has left running, because it or its manager
was killed, is ended first.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock, Timeout

from trials.hosts import HostError, Tunnel, hosts_of, tunnels

POLL_SECONDS = 1.0
# NNI never calls an experiment done because its tuner has no more trials: so many polls without a trial do.
# On a busy machine the first trial can take long to appear after the tuner has said it has no second one.
IDLE_POLLS, FIRST_POLLS = 10, 120
STOP_SECONDS = 70.0  # NNI gives itself 60 s
LOOPBACK = "127.0.0.1"
FOLDER = "LESION_NAS_EXPERIMENT"  # variable of all that an experiment starts: its output folder
EVALUATION = "evaluation.txt"  # what the pipeline leaves for a reader, in its folder `evaluation`
# For glibc's allocator (others ignore it), which reads it when a process starts: it sets aside the few bytes
# left over where PyTorch asks for aligned memory, and then finds no room in what was freed before. Without
# that, a search on NNI's hub cells takes 2.7 GB instead of 4.1.
UNBROKEN_MEMORY = "glibc.malloc.tcache_count=0:glibc.malloc.mxfast=0"
ENDED = ("SUCCEEDED", "FAILED", "USER_CANCELED", "SYS_CANCELED", "EARLY_STOPPED")
ENDED_EARLY = ("EARLY_STOPPED", "USER_CANCELED")  # NNI 3.0 calls what its assessor ends by either name

# The command nnictl, which gives its web server 4 s to start, too few on a busy machine; here 60.
PATIENT_NNICTL = """
from functools import partial
from nni.experiment import launcher
from nni.tools.nnictl.nnictl import parse_args
launcher._check_rest_server = partial(launcher._check_rest_server, retry=60)
parse_args()
"""

Trial = Mapping[str, Any]


class LaunchError(RuntimeError):
    """An experiment that could not be started, or that did not come to its end."""


class Manager:
    """NNI's manager of the experiment at a port of this machine: a node process with a REST interface."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.address = f"http://{LOOPBACK}:{port}"
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy to loopback

    def get(self, path: str) -> Any:
        """Return the JSON answer of a path such as ``trial-jobs``; raises `LaunchError` without an answer."""
        try:
            with self._opener.open(f"{self.address}/api/v1/nni/{path}", timeout=30) as answer:
                return json.load(answer)
        except (OSError, HTTPException, ValueError) as error:  # the last two: killed while it answered
            raise LaunchError(
                f"NNI's manager at {self.address} does not answer ({error}); started again with the same "
                "--out, the experiment goes on where it was"
            ) from None


def started_for(out: Path) -> list[psutil.Process]:
    """Return what runs of experiments that a launcher has started for `out`: manager, tuner, trials."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # it has just ended, or is another user's
            if process.environ().get(FOLDER) == str(out):
                found.append(process)
    return found


def end(out: Path) -> int:
    """End what runs for `out`, managers first, who stop the rest in order; return how many processes it was.

    Raises `LaunchError` where some cannot be ended.
    """
    found = started_for(out)
    managers = [process for process in found if is_manager(process)]
    for process in managers:
        with suppress(psutil.Error):
            process.terminate()
    psutil.wait_procs(managers, STOP_SECONDS)
    for _ in range(10):  # what is killed may have been starting something
        left = started_for(out)
        if not left:
            return len(found)
        for process in left:
            with suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(left, 1)
    raise LaunchError(f"{out}: these processes of an experiment do not end: {[one.pid for one in left]}")


def is_manager(process: psutil.Process) -> bool:
    """Whether a process is an NNI manager."""
    with suppress(psutil.Error):
        return any(word.endswith("nni_node/main.js") for word in process.cmdline())
    return False


@contextmanager
def only_launcher(out: Path) -> Iterator[None]:
    """Make the folder; let no other launcher run an experiment there during the block.

    What an earlier one has left running is ended. Raises `LaunchError` where another launcher is at work, and
    where the folder cannot be written to.
    """
    lock = FileLock(str(out / ".launch.lock"))
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise LaunchError(
            f"{out}: another launcher runs an experiment there; wait for its end, stop it, or name another "
            "folder with --out"
        ) from None
    except OSError as error:
        raise LaunchError(f"{out}: cannot be written to ({error}); name another folder with --out") from None
    try:
        if ended := end(out):
            say(f"ended {ended} processes that an earlier experiment for {out} had left running")
        yield
    finally:
        lock.release()


def free_port(wanted: int | None, listen: str = LOOPBACK) -> int:
    """Return `wanted`; without it 8080, or any other port where that is taken.

    Raises `LaunchError` where `wanted` is taken, and where `listen` is no address of this machine.
    """
    with socket.socket() as probe:
        try:
            probe.bind((listen, 0))
        except OSError:
            raise LaunchError(
                f"--listen {listen}: not an IPv4 address of this machine, as `hostname -I` lists them"
            ) from None
    for port in (8080, 0) if wanted is None else (wanted,):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                probe.bind(("", port))
                return int(probe.getsockname()[1])
    raise LaunchError(f"port {wanted} is taken; choose another with --port, or leave that out")


def node_options() -> str:
    """Return the variable NODE_OPTIONS with which node reads our changes to NNI first."""
    preload = str(Path(__file__).with_name("nni_manager.cjs")).replace("\\", "\\\\").replace('"', '\\"')
    return f'{os.environ.get("NODE_OPTIONS", "")} --require "{preload}"'.strip()


def environment(
    out: Path, data: Path | None, external: Path | None = None, listen: str = LOOPBACK
) -> dict[str, str]:
    """Return the experiment's variables: this Python first, where to listen, the YAML file's folders."""
    variables = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "NODE_OPTIONS": node_options(),
        "LESION_NAS_LISTEN": listen,
        "LESION_NAS_OUT": str(out),
        FOLDER: str(out),
        "GLIBC_TUNABLES": os.environ.get("GLIBC_TUNABLES", UNBROKEN_MEMORY),
    }
    if data is not None:
        variables["LESION_NAS_DATASET"] = str(data)
    if external is not None:
        variables["LESION_NAS_EXTERNAL"] = str(external)
    return variables


def create(config: Path, port: int, variables: Mapping[str, str]) -> None:
    """Start the experiment in the background; raises `LaunchError` with nnictl's words if it could not."""
    process = subprocess.Popen(
        [sys.executable, "-c", PATIENT_NNICTL, "create", "--config", str(config), "--port", str(port)],
        env=dict(variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # Ctrl-C comes here alone, and the experiment is stopped once it can be
    )
    try:
        said, _ = process.communicate()
    except KeyboardInterrupt:
        process.wait()
        raise
    if process.returncode:
        raise LaunchError(f"nnictl could not start {config}:\n{tail(said)}")


def follow(manager: Manager, logs: Path, ways: Sequence[Tunnel] = ()) -> list[Trial]:
    """Print the experiment's progress, each line once, until it is over; return its trials.

    Keeps the `ways` to its hosts open. Raises `LaunchError` where NNI gives up, with what its `logs` say.
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
        if state["status"] == "ERROR":
            reason = tail(read(logs / "nnictl_stderr.log"))
            raise LaunchError(f"NNI gave up: {'; '.join(state['errors'])}\n{reason}\nall logs: {logs}")
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


@contextmanager
def experiment(config: Path, port: int, out: Path, variables: Mapping[str, str]) -> Iterator[Manager]:
    """Start an experiment for `out` and, whatever happens, stop it at the end of the block.

    Raises `LaunchError` with nnictl's words where it cannot start.
    """
    try:
        create(config, port, variables)
        yield Manager(port)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not leave it running
        end(out)


def launch(
    config: Path,
    out: Path,
    *,
    data: Path | None = None,
    external: Path | None = None,
    port: int | None = None,
    listen: str = LOOPBACK,
) -> list[Trial]:
    """Run an experiment to its end; return its trials, which have their results in `out`.

    The web UI and TensorBoard listen on loopback, and on `listen`, an address of this machine, if that is
    another. Raises `LaunchError` where the experiment cannot start or come to its end.
    """
    if not config.is_file():
        raise LaunchError(f"{config}: no such file; expected an experiment such as nni_config/quickstart.yml")
    for folder in (data, external):
        if folder is not None and not folder.exists():
            raise LaunchError(f"{folder}: no such folder of images")
    out = out.resolve()
    data, external = (given and given.absolute() for given in (data, external))
    variables = environment(out, data, external, listen)
    if "LESION_NAS_DATASET" in config.read_text(encoding="utf-8") and "LESION_NAS_DATASET" not in variables:
        raise LaunchError(f"{config} runs on your images; name their folder: --data FOLDER")
    for ending in (signal.SIGINT, signal.SIGTERM):  # also where a shell's background jobs ignore Ctrl-C
        signal.signal(ending, signal.default_int_handler)
    try:
        with only_launcher(out):
            port = free_port(port, listen)
            with (
                tunnels(hosts_of(config, listen), port) as ways,
                experiment(config, port, out, variables) as manager,
            ):
                say(f"web UI: {manager.address} (while this runs)")
                if listen != LOOPBACK:
                    say(f"open to all who reach {listen}:{port}: no password, and it starts commands here")
                return follow(manager, Path(manager.get("experiment")["logDir"], "log"), ways)
    except HostError as error:
        raise LaunchError(str(error)) from None


def results(trials: Sequence[Trial], out: Path) -> str:
    """Return every trial's outcome and where the results lie, in lines to read."""
    lines = ["results"]
    for trial in map(summary, trials):
        result = trial["status"] if trial["result"] is None else describe(trial["result"])
        lines.append(f"  {describe(trial['parameters'])}: {result}")
    return "\n".join([*lines, read(out / "evaluation" / EVALUATION), f"in {out}"])


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


def tail(text: str, lines: int = 15) -> str:
    """Return the last lines of a log, without colours."""
    return "\n".join("  " + line for line in re.sub(r"\x1b\[\d*m", "", text).rstrip().splitlines()[-lines:])


def say(text: str) -> None:
    """Print a line at once, into pipes too."""
    print(text, flush=True)


def launch_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what can be said about an experiment."""
    parser.add_argument("config", type=Path, metavar="CONFIG", help="one of nni_config/*.yml, or your own")
    parser.add_argument("--port", type=int, help="of the web UI (default: 8080, or another if that is taken)")
    parser.add_argument(
        "--listen",
        default=LOOPBACK,
        metavar="ADDRESS",
        help="where web UI and TensorBoard listen as well; whoever reaches them can start commands here, "
        "without a password (default: 127.0.0.1, this machine alone)",
    )
    parser.add_argument("--data", type=Path, help="folder of lesion images, where the experiment needs one")
    parser.add_argument("--external", type=Path, help="other images to test on, where it takes them")
    parser.add_argument("--out", type=Path, help="output folder; what it holds is continued (default: new)")


def run(arguments: argparse.Namespace) -> tuple[list[Trial], Path]:
    """Launch what `launch_arguments` say; return the trials and the folder of their results."""
    out = arguments.out or Path("runs", f"{arguments.config.stem}-{time.strftime('%Y%m%d-%H%M%S')}")
    named = {name: getattr(arguments, name) for name in ("data", "external", "port", "listen")}
    return launch(arguments.config, out, **named), out.resolve()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m trials.launch", description=__doc__)
    launch_arguments(parser)
    try:
        trials, out = run(parser.parse_args(argv))
    except LaunchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    say(f"\n{results(trials, out)}")
    failed = failures(trials)
    for reason in failed:
        print(f"error: {reason}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
