"""JSON whose numbers are finite and whose keys are there once.

Python writes and reads NaN and Infinity, which JSON (RFC 8259) does not have and other readers refuse.
"""

import json
import math
from collections.abc import Iterator
from typing import Any


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
