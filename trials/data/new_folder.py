"""Write a folder completely or not at all."""

from __future__ import annotations

import csv
import os
import shutil
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from trials.errors import DataError, LockedError, reason
from trials.files import FileLock
from trials.runs.layout import LOCK

_GROWING = ".growing"


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Yield a folder to fill, which becomes `out` at the end and is removed after an error.

    It lies beside `out`, hidden and locked; what killed processes have left there is removed. Raises
    `DataError` where `out` holds something already, cannot be written, or is being written by another
    process.
    """
    _check_free(out)
    growing = out.with_name(f".{out.name}{_GROWING}")
    with _claimed(out, growing):
        try:
            _check_free(out)  # another process may have finished in between
            _empty(growing)
            yield growing
            growing.chmod(0o755)  # until now only its owner could read it
            growing.replace(out)
        except BaseException:
            shutil.rmtree(growing, ignore_errors=True)
            raise
        (out / LOCK).unlink(missing_ok=True)  # after the move: nobody can take it on the way


def _check_free(out: Path) -> None:
    if out.is_symlink():
        raise DataError(f"{out}: is a link, which is not followed; name the folder itself")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"{out}: exists and is not an empty folder; choose another, or remove it")


@contextmanager
def _claimed(out: Path, growing: Path) -> Iterator[None]:
    """Hold the lock in the hidden folder, which is created, or taken over from a killed process."""
    lock = FileLock(growing / LOCK)
    try:
        growing.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(growing.parent)
        growing.mkdir(mode=0o700, exist_ok=True)
        found = growing.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise OSError(f"{growing} is in the way: a link, or another user's; remove it")
        lock.acquire()
    except LockedError:
        raise DataError(f"{out}: another process is writing it; wait for it or name another folder") from None
    except OSError as error:
        raise DataError(f"{out}: cannot be written ({reason(error)}); name another folder") from None
    try:
        yield
    finally:
        lock.release()


def _remove_abandoned(parent: Path) -> None:
    """Remove the hidden folders in `parent` whose processes were killed, so that nobody holds their locks."""
    for growing in parent.glob(f".*{_GROWING}"):
        if growing.is_symlink() or not (growing / LOCK).is_file():
            continue
        with suppress(LockedError, OSError), FileLock(growing / LOCK).held():
            shutil.rmtree(growing)


def _empty(growing: Path) -> None:
    for left in growing.iterdir():
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left)
        elif left.name != LOCK:
            left.unlink()


def write_manifest(folder: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write `manifest.csv` with the columns of the first row."""
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
