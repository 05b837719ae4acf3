"""SSH hosts on one machine, each in a network namespace with its own address, loopback, keys and home.

Needs root, iproute2 and OpenSSH; `reason()` says what is missing. What a host runs can be killed, and its
cable can be pulled, without touching anything else.
"""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import ROOT

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
NETWORK = "198.18.{0}.{1}"  # set aside for such tests (RFC 2544)
START_SECONDS = 60


def reason() -> str:
    """Return why no hosts can be made here; empty where they can."""
    missing = [name for name in ("ip", "ssh", "ssh-keygen") if not shutil.which(name)]
    if missing or not SSHD:
        return f"needs {', '.join(missing or ['sshd'])}: install iproute2 and openssh-server"
    if os.geteuid():
        return "needs root, to make network namespaces"
    namespace = f"lesion-nas-{os.getpid()}"
    tried = subprocess.run(["ip", "netns", "add", namespace], capture_output=True, text=True)
    if tried.returncode:
        return f"cannot make network namespaces: {tried.stderr.strip()}"
    subprocess.run(["ip", "netns", "delete", namespace], check=True)
    return ""


@dataclass(frozen=True)
class SshHost:
    """A host: its address, the address at which it sees this machine, its home."""

    namespace: str
    address: str
    gateway: str
    home: Path

    @property
    def cable(self) -> str:
        """The end of its network cable that is outside."""
        return self.namespace.replace("lesion-nas-", "ln")  # 15 characters at most

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command on the host, beside its SSH server."""
        words = ["ip", "netns", "exec", self.namespace, *command]
        return subprocess.run(words, capture_output=True, text=True, timeout=60)

    def serve(self) -> None:
        """Start its SSH server, and wait until that answers."""
        assert SSHD is not None
        Path("/run/sshd").mkdir(exist_ok=True)
        started = self.run(SSHD, "-f", str(self.home / "sshd_config"), "-E", str(self.home / "sshd.log"))
        assert not started.returncode, started.stderr
        end = time.monotonic() + START_SECONDS
        while self.run("ss", "-Hltn", "sport = :22").stdout == "":
            assert time.monotonic() < end, f"no SSH server at {self.address}"

    def kill(self) -> None:
        """End whatever runs on it, at once, as when the power goes."""
        for _ in range(3):  # what was starting a process has a child by now
            for pid in self.run_outside("ip", "netns", "pids", self.namespace).split():
                with suppress(ProcessLookupError):
                    os.kill(int(pid), 9)

    def cut(self) -> None:
        """Pull its cable: it goes on, unreachable, and nobody is told."""
        self.run("ip", "link", "set", "eth0", "down")

    def mend(self) -> None:
        """Plug its cable in again."""
        self.run("ip", "link", "set", "eth0", "up")

    @staticmethod
    def run_outside(*command: str) -> str:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@contextmanager
def ssh_hosts(folder: Path, count: int) -> Iterator[list[SshHost]]:
    """Make hosts; `folder/bin`, first in PATH, has the `ssh` that knows them, `folder/key` opens them.

    They are gone at the end of the block, with everything that ran on them.
    """
    run = SshHost.run_outside
    for name in ("key", "host_key"):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name))
    hosts = []
    try:
        for number in range(count):
            subnet = os.getpid() % 60 * 4 + number
            host = SshHost(
                f"lesion-nas-{os.getpid()}-{number}",
                NETWORK.format(subnet, 2),
                NETWORK.format(subnet, 1),
                folder / f"host{number}",
            )
            hosts.append(host)
            run("ip", "netns", "add", host.namespace)
            run("ip", "link", "add", host.cable, "type", "veth", "peer", "eth0", "netns", host.namespace)
            run("ip", "address", "add", f"{host.gateway}/30", "dev", host.cable)
            run("ip", "link", "set", host.cable, "up")
            host.run("ip", "address", "add", f"{host.address}/30", "dev", "eth0")
            host.run("ip", "link", "set", "eth0", "up")
            host.run("ip", "link", "set", "lo", "up")
            host.home.mkdir()
            (host.home / "sshd_config").write_text(
                f"HostKey {folder / 'host_key'}\nAuthorizedKeysFile {folder / 'key.pub'}\nStrictModes no\n"
                f"UsePAM no\nPidFile none\nPermitRootLogin prohibit-password\nSubsystem sftp internal-sftp\n"
                f"SetEnv HOME={host.home} PYTHONPATH={ROOT} OMP_NUM_THREADS=1\n"
            )
            host.serve()
        known = (folder / "host_key.pub").read_text()
        (folder / "known_hosts").write_text("".join(f"{host.address} {known}" for host in hosts))
        (folder / "bin").mkdir()
        ssh = folder / "bin" / "ssh"
        ssh.write_text(
            f'#!/bin/sh\nexec {shutil.which("ssh")} -o UserKnownHostsFile={folder / "known_hosts"} "$@"\n'
        )
        ssh.chmod(0o755)
        yield hosts
    finally:
        for host in hosts:
            host.kill()
            # the cable by itself: the namespace takes it along some time after it was deleted
            for what in (["link", "delete", host.cable], ["netns", "delete", host.namespace]):
                subprocess.run(["ip", *what], capture_output=True)


def machine_list(folder: Path, hosts: list[SshHost]) -> list[dict[str, str]]:
    """Return the hosts as an experiment's file names them."""
    return [
        {
            "host": host.address,
            "user": getpass.getuser(),
            "sshKeyFile": str(folder / "key"),
            "pythonPath": str(Path(sys.executable).parent),
        }
        for host in hosts
    ]
