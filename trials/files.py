"""Writing files that are whole or not there, one process at a time, and never through a link.

`FileLock` is ours because the package filelock, which NNI holds below 3.12, empties the file that it opens
(O_TRUNC) and follows links.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from trials.errors import LinkError, LockedError

_PARTIAL = ".partial"
_POLL_SECONDS = 0.1


def as_paths(places: str | Path | Sequence[str | Path]) -> list[Path]:
    """Return paths from the API's callers; one place alone, which Python may take for its letters, is one."""
    return [Path(place) for place in ([places] if isinstance(places, str | Path) else places)]


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` beside `path` and rename it into place: `path` holds the old content or all of the new.

    A link at `path` is replaced, and what it points to is left alone. Raises OSError where writing is not
    possible (no such folder, a full disk); `path` is then as it was.
    """
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path.parent))
    partial = path.with_name(f".{path.name}.{os.getpid()}{_PARTIAL}")
    partial.unlink(missing_ok=True)  # of a killed process that had this number
    try:
        with partial.open("xb") as file:  # x: a new file, never one that a link names
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def remove_partial(folder: Path) -> None:
    """Remove what killed processes had begun to write in `folder`, where nobody may be writing now."""
    for partial in folder.glob(f".*{_PARTIAL}"):
        partial.unlink(missing_ok=True)


def below(root: Path, place: Path) -> Path:
    """Return `place`, a path below `root`; raises `LinkError` where a link leads it out of there."""
    real = place.resolve()
    if not real.is_relative_to(root.resolve()):
        raise LinkError(
            f"{place}: a link leads out of {root}, to {real}, and is not followed; replace it by the folder "
            "itself, or name another output folder"
        )
    return place


class FileLock:
    """A lock on the file `path`, made where it is missing and left there; it ends with its process.

    `own`: the file lies where others may write, so that one of another user is refused.
    """

    def __init__(self, path: Path, *, own: bool = False) -> None:
        self._path, self._own = path, own
        self._descriptor: int | None = None

    def acquire(self, patience: float = 0.0) -> None:
        """Take the lock; wait for it so many seconds (math.inf: until it is free).

        Raises `LockedError` where another process, or another lock of this one, holds it still, and OSError
        for a place that cannot be written to, a link or anything else that is no regular file.
        """
        end = time.monotonic() + patience
        while not self._try():
            if time.monotonic() >= end:
                raise LockedError(f"{self._path}: held by another process")
            time.sleep(_POLL_SECONDS)

    def release(self) -> None:
        """Let others have it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    @contextmanager
    def held(self, patience: float = 0.0) -> Iterator[None]:
        """Hold the lock during the block; raises as `acquire` does."""
        self.acquire(patience)
        try:
            yield
        finally:
            self.release()

    def _try(self) -> bool:
        descriptor = self._open()
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            taken = self._is_there(descriptor)
        except BlockingIOError:
            taken = False
        except BaseException:
            os.close(descriptor)
            raise
        if taken:
            self._descriptor = descriptor
        else:
            os.close(descriptor)
        return taken

    def _open(self) -> int:
        self._check(self._path.lstat() if os.path.lexists(self._path) else None)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(self._path, flags, 0o644)
        try:
            self._check(os.fstat(descriptor))  # it may have been exchanged in between
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    def _check(self, found: os.stat_result | None) -> None:
        if found is None:
            return
        if not stat.S_ISREG(found.st_mode):
            kind = "a link" if stat.S_ISLNK(found.st_mode) else "no regular file"
            raise OSError(f"{self._path} is {kind}, expected a file of ours; remove it")
        if self._own and found.st_uid != os.geteuid():
            raise OSError(f"{self._path} is another user's; set TMPDIR to a folder of yours")

    def _is_there(self, descriptor: int) -> bool:
        """Whether the file that is locked is still the one at its path, not one that was moved or removed."""
        try:
            return os.path.samestat(os.fstat(descriptor), self._path.lstat())
        except FileNotFoundError:
            return False
