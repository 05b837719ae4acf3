"""Writing files so that a reader never sees half of one."""

import os
from pathlib import Path

_PARTIAL = ".partial"


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` beside `path` and rename it into place: `path` holds the old content or all of the new.

    Raises OSError where that is not possible (no such folder, a full disk); `path` is then as it was.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}{_PARTIAL}")
    try:
        with partial.open("wb") as file:
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
