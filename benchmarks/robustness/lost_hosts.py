"""Hosts that are lost in the middle of an experiment.

    python -m benchmarks.robustness.lost_hosts [--rounds 2] [WAY...]

Each round runs an experiment of resumable trials on two SSH hosts, made on this machine, and loses one at a
random moment, in one of the ways below. Counts trials that were lost or counted twice, and steps of theirs
that were done twice or never: both must be none. Needs root; a round takes two or three minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.measure import ROOT, median_and_range, row, save
from benchmarks.robustness.ssh_hosts import SshHost, machine_list, reason, ssh_hosts
from trials.nni_host.experiment import free_port

TRIALS, STEPS = 6, 40  # twenty seconds a trial, so that a host that comes back finds work left
TRIAL = ROOT / "tests" / "trials" / "nni_host" / "toy"
LIMIT = 900  # seconds an experiment may take


def power(host: SshHost) -> None:
    """All that runs on the host is gone, for good."""
    host.kill()


def restart(host: SshHost) -> None:
    """All that runs on the host is gone; ten seconds later it is back."""
    host.kill()
    time.sleep(10)
    host.serve()


def cable(host: SshHost) -> None:
    """The host goes on, unreachable, for good; its trial can still write."""
    host.cut()


def blink(host: SshHost) -> None:
    """The host is unreachable for a minute, and goes on all the time."""
    host.cut()
    time.sleep(60)
    host.mend()


WAYS: dict[str, Callable[[SshHost], None]] = {one.__name__: one for one in (power, restart, cable, blink)}


def write_experiment(folder: Path, service: dict[str, Any], trials: int = 3) -> Path:
    """Write an experiment of small trials, two at a time, on the hosts of a training service."""
    config = folder / "experiment.yml"
    content = {
        "searchSpace": {"x": {"_type": "choice", "_value": list(range(1, trials + 1))}},
        "trialCommand": "python toy_host.py",
        "trialCodeDirectory": str(TRIAL),
        "trialConcurrency": 2,
        "maxTrialNumber": trials,
        "tuner": {"name": "GridSearch"},
        "trainingService": service,
    }
    config.write_text(json.dumps(content))
    return config


def start(config: Path, home: Path, out: Path, port: int, steps: int) -> subprocess.Popen[str]:
    """Start the experiment in a home of its own, with the `ssh` that knows the hosts."""
    own = {"HOME": str(home), "PATH": f"{home / 'bin'}:{os.environ['PATH']}", "LESION_NAS_STEPS": str(steps)}
    return subprocess.Popen(
        [sys.executable, "-m", "trials.cli", "launch", str(config), "--out", str(out), "--port", str(port)],
        cwd=home,
        env={**os.environ, "PYTHONPATH": str(ROOT), **own},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def losses(home: Path, out: Path, trials: int, steps: int) -> list[str]:
    """Return what was lost or counted twice, in words; empty if nothing was."""
    [database] = home.glob("nni-experiments/[!_]*/db/nni.sqlite")
    with sqlite3.connect(database) as connection:
        finals = Counter(connection.execute("select trialJobId from MetricData where type = 'FINAL'"))
    found = [f"{count} results of a trial" for count in finals.values() if count != 1]
    if len(finals) != trials:
        found.append(f"{len(finals)} trials with a result, not {trials}")
    for x in range(1, trials + 1):
        log = out / f"run{x}" / "steps"
        done = [int(line.split()[0]) for line in log.read_text().splitlines()] if log.exists() else []
        if done != list(range(steps)):
            found.append(f"steps of trial {x}: {done}")
    return found


def used_again(home: Path) -> bool:
    """Whether NNI says in its log that it uses a lost host again."""
    return any(
        "has been recovered" in log.read_text() for log in home.glob("nni-experiments/*/log/nnimanager.log")
    )


def lose(way: Callable[[SshHost], None], moment: float) -> tuple[list[str], bool, float]:
    """Lose a host `moment` seconds after both had begun.

    Returns the losses, whether the host was used again, and the experiment's seconds.
    """
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        out = home / "out"
        out.mkdir()
        (out / "go").touch()
        with ssh_hosts(home, 2) as hosts:
            service = {"platform": "remote", "machineList": machine_list(home, hosts)}
            begun = time.monotonic()
            process = start(write_experiment(home, service, TRIALS), home, out, free_port(0), STEPS)
            try:
                while len(list(out.glob("run*/steps"))) < 2:
                    assert process.poll() is None, process.communicate()
                    time.sleep(0.1)
                time.sleep(moment)
                way(hosts[1])
                said, errors = process.communicate(timeout=LIMIT)
            finally:
                process.terminate()
                process.communicate()
        found = losses(home, out, TRIALS, STEPS)
        if process.returncode:
            found.append(f"ended with {process.returncode}: {said} {errors}")
        return found, used_again(home), time.monotonic() - begun


def rounds(name: str, lost: Sequence[float], seconds: Sequence[float]) -> list[dict[str, Any]]:
    """Return the rows of a way to lose a host: what was lost in each round, and its seconds."""
    return [
        row(f"lost or counted twice, by {name}", median_and_range(lost), "", "0", not any(lost)),
        row(f"experiment that loses a host by {name}", median_and_range(seconds), "s"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("ways", nargs="*", metavar="WAY", help=f"of {', '.join(WAYS)} (default: all)")
    parser.add_argument("--rounds", type=int, default=2, help="of each way (default: 2)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
    arguments = parser.parse_args()
    if why := reason():
        raise SystemExit(f"no SSH hosts here: {why}")
    signal.signal(
        signal.SIGTERM, signal.default_int_handler
    )  # the hosts do not outlive a campaign that is ended
    moments = random.Random(arguments.seed)
    rows = []
    for name in arguments.ways or WAYS:
        lost, seconds = [], []
        for number in range(arguments.rounds):
            found, again, took = lose(WAYS[name], moments.uniform(0, 10))
            words = [f"{took:.0f} s", *(found or ["nothing lost"]), *(["host used again"] if again else [])]
            print(f"{name} {number + 1}: {'; '.join(words)}", flush=True)
            lost.append(float(len(found)))
            seconds.append(took)
        rows += rounds(name, lost, seconds)
        save("lost-hosts", rows, f"python -m benchmarks.robustness.lost_hosts --rounds {arguments.rounds}")


if __name__ == "__main__":
    main()
