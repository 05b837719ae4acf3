"""Files that are whole or not there, and JSON whose numbers are finite.

Python writes and reads NaN and Infinity, which JSON (RFC 8259) does not have and other readers refuse.
"""

import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_PARTIAL = ".partial"


def dump_json(value: object, indent: int | None = 2) -> str:
    """Return `value` as JSON; raises ValueError that names a number which is not finite."""
    for place, number in _not_finite(value):
        raise ValueError(f"{place or 'value'} = {number}: JSON has finite numbers only; null says undefined")
    return json.dumps(value, indent=indent, allow_nan=False)


def parse_json(text: str | bytes) -> Any:
    """Return the value of a JSON text; raises ValueError for one that is none, NaN and Infinity included."""
    return json.loads(text, parse_constant=_finite, parse_float=_finite)


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
