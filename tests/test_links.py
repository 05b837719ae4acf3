"""Nothing is written or emptied through a link, and nothing but regular files is read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from search_space import Architecture
from search_space.regular_files import NotAFileError, read_file
from tests.helpers.report_runs import GOOD, table, write_run
from trials.data.files.decoding import decode
from trials.data.new_folder import new_folder
from trials.data.tables.csv_rows import read_rows
from trials.errors import DataError, LinkError, LockedError, ModelError, RunFolderError, SettingsError
from trials.files import FileLock, below, write_atomically
from trials.models.model_file import load_description, load_model
from trials.nni_host.launch import only_launcher
from trials.pipeline.publish import run_publish
from trials.runs.folder import RunFolder, read_json
from trials.settings.load import read_overrides
from trials.training.checkpoint import resume_from


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    """A file of somebody's, to which links lead."""
    file = tmp_path / "elsewhere" / "precious.txt"
    file.parent.mkdir()
    file.write_text("mine")
    return file


def test_the_lock_of_a_run_folder_does_not_follow_links(tmp_path: Path, precious: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".lock").symlink_to(precious)
    with pytest.raises(RunFolderError, match=r"\.lock is a link"):
        RunFolder(tmp_path / "run", {})
    assert precious.read_text() == "mine"


def test_the_launchers_lock_does_not_follow_links(tmp_path: Path, precious: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".launch.lock").symlink_to(precious)
    with pytest.raises(Exception, match=r"\.launch\.lock is a link"), only_launcher(tmp_path / "run"):
        pass
    assert precious.read_text() == "mine"


def test_a_lock_keeps_its_file_and_admits_one(tmp_path: Path) -> None:
    file = tmp_path / ".lock"
    file.write_text("kept")
    with FileLock(file).held():
        with pytest.raises(LockedError):
            FileLock(file).acquire()
        assert file.read_text() == "kept"
    FileLock(file).acquire()


def test_a_lock_is_not_taken_in_a_file_that_was_removed_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / ".lock"
    real_open = os.open

    def removed_after_opening(*arguments: Any) -> int:
        monkeypatch.setattr(os, "open", real_open)
        descriptor = real_open(*arguments)
        file.unlink()
        return descriptor

    monkeypatch.setattr(os, "open", removed_after_opening)
    lock = FileLock(file)
    lock.acquire(1.0)
    with pytest.raises(LockedError):
        FileLock(file).acquire()


def test_a_lock_that_another_user_may_have_made_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / ".lock"
    file.touch()
    monkeypatch.setattr(os, "geteuid", lambda: file.stat().st_uid + 1)
    with pytest.raises(OSError, match="another user's"):
        FileLock(file, own=True).acquire()


def test_a_file_replaces_a_link_and_is_never_written_through_one(tmp_path: Path, precious: Path) -> None:
    (tmp_path / "metrics.json").symlink_to(precious)
    (tmp_path / f".metrics.json.{os.getpid()}.partial").symlink_to(precious)
    write_atomically(tmp_path / "metrics.json", b"new")
    assert (tmp_path / "metrics.json").read_text() == "new" and not (tmp_path / "metrics.json").is_symlink()
    assert precious.read_text() == "mine"


