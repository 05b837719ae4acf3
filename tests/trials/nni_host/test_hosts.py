"""Experiments over SSH hosts, made on this machine; one is lost in the middle."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.robustness.lost_hosts import losses, start, write_experiment
from benchmarks.robustness.ssh_hosts import SshHost, machine_list, reason, ssh_hosts
from trials.errors import HostError
from trials.nni_host.experiment import free_port
from trials.nni_host.hosts import hosts_of

TOY = Path(__file__).parent / "toy"
PATIENCE = 300  # seconds; for machines that are busy, nothing waits so long


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[list[SshHost]]:
    why = reason()
    if why:
        pytest.skip(f"no SSH hosts here: {why}")
    with ssh_hosts(tmp_path, 2) as made:
        yield made


@pytest.mark.parametrize(
    ("service", "listen", "reason"),
    [
        ({"platform": "remote", "nniManagerIp": "192.0.2.1"}, "127.0.0.1", "start with --listen 192.0.2.1"),
        ({"platform": "remote", "password": "x"}, "127.0.0.1", "one.example has a password"),
        ({"platform": "remote", "sshKeyFile": "no-such-key"}, "127.0.0.1", "no-such-key"),
        ({"platform": "remote", "user": None}, "127.0.0.1", "user"),
    ],
)
def test_hosts_that_could_not_answer_are_refused_with_the_way_out(
    service: dict[str, str], listen: str, reason: str, tmp_path: Path
) -> None:
    (tmp_path / "key").touch()
    machine = {"host": "one.example", "user": "me", "sshKeyFile": str(tmp_path / "key")}
    top = {name: service.pop(name) for name in ("platform", "nniManagerIp") if name in service}
    config = write_experiment(tmp_path, {**top, "machineList": [machine | service]})
    with pytest.raises(HostError, match=reason):
        hosts_of(config, listen)


def test_a_file_that_is_no_yaml_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "broken.yml").write_text("trainingService: {platform")
    with pytest.raises(HostError, match=r"broken\.yml: not readable as YAML"):
        hosts_of(tmp_path / "broken.yml", "127.0.0.1")


def test_hosts_dial_through_a_tunnel_unless_an_address_is_named_that_is_listened_at(tmp_path: Path) -> None:
    (tmp_path / "key").touch()
    machine = {"host": "one.example", "user": "me", "sshKeyFile": str(tmp_path / "key")}
    service = {"platform": "remote", "machineList": [machine]}
    assert [str(host) for host in hosts_of(write_experiment(tmp_path, service), "127.0.0.1")] == [
        "me@one.example:22"
    ]
    named = write_experiment(tmp_path, service | {"nniManagerIp": "192.0.2.1"})
    assert hosts_of(named, "192.0.2.1") == []
    assert hosts_of(TOY / "toy_tuned.yml", "127.0.0.1") == []


def test_trials_of_older_training_services_read_their_trial_parameters(tmp_path: Path) -> None:
    (tmp_path / "parameter.cfg").write_text('{"parameter_id": 3, "parameters": {"x": 7, "y": "null"}}')
    script = "from trials.nni_host.parameters import trial_parameters; print(trial_parameters())"
    folders = {"NNI_SYS_DIR": str(tmp_path), "NNI_OUTPUT_DIR": str(tmp_path), "NNI_TRIAL_JOB_ID": "A"}
    ran = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **folders, "NNI_PLATFORM": "kubeflow", "MULTI_PHASE": "true"},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert ran.stdout.endswith("{'x': 7, 'y': None}\n"), ran.stderr


def wait_until(true: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.1)


def test_a_host_that_is_lost_loses_no_trial_and_none_counts_twice(
    hosts: list[SshHost], tmp_path: Path
) -> None:
    kept, lost = hosts
    service = {"platform": "remote", "machineList": machine_list(tmp_path, hosts)}
    out, port = tmp_path / "out", free_port(0)
    process = start(write_experiment(tmp_path, service), tmp_path, out, port, steps=2)
    try:
        wait_until(lambda: all(on(host, out) for host in hosts), process)
        ask = f"import socket; socket.create_connection(('{lost.gateway}', {port}), 5)"
        assert "refused" in lost.run(sys.executable, "-c", ask).stderr  # the manager is there by tunnel alone
        listening = lost.run("ss", "-Hltn", "sport != :22").stdout.splitlines()
        assert {line.split()[3].rpartition(":")[0] for line in listening} <= {"127.0.0.1", "[::1]"}
        lost.kill()
        (out / "go").touch()
        said, errors = process.communicate(timeout=PATIENCE)
    finally:
        process.terminate()
        process.communicate()
    assert process.returncode == 0, errors
    assert f"{lost.address}:22 is lost" in errors
    assert sorted(said.partition("results\n")[2].splitlines()[:3]) == [f"  x {x}: {x}" for x in (1, 2, 3)]
    assert losses(tmp_path, out, trials=3, steps=2) == []
    assert on(lost, out) and on(kept, out)


def on(host: SshHost, out: Path) -> bool:
    """Whether a step of a trial was done on a host."""
    return any(f" {host.home.name}\n" in log.read_text() for log in out.glob("run*/steps"))
