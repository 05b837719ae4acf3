"""An output folder of one run: resumed by the same run, refused to any other, never half-written.

`run.json` holds the run's identity (what was asked, of which data, from which seed), whether it is done, and
then the SHA-256 of every file that it has left. Every file is written beside its place and then renamed, so
that a killed run leaves whole files only; one that ends in an error leaves its reason there. Files of a
finished run are read by `read`, which refuses what has changed since.
"""

from __future__ import annotations

import csv
import hashlib
import io
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from search_space.regular_files import NotAFileError, read_file
from search_space.strict_json import dump_json, parse_json
from trials.errors import DamagedError, LockedError, RunFolderError, in_words, reason
from trials.files import FileLock, remove_partial, write_atomically
from trials.nni_host.watchdog import heartbeat
from trials.runs.layout import LOCK, RUN_FILE

_PUT_BACK = "put back what was there, or repeat the run in a new folder"
PATIENCE = 30.0  # seconds between two signs of life while waiting for a folder


class RunFolder:
    """The folder `path`, claimed for the run that `identity` (JSON values by name) describes.

    An empty or missing folder is claimed; one of the same identity is resumed. Raises `RunFolderError` for
    a folder of another run, a folder that holds other files, one that another process is writing (unless
    told to `wait` for its end), one that cannot be written to, and a disk with less than `needed_bytes` left.
    Used as a context manager: no other process can claim the folder until it is left.
    """

    def __init__(
        self,
        path: Path,
        identity: Mapping[str, object],
        *,
        needed_bytes: int = 0,
        wait: bool = False,
    ) -> None:
        self.path = path
        self.identity = parse_json(dump_json(identity))  # as it will be read back: tuples are lists
        self._check_place(needed_bytes)
        self._lock = FileLock(path / LOCK)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._acquire(wait)
        except LockedError:
            raise RunFolderError(
                f"{path}: another process is writing there; wait for it or name another folder"
            ) from None
        except OSError as error:
            raise RunFolderError(
                f"{path}: cannot be written to ({reason(error)}); name another folder"
            ) from None
        remove_partial(path)  # of a killed process: nobody else writes here now
        if not (path / RUN_FILE).exists():
            self.begin()
        elif wait:  # whoever was waited for may have claimed the folder in the meantime
            self._check_identity()
        if failure(path) is not None:  # not that of this attempt
            self.begin()

    def _acquire(self, wait: bool) -> None:
        while wait:
            heartbeat()
            with suppress(LockedError):
                self._lock.acquire(PATIENCE)
                return
        self._lock.acquire()

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, _: object = None, error: BaseException | None = None, *__: object) -> None:
        try:
            if isinstance(error, Exception) and not self.done:
                with suppress(OSError, ValueError):  # such as the full disk that is the reason
                    self._write_state(done=False, failed=in_words(error))
        finally:
            self._lock.release()

    def _check_place(self, needed_bytes: int) -> None:
        check_place(self.path)
        if (self.path / RUN_FILE).exists():
            self._check_identity()
        check_disk(self.path, needed_bytes)

    def _check_identity(self) -> None:
        found = read_json(self.path / RUN_FILE).get("identity", {})
        differences = _differences(found, self.identity)
        if differences:
            raise RunFolderError(
                f"{self.path}: belongs to another run ({'; '.join(differences[:4])}); name another folder, "
                "or repeat that run's arguments to resume it"
            )

    @property
    def done(self) -> bool:
        """Whether the run has come to its end."""
        return is_done(self.path)

    def begin(self) -> None:
        """Mark the run as under way, a finished one too: its files are about to change."""
        self._write_state(done=False)

    def finish(self, *leftovers: str) -> None:
        """Mark the run as done, with its files' digests; `leftovers`, only good for going on, are removed."""
        digests = {
            file.name: _digest(read_file(file))
            for file in sorted(self.path.iterdir())
            if file.is_file()
            and not file.is_symlink()
            and not file.name.startswith(".")
            and file.name not in (RUN_FILE, *leftovers)
        }
        self._write_state(done=True, sha256=digests)
        for name in leftovers:
            (self.path / name).unlink(missing_ok=True)

    def _write_state(self, *, done: bool, **more: object) -> None:
        self.write_json(RUN_FILE, {"done": done, "identity": self.identity, **more})

    def write_json(self, name: str, value: object) -> Path:
        """Write a JSON file; raises ValueError for numbers that are not finite."""
        return self.write_text(name, dump_json(value) + "\n")

    def write_csv(self, name: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
        """Write a table."""
        table = io.StringIO()
        csv.writer(table, lineterminator="\n").writerows([header, *rows])
        return self.write_text(name, table.getvalue())

    def write_text(self, name: str, text: str) -> Path:
        """Write a text file in UTF-8."""
        return self.write_bytes(name, text.encode())

    def write_bytes(self, name: str, content: bytes) -> Path:
        """Write a file."""
        write_atomically(self.path / name, content)
        return self.path / name


def check_place(path: Path) -> None:
    """Raise `RunFolderError` where no run can have its output folder: a file, or what others have filled."""
    for place in (path, *path.parents):
        if place.exists() and not place.is_dir():
            raise RunFolderError(f"{place}: expected a folder to write to, found a file; name another")
    if (path / RUN_FILE).exists() or not path.exists():
        return
    if any(not child.name.startswith(".") for child in path.iterdir()):
        raise RunFolderError(
            f"{path}: holds files of something else ({RUN_FILE} is missing); name a new folder"
        )


def is_done(path: Path) -> bool:
    """Whether the folder `path` holds a run that has come to its end."""
    return (path / RUN_FILE).is_file() and read_json(path / RUN_FILE).get("done") is True


def failure(path: Path) -> str | None:
    """Return the error that the run in the folder `path` ended in; None where it did not, or left no word."""
    reason = read_json(path / RUN_FILE).get("failed") if (path / RUN_FILE).is_file() else None
    return None if reason is None else str(reason)


def read(path: Path) -> bytes:
    """Return the content of a file, which of a finished run's is as the run has left it.

    Raises `DamagedError` where it is not, OSError where there is no such file, or no regular one.
    """
    content, state = read_file(path), path.with_name(RUN_FILE)
    if path.name == RUN_FILE or not state.is_file():
        return content
    recorded = read_json(state).get("sha256")
    left = recorded.get(path.name) if isinstance(recorded, dict) else None
    if left is not None and left != _digest(content):
        raise DamagedError(
            f"{path}: is not as its run has left it, by the SHA-256 in {RUN_FILE}; {_PUT_BACK}"
        )
    return content


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def read_csv(path: Path, *columns: str) -> list[dict[str, str]]:
    """Read a table with a header; raises as `read` does, and ValueError where it has no such `columns`."""
    try:
        reader = csv.DictReader(io.StringIO(read(path).decode(), newline=""), strict=True)
        rows, found = list(reader), reader.fieldnames or ()
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: not readable as CSV in UTF-8 ({error}); {_PUT_BACK}") from None
    if missing := [name for name in columns if name not in found]:
        raise ValueError(f"{path}: no column {', '.join(missing)}, only {', '.join(found)}; {_PUT_BACK}")
    if any(None in row.values() or None in row for row in rows):
        raise ValueError(f"{path}: rows of other lengths than its header; {_PUT_BACK}")
    return rows


def read_json(path: Path) -> dict[str, object]:
    """Read a JSON object; raises `ValueError` that names the file where there is none."""
    try:
        value = parse_json(read(path).decode())
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    except NotAFileError as error:
        raise ValueError(str(error)) from None
    except DamagedError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not readable as JSON: {reason(error)}") from None
    if not isinstance(value, dict):
        raise ValueError(f"{path}: expected a JSON object, found {type(value).__name__}")
    return value


def check_disk(path: Path, needed_bytes: int) -> None:
    """Raise `RunFolderError` where the disk that will hold `path` has less than `needed_bytes` left."""
    existing = next(place for place in (path.absolute(), *path.absolute().parents) if place.exists())
    free = shutil.disk_usage(existing).free
    if free < needed_bytes:
        raise RunFolderError(
            f"{path}: the run needs about {needed_bytes / 1e6:.0f} MB, the disk has {free / 1e6:.0f} MB; "
            "free some or name a folder on another disk"
        )


def _differences(found: object, wanted: object, key: str = "") -> list[str]:
    """Name, as `key: old, not new`, the leaves in which two JSON values differ."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        names = sorted({*found, *wanted})
        return [
            difference
            for name in names
            for difference in _differences(found.get(name), wanted.get(name), f"{key}.{name}".lstrip("."))
        ]
    return [] if found == wanted else [f"{key}: {found!r}, not {wanted!r}"]
