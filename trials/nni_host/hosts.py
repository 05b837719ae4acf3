"""The way back from the hosts of a remote experiment to NNI's manager: a tunnel each, through SSH.

What NNI starts on a host dials back to the manager, by default at the manager's port of the host itself.
There a reverse SSH tunnel ends, so that the manager has to listen on loopback only.
"""

from __future__ import annotations

import logging
import select
import subprocess
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search_space.regular_files import read_file
from trials.errors import HostError
from trials.settings.load import read_yaml

OPEN_SECONDS = 60.0
RETRY_SECONDS = 10.0


@dataclass(frozen=True)
class Host:
    """A machine of an experiment's `machineList`, reached by SSH."""

    name: str
    port: int
    user: str
    key: Path

    def __str__(self) -> str:
        return f"{self.user}@{self.name}:{self.port}"


def hosts_of(config: Path, listen: str) -> list[Host]:
    """Return the hosts that need a tunnel: those of a remote experiment that names no address to dial.

    Raises `HostError` where NNI does not accept the file, where a host has no key, and where trials elsewhere
    are to dial another address than `listen`.
    """
    if _platform(config) == "local":
        return []
    service = _service(config)
    if service.nni_manager_ip is not None:
        if listen not in (service.nni_manager_ip, "0.0.0.0"):
            raise HostError(
                f"{config}: trials are to dial nniManagerIp {service.nni_manager_ip}, where nobody listens; "
                f"start with --listen {service.nni_manager_ip}, or on SSH hosts leave nniManagerIp out: they "
                "then dial through tunnels"
            )
        return []
    if service.platform != "remote":
        raise HostError(
            f"{config}: trials on {service.platform} dial this machine; name its address, nniManagerIp, "
            "in the file, and start with --listen and that address"
        )
    return [_host(config, machine) for machine in service.machine_list]


def _platform(config: Path) -> str:
    """Return where trials run; "local" too where the file does not say: nnictl says what is wrong with it."""
    import yaml  # few commands need it

    try:
        content = read_yaml(read_file(config).decode())
    except yaml.YAMLError as error:
        raise HostError(f"{config}: not readable as YAML: {error}") from None
    named = content.get("trainingService") if isinstance(content, dict) else None
    return str(named.get("platform", "local")) if isinstance(named, dict) else "local"


def _service(config: Path) -> Any:
    """Return an experiment's training service as NNI reads it."""
    from nni.experiment.config import ExperimentConfig  # takes seconds, which other experiments do not need

    logging.getLogger("nni.experiment.config").setLevel(logging.ERROR)  # warns that no address is named
    try:
        with warnings.catch_warnings(action="ignore"):  # of passwords, which are refused below
            return ExperimentConfig.load(config).canonical_copy().training_service
    except (ValueError, TypeError, AssertionError, AttributeError) as error:
        raise HostError(f"{config}: {error}") from None


def _host(config: Path, machine: Any) -> Host:
    """Return a machine of NNI's list."""
    if machine.ssh_key_file is None:
        raise HostError(f"{config}: {machine.host} has a password; name a key instead: sshKeyFile")
    return Host(machine.host, machine.port, machine.user, Path(machine.ssh_key_file))


class Tunnel:
    """A tunnel from `port` of a host's loopback interface to the same port of this machine's."""

    def __init__(self, host: Host, port: int) -> None:
        self.host = host
        self._port = port
        self._tried = 0.0
        self._process: subprocess.Popen[str]
        self._start()

    def _start(self) -> None:
        options = {
            "BatchMode": "yes",
            "ExitOnForwardFailure": "yes",
            "ServerAliveInterval": "5",  # a host that is silent for 15 s is lost
            "ConnectTimeout": "15",
        }
        words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        forward = f"{self._port}:127.0.0.1:{self._port}"
        place = ["-p", str(self.host.port), "-i", str(self.host.key), f"{self.host.user}@{self.host.name}"]
        self._tried = time.monotonic()
        self._process = subprocess.Popen(
            # The host says so once the tunnel is there, and holds it until this process closes its end.
            ["ssh", *words, "-R", forward, *place, "echo open; cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C first ends the experiment, which needs its tunnels
        )

    def wait(self) -> None:
        """Return once the tunnel is there; raises `HostError` with SSH's words where it cannot be made."""
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], OPEN_SECONDS)
        if ready and self._process.stdout.readline() == "open\n":
            return
        self.close()
        assert self._process.stderr is not None
        said = self._process.stderr.read().strip() or f"no answer within {OPEN_SECONDS:g} s"
        raise HostError(
            f"{self.host}: no tunnel from its port {self._port}: {said}\n"
            f"try `ssh -p {self.host.port} -i {self.host.key} {self.host.user}@{self.host.name}` by hand, or "
            "leave the host out; a port that is taken there: choose another with --port"
        )

    def renew(self) -> bool:
        """Whether the tunnel was lost; it is then opened again, without waiting for it."""
        lost = self._process.poll() is not None
        if lost and time.monotonic() - self._tried > RETRY_SECONDS:
            self.close()
            self._start()
        return lost

    def close(self) -> None:
        """End the tunnel."""
        self._process.terminate()
        self._process.wait()


@contextmanager
def tunnels(hosts: Sequence[Host], port: int) -> Iterator[list[Tunnel]]:
    """Hold a tunnel from `port` of every host to this machine's; raises `HostError` where one cannot be."""
    held: list[Tunnel] = []
    try:
        held.extend(Tunnel(host, port) for host in hosts)
        for tunnel in held:
            tunnel.wait()
        yield held
    finally:
        for tunnel in held:
            tunnel.close()
