"""Regular files that are whole or not there, and JSON whose numbers are finite.

Links to files are read through, as people link their data; nothing is written through a link.

Python writes and reads NaN and Infinity, which JSON (RFC 8259) does not have and other readers refuse.
"""

import errno
import json
import math
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_PARTIAL = ".partial"
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISLNK, "a link"),
)


class NotAFileError(OSError):
    """A place that holds something else than a regular file; the text names both."""


class LinkError(ValueError):
    """A link that leads out of the folder to write to."""


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


def dump_json(value: object, indent: int | None = 2) -> str:
    """Return `value` as JSON; raises ValueError that names a number which is not finite."""
    for place, number in _not_finite(value):
        raise ValueError(f"{place or 'value'} = {number}: JSON has finite numbers only; null says undefined")
    return json.dumps(value, indent=indent, allow_nan=False)


def parse_json(text: str | bytes) -> Any:
    """Return the value of a JSON text.

    Raises ValueError for one that is none, NaN and Infinity included, and for a key that an object has twice.
    """
    return json.loads(text, parse_constant=_finite, parse_float=_finite, object_pairs_hook=_once)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"{key!r} is there twice; keep one of them")
        found[key] = value
    return found


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is no finite number; write null for what is undefined")
    return number


def _not_finite(value: object, place: str = "") -> Iterator[tuple[str, float]]:
    if isinstance(value, float) and not math.isfinite(value):
        yield place, value
    parts = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list | tuple)
        else ()
    )
    for name, part in parts:
        yield from _not_finite(part, f"{place}.{name}".lstrip("."))


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
