"""Kills the whole job on synthetic lesions at random moments, and counts how often something was lost.

    python -m benchmarks.robustness.kill_campaign --work FOLDER [--lives 8] [--seed 0]

A life is `nni_config/quickstart.yml` on fewer images, killed (SIGKILL) once while it searches, once while it
retrains and once while it evaluates, and started again each time until it is done. What it leaves must be
what the uninterrupted reference has left, byte for byte, but for times and places. Killed are, in turn, one
trial, NNI's manager, all processes of the experiment, and the launcher alone; the moment is any change of the
stage's folder, by the number that the reference made, or some seconds after its trial has started. A life
that is done is not repeated: the same command goes on with the next, and writes `results/kills.json` at last.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import yaml

from benchmarks.measure import ROOT, machine
from search_space.strict_json import dump_json
from trials.nni_host.experiment import is_manager, started_for
from trials.runs.folder import is_done
from trials.runs.layout import RUN_FILE
from trials.runs.provenance import provenance

STAGES = {"search": "fold0/search", "retrain": "fold0/enas3", "evaluate": "evaluation"}  # and their folders
TARGETS = ("trial", "manager", "group", "launcher")
RUNS = ("fold0/search", "fold0/enas3", "fold0/enas5", "evaluation")
STARTS = 12  # of one life, then it counts as lost
POLL = 0.005
LATEST = 15.0  # seconds after the start of a trial, for a kill before its folder has changed
# What differs from run to run without being a result: times, and where the run was made.
ASIDE = {"seconds", "search_seconds", "folder", "commit", "versions", "device", "threads"}


class Job:
    """One pipeline in `folder`, which may take several starts."""

    def __init__(self, folder: Path) -> None:
        self.out = folder / "out"
        self.starts = 0
        self._folder = folder
        folder.mkdir(parents=True)
        (folder / "home").mkdir()  # NNI's own
        self._config = folder / "pipeline.yml"
        self._config.write_text(yaml.safe_dump(_config()))

    def start(self) -> None:
        """Start or go on."""
        self.starts += 1
        self._log = self._folder / f"start{self.starts}.log"
        with self._log.open("w") as log:
            self.launcher = psutil.Popen(
                [sys.executable, "-m", "trials.cli", "launch", str(self._config), "--out", str(self.out)],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(self._folder / "home")},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def said(self) -> list[str]:
        """What the launcher has said since the last start."""
        return self._log.read_text(errors="replace").splitlines()

    def wait_for(self, what: Callable[[], bool]) -> bool:
        """Wait until `what` is true; return whether it was before the launcher ended."""
        while not what():
            if self.launcher.poll() is not None:
                return what()
            time.sleep(POLL)
        return True

    def changes(self, stage: str) -> Callable[[], int]:
        """Return what tells, each time it is called, how often a stage's folder has been seen to change."""
        count, before = 0, _state(self.out / STAGES[stage])

        def changed() -> int:
            nonlocal count, before
            now = _state(self.out / STAGES[stage])
            count, before = count + (now != before), now
            return count

        return changed

    def running(self, stage: str) -> bool:
        """Whether a trial of the stage has started."""
        return any(f"started: stage {stage} " in line for line in self.said)

    def victims(self, target: str, draw: random.Random) -> list[psutil.Process]:
        """Return what is to be killed now."""
        everything = started_for(self.out)
        if target == "trial":
            trials = [process for process in everything if _is_trial(process)]
            return [draw.choice(trials)] if trials else []
        if target == "manager":
            return [process for process in everything if is_manager(process)]
        return [self.launcher, *everything] if target == "group" else [self.launcher]


def _config() -> dict[str, Any]:
    config = yaml.safe_load((ROOT / "nni_config" / "quickstart.yml").read_text())
    config["trialCommand"] = config["trialCommand"].replace("--phantoms 240", "--phantoms 60")
    config["trialCodeDirectory"] = str(ROOT / "nni_config")
    config["tuner"]["codeDirectory"] = str(ROOT / "strategies")
    config["tuner"]["classArgs"] |= {"folds": 2, "layouts": ["enas3", "enas5"]}
    return config


def _state(folder: Path) -> set[tuple[str, int]]:
    with suppress(FileNotFoundError):  # the folder, or a file that has just been renamed
        return {(entry.name, entry.stat().st_mtime_ns) for entry in os.scandir(folder)}
    return set()


