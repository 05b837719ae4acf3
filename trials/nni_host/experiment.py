"""An NNI experiment as processes of this machine: how one is started, reached, found again and ended.

Its manager is a node process with a REST interface; it starts the tuner and the trials. All of them carry the
experiment's output folder in their environment (`FOLDER`), by which what an interruption has left is found.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any

import psutil

from trials.errors import ExperimentError
from trials.nni_host.variables import VARIABLES

STOP_SECONDS = 70.0  # NNI gives itself 60 s
LOOPBACK = "127.0.0.1"
FOLDER = "LESION_NAS_EXPERIMENT"  # variable of all that an experiment starts: its output folder

# The command nnictl, which gives its web server 4 s to start, too few on a busy machine; here 60.
PATIENT_NNICTL = """
from functools import partial
from nni.experiment import launcher
from nni.tools.nnictl.nnictl import parse_args
launcher._check_rest_server = partial(launcher._check_rest_server, retry=60)
parse_args()
"""


class Manager:
    """NNI's manager of the experiment at a port of this machine: a node process with a REST interface."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.address = f"http://{LOOPBACK}:{port}"
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy to loopback

    def get(self, path: str) -> Any:
        """Return the JSON answer of a path such as ``trial-jobs``; raises `ExperimentError` without one."""
        try:
            with self._opener.open(f"{self.address}/api/v1/nni/{path}", timeout=30) as answer:
                return json.load(answer)
        except (OSError, HTTPException, ValueError) as error:  # the last two: killed while it answered
            raise ExperimentError(
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

    Raises `ExperimentError` where some cannot be ended.
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
    raise ExperimentError(f"{out}: these processes of an experiment do not end: {[one.pid for one in left]}")


def is_manager(process: psutil.Process) -> bool:
    """Whether a process is an NNI manager."""
    with suppress(psutil.Error):
        return any(word.endswith("nni_node/main.js") for word in process.cmdline())
    return False


def free_port(wanted: int | None, listen: str = LOOPBACK) -> int:
    """Return `wanted`; without it 8080, or any other port where that is taken.

    Raises `ExperimentError` where `wanted` is taken, and where `listen` is no address of this machine.
    """
    with socket.socket() as probe:
        try:
            probe.bind((listen, 0))
        except OSError:
            raise ExperimentError(
                f"--listen {listen}: not an IPv4 address of this machine, as `hostname -I` lists them"
            ) from None
    if wanted is not None and not 0 <= wanted <= 65535:
        raise ExperimentError(f"--port {wanted}: ports are 1 to 65535; 0 takes one that is free")
    for port in (8080, 0) if wanted is None else (wanted,):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                probe.bind(("", port))
                return int(probe.getsockname()[1])
    raise ExperimentError(f"port {wanted} is taken; choose another with --port, or leave that out")


def node_options() -> str:
    """Return the variable NODE_OPTIONS with which node reads our changes to NNI first."""
    preload = str(Path(__file__).with_name("nni_manager.cjs")).replace("\\", "\\\\").replace('"', '\\"')
    return f'{os.environ.get("NODE_OPTIONS", "")} --require "{preload}"'.strip()


def no_proxy(*addresses: str) -> dict[str, str]:
    """Return the variables by which no proxy stands between this machine and itself, or `addresses`."""
    given = ",".join(os.environ.get(name, "") for name in ("NO_PROXY", "no_proxy")).split(",")
    direct = ",".join(dict.fromkeys(filter(None, (*given, "localhost", LOOPBACK, "::1", *addresses))))
    return {"NO_PROXY": direct, "no_proxy": direct}  # programs differ in which they read


def check_home() -> None:
    """Raise `ExperimentError` where NNI could not keep its experiments, which it does in the home folder."""
    place = Path("~/nni-experiments").expanduser()
    try:
        if not place.is_absolute() or not place.parent.is_dir() or os.environ.get("HOME") == "":
            raise FileNotFoundError("there is no home folder")
        with tempfile.TemporaryFile(dir=place if os.path.lexists(place) else place.parent):
            pass
    except OSError as error:
        raise ExperimentError(
            f"{place}: NNI keeps its experiments there, and cannot ({error.strerror or error}); name a "
            "folder of yours as home: export HOME=FOLDER"
        ) from None


def environment(
    out: Path,
    data: Path | None,
    external: Path | None = None,
    listen: str = LOOPBACK,
    hosts: Sequence[str] = (),
) -> dict[str, str]:
    """Return the experiment's variables: this Python first, where to listen, the YAML file's folders.

    `hosts` are further names of this machine, by which a browser may ask the web UI.
    """
    variables = {
        **os.environ,
        **no_proxy(listen),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "NODE_OPTIONS": node_options(),
        "LESION_NAS_LISTEN": listen,
        "LESION_NAS_HOSTS": " ".join(hosts),
        VARIABLES["out"]: str(out),
        FOLDER: str(out),
    }
    if data is not None:
        variables[VARIABLES["data"]] = str(data)
    if external is not None:
        variables[VARIABLES["external"]] = str(external)
    return variables


def create(config: Path, port: int, variables: Mapping[str, str]) -> None:
    """Start the experiment in the background; raises `ExperimentError` with nnictl's words if it cannot."""
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
        raise ExperimentError(f"nnictl could not start {config}:\n{tail(said)}")


@contextmanager
def experiment(config: Path, port: int, out: Path, variables: Mapping[str, str]) -> Iterator[Manager]:
    """Start an experiment for `out` and, whatever happens, stop it at the end of the block.

    Raises `ExperimentError` with nnictl's words where it cannot start.
    """
    try:
        create(config, port, variables)
        yield Manager(port)
    finally:
        try:
            end(out)
        except KeyboardInterrupt:  # of whoever would stop it; it must not be left running
            end(out)
            raise


def tail(text: str, lines: int = 15) -> str:
    """Return the last lines of a log, without colours."""
    return "\n".join("  " + line for line in re.sub(r"\x1b\[\d*m", "", text).rstrip().splitlines()[-lines:])
