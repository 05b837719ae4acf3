"""Kills the whole job on synthetic lesions at random moments, and counts how often something was lost.

    python -m benchmarks.kill_campaign --work FOLDER [--lives 8] [--seed 0]

A life is `nni_config/quickstart.yml` on fewer images, killed (SIGKILL) once while it searches, once while it
retrains and once while it evaluates, and started again each time until it is done. What it leaves must be
what the uninterrupted reference has left, byte for byte, but for times and places. Killed are, in turn, one
trial, NNI's manager, all processes of the experiment, and the launcher alone. A life that is done is not
repeated: the same command goes on with the next, and writes `results/kills.json` at the end.
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
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import yaml

from benchmarks.measure import ROOT, machine
from trials.launch import is_manager, started_for
from trials.provenance import provenance
from trials.run_folder import RUN_FILE, is_done

STAGES = ("search", "retrain", "evaluate")
TARGETS = ("trial", "manager", "group", "launcher")
RUNS = ("fold0/search", "fold0/enas3", "fold0/enas5", "evaluation")
STARTS = 12  # of one life, then it counts as lost
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
                [sys.executable, "-m", "trials.launch", str(self._config), "--out", str(self.out)],
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
            time.sleep(0.05)
        return True

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


def _is_trial(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return "trials.stage" in process.cmdline()
    return False


def reference(folder: Path) -> dict[str, float]:
    """Run a job without interruption, once; return how many seconds each stage took."""
    spans = folder / "seconds.json"
    if not spans.exists():
        shutil.rmtree(folder, ignore_errors=True)
        job = Job(folder)
        job.start()
        begun: dict[str, float] = {}
        for stage in STAGES:
            assert job.wait_for(lambda stage=stage: job.running(stage)), "\n".join(job.said)
            begun[stage] = time.monotonic()
        assert job.launcher.wait() == 0, "\n".join(job.said)
        ends = [begun["retrain"], begun["evaluate"], time.monotonic()]
        taken = {stage: end - begun[stage] for stage, end in zip(STAGES, ends, strict=True)}
        spans.write_text(json.dumps(taken))
    return dict(json.loads(spans.read_text()))


def live(folder: Path, number: int, seed: int, spans: dict[str, float], whole: Path) -> dict[str, Any]:
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
        share = draw.random()
        while not job.wait_for(lambda stage=stage: job.running(stage)) and job.starts < STARTS:
            job.start()  # what was killed before has kept this stage from starting
        time.sleep(share * spans[stage])
        kill = {"stage": stage, "target": target, "share": round(share, 3), "after": job.said[-1]}
        victims = job.victims(target, draw) if job.launcher.poll() is None else []
        for process in victims:
            with suppress(psutil.Error):
                process.kill()
        kills.append({**kill, "killed": len(victims)})
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
    record.write_text(json.dumps(result, indent=1))
    return result


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


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kill_campaign", description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder for all lives; continued")
    parser.add_argument("--lives", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    work = options.work.resolve()
    spans = reference(work / "reference")
    lives = []
    for number in range(options.lives):
        life = live(work / f"life{number}", number, options.seed, spans, work / "reference" / "out")
        print(json.dumps(life), flush=True)
        lives.append(life)
    done = [kill for life in lives for kill in life["kills"] if kill["killed"]]
    result = {
        "command": f"python -m benchmarks.kill_campaign --lives {options.lives} --seed {options.seed}",
        "kills": len(done),
        "by_target": dict(Counter(kill["target"] for kill in done)),
        "by_stage": dict(Counter(kill["stage"] for kill in done)),
        "lives": len(lives),
        "losses": sum(bool(life["lost"]) for life in lives),
        "reference_seconds": {stage: round(span, 1) for stage, span in spans.items()},
        "each": lives,
        "machine": machine(),
    }
    path = ROOT / "results" / "kills.json"
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"{result['kills']} kills, {result['losses']} of {len(lives)} lives with a loss: {path}")
    return 1 if result["losses"] else 0


if __name__ == "__main__":
    sys.exit(main())