def _is_trial(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return "trials.stage" in process.cmdline()
    return False


def reference(folder: Path) -> dict[str, int]:
    """Run a job without interruption, once; return how often each stage has changed its folder."""
    counts = folder / "changes.json"
    if not counts.exists():
        shutil.rmtree(folder, ignore_errors=True)
        job = Job(folder)
        job.start()
        changes = {stage: job.changes(stage) for stage in STAGES}
        while job.launcher.poll() is None:
            for changed in changes.values():
                changed()
            time.sleep(POLL)
        assert job.launcher.returncode == 0, "\n".join(job.said)
        counts.write_text(json.dumps({stage: changed() for stage, changed in changes.items()}))
    return dict(json.loads(counts.read_text()))


def live(folder: Path, number: int, seed: int, most: dict[str, int], whole: Path) -> dict[str, Any]:
    """Run a job with a kill in every stage; return what happened, and what it left otherwise than `whole`."""
    record = folder / "life.json"
    if record.exists():
        return dict(json.loads(record.read_text()))
    shutil.rmtree(folder, ignore_errors=True)
    job, kills = Job(folder), []
    job.start()
    for place, stage in enumerate(STAGES):
        draw = random.Random(f"{seed} {number} {stage}")
        target = TARGETS[(number + place) % len(TARGETS)]
        kills.append({"stage": stage, "target": target, **kill(job, stage, target, most[stage], draw)})
        job.launcher.wait()
        if job.launcher.returncode:
            job.start()
    while job.launcher.wait() and job.starts < STARTS:
        job.start()
    different = list(differences(whole, job.out))
    if job.launcher.returncode:
        different.append(f"not done after {job.starts} starts: {job.said[-1]}")
    commit = provenance()["commit"]
    result = {"life": number, "commit": commit, "starts": job.starts, "kills": kills, "lost": different}
    record.write_text(dump_json(result, 1))
    return result


def kill(job: Job, stage: str, target: str, most: int, draw: random.Random) -> dict[str, Any]:
    """Kill at some moment of a stage; return when, and how many processes: none where that was too late."""
    change, delay = draw.randint(0, most), draw.uniform(0, LATEST)
    folder, changed = job.out / STAGES[stage], job.changes(stage)
    done = folder.exists() and is_done(folder)  # an evaluation is, when it is made anew

    def now() -> bool:
        if not change:
            return job.running(stage)
        ended = not done and is_done(folder)  # fewer changes may be seen than in the reference
        return changed() >= change or ended

    while not job.wait_for(now) and job.launcher.returncode and job.starts < STARTS:
        job.start()  # what was killed before has kept this stage from starting
    if not change:
        time.sleep(delay)
    said = job.said
    victims = job.victims(target, draw) if job.launcher.poll() is None else []
    for process in victims:
        with suppress(psutil.Error):
            process.kill()
    after = said[-1] if victims else None  # what the launcher had said last
    return {"change": change, "of": most, "after": after, "killed": len(victims)}


def differences(whole: Path, other: Path) -> Iterator[str]:
    """Name what a job has left otherwise than the uninterrupted one."""
    for run in RUNS:
        if not is_done(other / run):
            yield f"{run}: not done"
            continue
        names = [set(json.loads((out / run / RUN_FILE).read_text())["sha256"]) for out in (whole, other)]
        yield from (f"{run}/{name}: not in both" for name in sorted(names[0] ^ names[1]))
        for name in sorted(names[0] & names[1]):
            if _result(whole / run / name) != _result(other / run / name):
                yield f"{run}/{name}"


def _result(file: Path) -> Any:
    return _without(json.loads(file.read_text())) if file.suffix == ".json" else file.read_bytes()


def _without(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without(item) for name, item in value.items() if name not in ASIDE}
    return [_without(item) for item in value] if isinstance(value, list) else value


def counted(lives: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return how many kills there were, by what and when, and how many lives lost something."""
    done = [kill for life in lives for kill in life["kills"] if kill["killed"]]
    return {
        "kills": len(done),
        "by_target": dict(Counter(kill["target"] for kill in done)),
        "by_stage": dict(Counter(kill["stage"] for kill in done)),
        "lives": len(lives),
        "losses": sum(bool(life["lost"]) for life in lives),
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.robustness.kill_campaign", description=__doc__
    )
    parser.add_argument("--work", type=Path, required=True, help="folder for all lives; continued")
    parser.add_argument("--lives", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    work = options.work.resolve()
    most = reference(work / "reference")
    lives = []
    for number in range(options.lives):
        life = live(work / f"life{number}", number, options.seed, most, work / "reference" / "out")
        print(dump_json(life, None), flush=True)
        lives.append(life)
    command = "python -m benchmarks.robustness.kill_campaign"
    command += f" --lives {options.lives} --seed {options.seed}"
    result = {"command": command, **counted(lives), "each": lives, "machine": machine()}
    path = ROOT / "results" / "kills.json"
    path.write_text(dump_json(result, 1) + "\n", encoding="utf-8")
    print(f"{result['kills']} kills, {result['losses']} of {len(lives)} lives with a loss: {path}")
    return 1 if result["losses"] else 0


if __name__ == "__main__":
    sys.exit(main())
