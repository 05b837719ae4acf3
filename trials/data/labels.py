"""Are the labels usable: two classes at least, the positive one among them, no slips of the pen."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator, Sequence

SLIP_AT_MOST = 4  # images; a name this rare, or ten times rarer than one it resembles, is taken for a slip


def label_problems(labels: Sequence[str], positive: str) -> Iterator[str]:
    """Each problem as one line."""
    counts = Counter(labels)
    if not counts:
        yield "no labelled image was found"
        return
    if len(counts) < 2:
        yield f"only {_listed(counts)} was found; two classes at least are needed"
    for label, count in sorted(counts.items()):
        if label != positive and (other := _slip_of(label, counts)):
            yield f"label {label!r} ({count} images) looks like a slip of {other!r}; correct it"
    if positive not in counts:
        near = difflib.get_close_matches(positive, counts, 1)
        hint = f"; did you mean {near[0]!r}?" if near else "; name the positive one: --positive"
        yield f"no class is named {positive!r}, only {_listed(counts)}{hint}"


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{label!r} ({count} images)" for label, count in sorted(counts.items()))


def _slip_of(label: str, counts: Counter[str]) -> str | None:
    """The commoner label that this one resembles; grade1 and grade2, say, are taken for different."""
    for other, count in counts.most_common():
        if count <= counts[label] or _letters(other) == _letters(label):
            continue
        if other.casefold() == label.casefold():
            return other
        rare = counts[label] <= SLIP_AT_MOST or 10 * counts[label] <= count
        if rare and difflib.SequenceMatcher(None, label.casefold(), other.casefold()).ratio() >= 0.8:
            return other
    return None


def _letters(label: str) -> str:
    return "".join(letter for letter in label if not letter.isdigit())
