"""Keep on disk what was made of a large data set, so that later runs, and trials at once, share it.

An entry is a folder of files, named by what it is made of, in `LESION_NAS_CACHE` or in the user's cache
folder (XDG Base Directory Specification), which no other user can read. It is made under a lock, beside its
place, and moved there when it is whole; if its files have another size or time than then, it is made anew.
Before an entry is made, those that were used least recently leave, where all would be larger than
`LESION_NAS_CACHE_GB`. What a process has mapped stays readable for it.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from search_space.strict_json import dump_json, parse_json
from trials.data.findings import say
from trials.errors import LockedError, SettingsError
from trials.files import FileLock

FOLDER, LIMIT = "LESION_NAS_CACHE", "LESION_NAS_CACHE_GB"
GIGABYTES = 64.0  # ours: PatchCamelyon's pixels are 9, and 9 again as the network takes them
_CONTENTS = "contents.json"
T = TypeVar("T")


def folder() -> Path:
    """Return the folder of all entries, which may not be there yet."""
    users = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(os.environ.get(FOLDER) or Path(users) / "lesion-nas").absolute()


def limit() -> int:
    """Return how many bytes all entries may have. Raises `SettingsError` for what is no number."""
    told = os.environ.get(LIMIT) or GIGABYTES
    try:
        return int(1e9 * float(told))
    except (ValueError, OverflowError):
        raise SettingsError(f"{LIMIT}={told}: expected a number of gigabytes, 0 to keep nothing") from None


def kept(name: str, size: int, make: Callable[[Path], None], read: Callable[[Path], T]) -> T | None:
    """Return what `read` makes of an entry's folder; `make` fills it first where there is no whole one.

    `size` is what it will have, in bytes. None, with a line on standard error: it cannot be kept. What `make`
    raises leaves no entry, and is raised.
    """
    try:
        folder().mkdir(parents=True, exist_ok=True, mode=0o700)
        with _lock(name).held(math.inf):
            if not _is_whole(place := folder() / name) and not _made(place, size, make):
                return None
            os.utime(place / _CONTENTS)
            return read(place)
    except OSError as error:
        say([f"nothing is kept for later runs in {folder()}: {error}; {FOLDER} may name another folder"])
        return None


def entries() -> dict[str, int]:
    """Return the size in bytes of each entry, by its name, the least recently used first."""
    places = [place for place in folder().glob("[!.]*") if (place / _CONTENTS).is_file()]
    places.sort(key=lambda place: (place / _CONTENTS).stat().st_mtime_ns)
    return {place.name: sum(file.stat().st_size for file in place.iterdir()) for place in places}


def clear() -> list[str]:
    """Remove all entries, and what killed processes left; return the names of those that are being made."""
    locks = [path.name.removeprefix(".").removesuffix(".lock") for path in folder().glob(".*.lock")]
    return [name for name in sorted({*entries(), *locks}) if not _removed(name)]


def _lock(name: str) -> FileLock:
    return FileLock(folder() / f".{name}.lock")


def _removed(name: str) -> bool:
    """Remove an entry, unless another process holds its lock; return whether it was removed."""
    try:
        with _lock(name).held():
            shutil.rmtree(folder() / name, ignore_errors=True)
            shutil.rmtree(_partial(folder() / name), ignore_errors=True)
            (folder() / f".{name}.lock").unlink()
    except LockedError:
        return False
    return True


def _partial(place: Path) -> Path:
    return place.with_name(f".{place.name}.partial")


def _made(place: Path, size: int, make: Callable[[Path], None]) -> bool:
    """Make an entry anew, under its lock; return whether there was room for it."""
    partial = _partial(place)
    for old in (place, partial):
        shutil.rmtree(old, ignore_errors=True)
    if not _has_room(place.name, size):
        return False
    partial.mkdir(mode=0o700)
    try:
        make(partial)
        _flush(partial)
        (partial / _CONTENTS).write_text(dump_json(_state(partial)), encoding="utf-8")
        partial.rename(place)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    say([f"{size / 1e9:,.2f} GB are kept for later runs in {place}; `lesion-nas cache --clear` removes them"])
    return True


def _has_room(name: str, size: int) -> bool:
    """Let entries leave until another of this size may come; return whether it may."""
    sizes = entries()
    most = min(limit(), shutil.disk_usage(folder()).free + sum(sizes.values()))
    if size > most:
        say(
            [
                f"{size / 1e9:,.1f} GB are not kept for later runs in {folder()}, for which it has room for "
                f"{most / 1e9:,.1f} GB: set {FOLDER} to a folder on a larger disk, or {LIMIT} to more"
            ]
        )
        return False
    for oldest in _first_to_leave(sizes, size):
        _removed(oldest)
    return size <= shutil.disk_usage(folder()).free


def _first_to_leave(sizes: dict[str, int], size: int) -> Iterator[str]:
    total, free = sum(sizes.values()), shutil.disk_usage(folder()).free
    for name, freed in sizes.items():
        if total + size <= limit() and size <= free:
            return
        yield name
        total, free = total - freed, free + freed


def _state(place: Path) -> dict[str, list[int]]:
    """Return the size and the time of each file of an entry."""
    stats = {file.name: file.stat() for file in sorted(place.iterdir()) if file.name != _CONTENTS}
    return {name: [found.st_size, found.st_mtime_ns] for name, found in stats.items()}


def _is_whole(place: Path) -> bool:
    try:
        return bool(parse_json((place / _CONTENTS).read_bytes()) == _state(place))
    except (OSError, ValueError):
        return False


def _flush(place: Path) -> None:
    """Wait until the files are on the disk: else a power cut may leave files of the right size, empty."""
    for file in place.iterdir():
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
