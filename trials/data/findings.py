"""Report what reading the data left out, joined or doubted, for readers of results.

More than a fifth of the images left out for one reason, without a patient where others have one, or joined to
another group are a problem, unless it is accepted by name.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from trials.data import labels
from trials.data.files.paths import some
from trials.data.records import LeftOut

SHARE, FEW = 0.2, 5  # of the images, and at least so many; ours
SHOWN = 3  # examples in a line
LEFT_OUT, GROUPS = "left_out", "groups"
ACCEPTABLE = (labels.ACCEPT, LEFT_OUT, GROUPS)
_MANY_TIMES = 10  # times the median group, and a twentieth of the images: perhaps not of one patient


def findings(left_out: Iterable[LeftOut | Mapping[str, Any]], notes: Iterable[str]) -> list[str]:
    """Return a line for each reason to leave images out, and the notes; `left_out` are objects or JSON."""
    files: dict[str, list[str]] = defaultdict(list)
    for item in left_out:
        reason, file = (
            (item.reason, item.file) if isinstance(item, LeftOut) else (item["reason"], item["file"])
        )
        files[reason].append(file)
    return [
        f"{len(names)} images left out: {reason} ({some(names, SHOWN)})" for reason, names in files.items()
    ] + list(notes)


def findings_of(description: object) -> list[str]:
    """Return the findings of the data that a run's record describes; none where it describes none."""
    if not isinstance(description, Mapping):
        return []
    return findings(description.get("left_out") or (), description.get("notes") or ())


def say(lines: Iterable[str]) -> None:
    """Print findings to standard error, as progress is."""
    for line in lines:
        print(f"data: {line}", file=sys.stderr, flush=True)


def excessive(left_out: Sequence[LeftOut], images: int, accept: Sequence[str]) -> Iterator[str]:
    """Yield a problem for each reason for which more than `SHARE` of all `images` were left out."""
    for reason, count in Counter(item.reason for item in left_out).items():
        if LEFT_OUT not in accept:
            yield from _too_many(count, images, f"left out: {reason}", LEFT_OUT)


def too_many_apart(count: int, images: int, what: str, accept: Sequence[str]) -> Iterator[str]:
    """Yield a problem where more than `SHARE` of the images are `what` by their groups."""
    if GROUPS not in accept:
        yield from _too_many(count, images, what, GROUPS)


def _too_many(count: int, images: int, what: str, kind: str) -> Iterator[str]:
    if count >= FEW and count > SHARE * images:
        yield (
            f"{count} of {images} images are {what}; more than a fifth is a fault of the data: correct "
            f"them, or, if they are right: --accept {kind}"
        )


def large_groups(groups: Sequence[str], source: str) -> Iterator[str]:
    """Yield a line for each group that may be too large for one patient, or a word for unknown patients."""
    sizes = Counter(groups)
    usual = median(sizes.values()) if sizes else 0
    for name, size in sizes.most_common():
        if size >= FEW and (
            size > SHARE * len(groups) or (size > 0.05 * len(groups) and size >= _MANY_TIMES * usual)
        ):
            yield (
                f"group {name} holds {size} of {len(groups)} images ({size / len(groups):.0%}), by "
                f"{source}; if it is not one patient, leave its cells blank or name another --group-column"
            )