def test_a_path_below_a_folder_stays_there(tmp_path: Path) -> None:
    root = tmp_path / "out"
    (root / "inside").mkdir(parents=True)
    (root / "same").symlink_to("inside")
    (root / "out").symlink_to(tmp_path)
    assert below(root, root / "same" / "new.json") == root / "same" / "new.json"
    with pytest.raises(LinkError, match="a link leads out of"):
        below(root, root / "out" / "new.json")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run, as far as publishing looks."""
    with RunFolder(tmp_path / "runs" / "fold0" / "hog", {"verb": "train"}) as folder:
        folder.write_json("metrics.json", {"method": "hog"})
        folder.finish()
    return folder.path


def test_publish_follows_no_link_out_of_its_folder(tmp_path: Path, precious: Path) -> None:
    (tmp_path / "published").mkdir()
    write_run(tmp_path / "runs" / "hog", "hog", 0, table(0, GOOD[0]))
    (tmp_path / "published" / "predictions.csv.bz2").symlink_to(precious)
    with pytest.raises(LinkError, match="published"):
        run_publish([tmp_path / "runs"], tmp_path / "published")
    assert list(precious.parent.iterdir()) == [precious]


def test_publish_copies_nothing_that_a_link_in_a_run_names(tmp_path: Path, run: Path, precious: Path) -> None:
    (run / "validation_predictions.csv").symlink_to(precious)
    with pytest.raises(LinkError, match=r"validation_predictions\.csv"):
        run_publish([tmp_path / "runs"], tmp_path / "published")
    assert not (tmp_path / "published").exists()


READERS: list[tuple[str, Callable[[Path], object], type[Exception]]] = [
    ("architecture.json", Architecture.load, NotAFileError),
    ("metrics.json", read_json, ValueError),
    ("mine.yml", read_overrides, SettingsError),
    ("manifest.csv", lambda path: read_rows(path, ("file",)), DataError),
    ("image.png", decode, DataError),
    ("last.ckpt", resume_from, RunFolderError),
    ("model.json", lambda path: load_description(path.parent), ModelError),
]


def a_pipe(path: Path) -> str:
    os.mkfifo(path)
    return "a named pipe"


def a_device(path: Path) -> str:
    path.symlink_to("/dev/zero")  # without end
    return "a device"


def a_folder(path: Path) -> str:
    path.mkdir()
    return "a folder"


def a_link_to_nothing(path: Path) -> str:
    path.symlink_to("gone")
    return "a link to nothing|[Nn]o such file"


@pytest.mark.parametrize("make", [a_pipe, a_device, a_folder, a_link_to_nothing])
@pytest.mark.parametrize(("name", "reader", "error"), READERS, ids=[name for name, _, _ in READERS])
def test_paths_that_are_no_files_are_named_and_not_read(
    tmp_path: Path,
    name: str,
    reader: Callable[[Path], object],
    error: type[Exception],
    make: Callable[[Path], str],
) -> None:
    kind = make(tmp_path / name)
    expected = (error, FileNotFoundError) if make is a_link_to_nothing else error
    with pytest.raises(expected, match=kind) as raised:
        reader(tmp_path / name)
    assert name in str(raised.value)


def test_a_link_to_a_file_is_read(tmp_path: Path, precious: Path) -> None:
    (tmp_path / "link").symlink_to(precious)
    assert read_file(tmp_path / "link") == b"mine"


@pytest.mark.parametrize("make", [a_pipe, a_device])
def test_weights_are_read_only_from_files(tmp_path: Path, make: Callable[[Path], str]) -> None:
    network = {"kind": "cells", "architecture": Architecture.random(0, nodes=2).to_sample()}
    described = {"network": network | {"layout": "enas3", "filters": 2}, "channels": 3, "image_size": 16}
    others = {"classes": ["benign", "malignant"], "positive": "malignant", "fit": "pad", "threshold": 0.5}
    (tmp_path / "model.json").write_text(json.dumps(described | others | {"mean": [0.4], "std": [0.2]}))
    kind = make(tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match=rf"model\.safetensors: is {kind}"):
        load_model(tmp_path)


# New folders -----------------------------------------------------------------------------------------------


def hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def test_two_processes_cannot_write_one_new_folder(tmp_path: Path) -> None:
    with new_folder(tmp_path / "out") as folder:
        (folder / "file").write_text("first")
        with (
            pytest.raises(DataError, match="another process is writing it"),
            new_folder(tmp_path / "out"),
        ):
            pass
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["file"]
    assert not hidden(tmp_path)


KILLED = """
import os, sys
from pathlib import Path
from trials.data.new_folder import new_folder
with new_folder(Path(sys.argv[1])) as folder:
    (folder / "half").write_text("of it")
    (folder / "maps").mkdir()
    os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("name", ["out", "another"])
def test_leftovers_of_a_killed_process_are_removed(tmp_path: Path, name: str) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "out")], check=False)
    assert hidden(tmp_path)
    with new_folder(tmp_path / name) as folder:
        assert not (folder / "half").exists()
        (folder / "whole").touch()
    assert [path.name for path in (tmp_path / name).iterdir()] == ["whole"]
    assert not hidden(tmp_path)


def test_a_new_folder_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), new_folder(tmp_path / "out") as folder:
        (folder / "half").touch()
        raise RuntimeError
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["out", ".out.growing"])
def test_a_new_folder_is_never_written_through_a_link(tmp_path: Path, precious: Path, name: str) -> None:
    (tmp_path / name).symlink_to(precious.parent)
    with pytest.raises(DataError, match="a link"), new_folder(tmp_path / "out"):
        pass
    assert list(precious.parent.iterdir()) == [precious]
