"""What a run survives: kills, full disks, data that change under it, hangs, too little memory."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from tests.helpers.runs import retrain_on, search_on
from trials.errors import DamagedError, DataError, RunFolderError, TrainingError
from trials.models.model_file import load_model
from trials.nni_host import watchdog
from trials.pipeline.evaluate import run_evaluate
from trials.pipeline.found import read_ranking
from trials.pipeline.publish import run_publish
from trials.runs import folder as run_folder
from trials.runs.folder import RunFolder, is_done, read_json
from trials.runs.layout import ARCHITECTURE, CHECKPOINT, PREDICTIONS
from trials.settings.load import load_settings
from trials.training import memory
from trials.training.checkpoint import SaveEachEpoch
from trials.training.module import LesionModule

Retrain = Callable[..., Mapping[str, Any]]
SEARCH = {
    "data.image_size": 16,
    "search.filters": 2,
    "search.nodes": 2,
    "search.epochs": 2,
    "search.controller_updates": 2,
    "search.controller_samples": 2,
    "search.final_samples": 6,
}
RETRAIN = {"data.image_size": 24, "retrain.epochs": 3, "retrain.filters": 2}
ROOT = Path(__file__).parents[3]

# Kills ------------------------------------------------------------------------------------------------------


def kill_at_change(
    process: multiprocessing.process.BaseProcess, folder: Path, file: str, number: int
) -> None:
    """Kill a process when its folder has changed so many times since there is `file`; it may end before."""
    before: set[tuple[str, int]] = set()
    while process.is_alive():
        try:
            now = {(entry.name, entry.stat().st_mtime_ns) for entry in os.scandir(folder)}
        except FileNotFoundError:  # the folder, or a file that has just been renamed
            now = before
        number -= now != before and any(name == file for name, _ in now)
        before = now
        if number <= 0:
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
            process.join()
        process.join(0.001)


@pytest.mark.parametrize("stage", ["search", "retrain"])
def test_a_run_that_is_killed_three_times_ends_as_one_that_never_was(
    stage: str, lesions: Path, architecture_file: Path, tmp_path: Path
) -> None:
    context = multiprocessing.get_context("forkserver")  # imports what takes long once
    context.set_forkserver_preload(["tests.helpers.runs"])

    def start(out: Path) -> multiprocessing.process.BaseProcess:
        common: dict[str, Any] = {"out": out, "folds": 2, "fold": 0}
        if stage == "search":
            named = {**common, "settings": load_settings("quick", SEARCH)}
            process = context.Process(target=search_on, args=(lesions,), kwargs=named)
        else:
            settings = load_settings("quick", RETRAIN)
            named = {**common, "settings": settings, "layout": "enas3"}
            process = context.Process(target=retrain_on, args=(lesions, architecture_file), kwargs=named)
        process.start()
        return process

    whole, killed = tmp_path / "whole", tmp_path / "killed"
    start(whole).join()
    draw = random.Random(stage)
    for file in ("run.json", CHECKPOINT, "cells.svg" if stage == "search" else "model.safetensors"):
        process = start(killed)
        kill_at_change(process, killed, file, draw.randint(1, 3))
        assert process.exitcode == -signal.SIGKILL
    start(killed).join()
    left = read_json(whole / "run.json")["sha256"]
    assert isinstance(left, dict) and len(left) > 5
    assert sorted(left) == sorted(
        path.name for path in killed.iterdir() if path.is_file() and path.name not in ("run.json", ".lock")
    )
    for name in left:
        if not name.endswith(".json") or name in (ARCHITECTURE, "candidates.json", "model.json"):
            assert (killed / name).read_bytes() == (whole / name).read_bytes(), name
    timed = "search.json" if stage == "search" else "metrics.json"
    one, other = (
        {key: value for key, value in read_json(out / timed).items() if key != "seconds"}
        for out in (whole, killed)
    )
    assert one == other


# Disks ------------------------------------------------------------------------------------------------------

IN_A_NAMESPACE = ["unshare", "--mount", "--map-root-user"]
SMALL_DISK = """
import sys, shutil, subprocess
from pathlib import Path
from tests.helpers.runs import retrain_on
from trials.runs.folder import RunFolder, read_json
from trials.settings.load import load_settings
from trials.training.seeding import SeedEachEpoch

disk, lesions, architecture, finished = map(Path, sys.argv[1:5])
identity = read_json(finished / "run.json")["identity"]
def mount(options): subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", disk], check=True)
def run(): return retrain_on(lesions, architecture, layout="enas3", out=disk / "out", folds=2, fold=0,
                              settings=load_settings("quick", identity["settings"]))
