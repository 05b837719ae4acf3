"""Reading regular files alone: no pipe that would wait for a writer, no device that may act.

Links to files are read through, as people link their data.
"""

import os
import stat
from pathlib import Path

from search_space.errors import LesionNasError

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISLNK, "a link"),
)


class NotAFileError(LesionNasError, OSError):
    """A place that holds something else than a regular file; the text names both."""


def not_a_file(path: Path) -> str | None:
    """Say what is at `path` where it is no regular file, nor a link to one; None where it is.

    Looks without opening: a pipe would wait for a writer, and a device may act.
    """
    try:
        return _other_kind(path.stat().st_mode)
    except FileNotFoundError:
        return "is a link to nothing, expected a file" if path.is_symlink() else "there is no such file"
    except NotADirectoryError:
        return "there is no such file: a part of the path is a file, not a folder"
    except (OSError, ValueError) as error:  # the latter: a null byte
        return f"cannot be read ({error})"


def _other_kind(mode: int) -> str | None:
    kind = next((name for is_kind, name in _KINDS if is_kind(mode)), None)
    return None if kind is None else f"is {kind}, expected a file"


def read_file(path: Path) -> bytes:
    """Return the content of a regular file.

    Raises `NotAFileError` for anything else (a folder, a pipe, a device), FileNotFoundError where nothing is
    there, and OSError where it cannot be read.
    """
    if said := _other_kind(path.stat().st_mode):
        raise NotAFileError(f"{path}: {said}")
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        if said := _other_kind(os.fstat(descriptor).st_mode):  # it was exchanged in between
            raise NotAFileError(f"{path}: {said}")
        return file.read()