def told(action):
    try:
        action()
    except Exception as error:
        print("TOLD", type(error).__name__, error)

mount("size=40m")
shutil.copytree(finished, disk / "finished")
begin = SeedEachEpoch.on_train_epoch_start
def fill_and_begin(self, trainer, module):
    if trainer.current_epoch == 1:
        with (disk / "filler").open("wb", buffering=0) as file:
            try:
                while file.write(bytes(4096)): pass
            except OSError: pass
    begin(self, trainer, module)
SeedEachEpoch.on_train_epoch_start = fill_and_begin
told(run)
SeedEachEpoch.on_train_epoch_start = begin
print("DONE", read_json(disk / "out/run.json")["done"], list((disk / "out").glob(".*.partial")))
(disk / "filler").unlink()
run()
for name in ("predictions.csv", "model.safetensors", "model.json"):
    assert (disk / "out" / name).read_bytes() == (finished / name).read_bytes(), name
mount("remount,ro")
told(lambda: RunFolder(disk / "new", {}))
told(lambda: RunFolder(disk / "finished", identity))
print("READ", read_json(disk / "finished/metrics.json")["threshold"])
"""


def test_a_full_disk_stops_a_run_with_the_reason_and_nothing_is_lost(
    lesions: Path, architecture_file: Path, finished: tuple[Path, Path], tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    try:
        subprocess.run(
            [*IN_A_NAMESPACE, "mount", "-t", "tmpfs", "tmpfs", disk], check=True, capture_output=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no small disk can be mounted here: {error}")
    ran = subprocess.run(
        [*IN_A_NAMESPACE, sys.executable, "-c", SMALL_DISK, disk, lesions, architecture_file, finished[0]],
        cwd=ROOT,
        env={
            **os.environ,
            "OMP_NUM_THREADS": str(torch.get_num_threads()),
        },  # they decide how sums are rounded
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert ran.returncode == 0, ran.stderr
    full, state, new, again, threshold = ran.stdout.splitlines()
    assert "No space left on device" in full
    assert state == "DONE False []"
    assert all("TOLD RunFolderError" in line and "Read-only file system" in line for line in (new, again))
    assert float(threshold.split()[1]) == read_json(finished[0] / "metrics.json")["threshold"]


# Data -------------------------------------------------------------------------------------------------------


def test_a_run_keeps_to_the_data_that_it_has_read_and_is_not_resumed_on_others(
    retrain: Retrain,
    lesions: Path,
    finished: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = tmp_path / "data"
    shutil.copytree(lesions, data)
    first, second, *_ = sorted(data.glob("*.png"))
    save = SaveEachEpoch.on_train_epoch_end

    def lose(self: SaveEachEpoch, *arguments: Any) -> None:
        first.unlink(missing_ok=True)
        save(self, *arguments)

    def lose_and_stop(self: SaveEachEpoch, *arguments: Any) -> None:
        lose(self, *arguments)
        raise KeyError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(SaveEachEpoch, "on_train_epoch_end", lose)
        retrain(tmp_path / "out", data=data)
    assert (tmp_path / "out" / PREDICTIONS).read_bytes() == (finished[0] / PREDICTIONS).read_bytes()
    shutil.copy(lesions / first.name, first)
    with monkeypatch.context() as patch, pytest.raises(KeyError):
        patch.setattr(SaveEachEpoch, "on_train_epoch_end", lose_and_stop)
        retrain(tmp_path / "half", data=data)
    with pytest.raises(DataError, match=first.name):
        retrain(tmp_path / "half", data=data)
    shutil.copy(second, first)  # another image in its place
    with pytest.raises(RunFolderError, match="data: "):
        retrain(tmp_path / "half", data=data)


# Hangs ------------------------------------------------------------------------------------------------------

HANGS = (
    "import os, time; from trials.nni_host import watchdog; "
    "watchdog.TICK = 0.02; watchdog.watch({}, end=lambda: os._exit(1)); time.sleep(120)"
)


def test_a_trial_that_hangs_says_where_and_ends() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", HANGS.format(0.5)], cwd=ROOT, capture_output=True, text=True, timeout=100
    )
    assert ran.returncode == 1
    assert "time.sleep" in ran.stderr or "<string>" in ran.stderr
    assert "hangs where the lines above say" in ran.stderr.splitlines()[-1]


def test_a_trial_that_its_manager_has_left_ends(tmp_path: Path) -> None:
    manager = (
        "import subprocess, sys; "
        f"child = subprocess.Popen([sys.executable, '-c', {HANGS.format(3600)!r}], "
        f"stderr=open({str(tmp_path / 'said')!r}, 'w')); print(child.pid, flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", manager], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        trial = psutil.Process(int(process.stdout.readline()))
        time.sleep(1)  # it must have seen its manager
        assert trial.is_running()
        process.kill()
    trial.wait(100)
    assert "manager" in (tmp_path / "said").read_text()


def test_batches_and_waiting_for_another_run_are_heartbeats(
    retrain: Retrain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signs = watchdog.heartbeats()
    retrain(tmp_path / "out")
    assert watchdog.heartbeats() > signs + 4
    monkeypatch.setattr(run_folder, "PATIENCE", 0.01)
    signs = watchdog.heartbeats()
    with RunFolder(tmp_path / "other", {}):
        waiting = threading.Thread(target=lambda: RunFolder(tmp_path / "other", {}, wait=True).__exit__())
        waiting.start()
        while watchdog.heartbeats() < signs + 3:
            time.sleep(0.01)
    waiting.join()


# Memory -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("stage", "fits"), [("search", "batch_size=4 or search.filters=8"), ("retrain", "")])
def test_too_little_memory_is_told_with_what_would_fit_and_the_run_can_be_resumed(
    stage: str,
    fits: str,
    lesions: Path,
    retrain: Retrain,
    finished: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    step = LesionModule.training_step

    def out_of_memory(self: LesionModule, batch: Any, index: int) -> Any:
        if self.trainer.current_epoch == 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
        return step(self, batch, index)

    def peak(network: Any, images: torch.Tensor) -> int:
        if stage == "retrain":
            raise torch.OutOfMemoryError
        return 100 + 40 * len(images)  # the batch of 8 needs 420, and a tenth of the room is kept free

    monkeypatch.setattr(memory, "peak", peak)
    monkeypatch.setattr(memory, "room", lambda: 300)
    with monkeypatch.context() as patch, pytest.raises(TrainingError, match=r"20\.00 MiB") as told:
        patch.setattr(LesionModule, "training_step", out_of_memory)
        if stage == "search":
            chosen = load_settings("quick", SEARCH | {"search.filters": 16})
            search_on(lesions, out=tmp_path / "out", settings=chosen)
        else:
            retrain(tmp_path / "out")
    if stage == "search":
        assert fits in str(told.value)
    else:
        assert "smaller data.image_size" in str(told.value)
        retrain(tmp_path / "out")
        assert (tmp_path / "out" / PREDICTIONS).read_bytes() == (finished[0] / PREDICTIONS).read_bytes()


# Digests ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "reader"),
    [
        ("metrics.json", lambda run, out: run_evaluate([run], out)),
        ("predictions.csv", lambda run, out: run_evaluate([run], out)),
        ("model.json", lambda run, out: load_model(run)),
        ("model.safetensors", lambda run, out: load_model(run)),
        ("validation_predictions.csv", lambda run, out: run_publish([run], out)),
    ],
)
def test_a_file_of_a_finished_run_that_has_changed_is_refused_by_name(
    file: str, reader: Callable[[Path, Path], Any], finished: tuple[Path, Path], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished[0], run)
    reader(run, tmp_path / "before")
    content = bytearray((run / file).read_bytes())
    content[len(content) // 2] ^= 1  # one bit
    (run / file).write_bytes(content)
    with pytest.raises(DamagedError, match=file):
        reader(run, tmp_path / "after")
    assert not (tmp_path / "after").exists()


def test_what_a_search_has_found_is_taken_only_as_it_was_left(
    lesions: Path, retrain: Retrain, tmp_path: Path
) -> None:
    found = tmp_path / "search"
    search_on(lesions, out=found, settings=load_settings("quick", SEARCH | {"search.epochs": 1}))
    for name in (ARCHITECTURE, "ranking.csv"):
        with (found / name).open("a") as file:
            file.write("\n")
    with pytest.raises(DamagedError, match=ARCHITECTURE):
        retrain(tmp_path / "out", architecture=found / ARCHITECTURE, folds=5, fold=None)
    with pytest.raises(DamagedError, match=r"ranking\.csv"):
        read_ranking(found)


def test_a_run_without_digests_is_read_as_it_is(finished: tuple[Path, Path], tmp_path: Path) -> None:
    shutil.copytree(finished[0], tmp_path / "run")
    state = read_json(tmp_path / "run" / "run.json")
    assert isinstance(state["sha256"], dict) and CHECKPOINT not in state["sha256"]
    del state["sha256"]
    (tmp_path / "run" / "run.json").write_text(json.dumps(state))
    with (tmp_path / "run" / PREDICTIONS).open("a") as table:
        table.write("\n")  # its digest is another now
    assert is_done(tmp_path / "run")
    run_evaluate([tmp_path / "run"], tmp_path / "out")
