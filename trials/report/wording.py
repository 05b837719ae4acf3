"""How facts of several runs become words: values that differ, lists, what is true of some methods."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from trials.report.methods import MethodRuns
from trials.runs.finished import Run


def values(records: Iterable[Mapping[str, Any]], section: str, name: str) -> str:
    """Return the values of a setting over the records of runs, each once; empty where it has none."""
    found = [((record.get("settings") or {}).get(section) or {}).get(name) for record in records]
    return alternatives(
        ", ".join(map(str, one)) if isinstance(one, list) else str(one) for one in found if one is not None
    )


def alternatives(words: Iterable[str]) -> str:
    """Return different words once each: `40 or 12`."""
    return " or ".join(dict.fromkeys(filter(None, words)))


def listed(names: Iterable[str]) -> str:
    """Return names as a list: `a, b and c`."""
    words = list(names)
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]])) if words else ""


def by_method(methods: Sequence[MethodRuns], told: Callable[[Run], str]) -> str:
    """Return what is told of the runs of methods, each with those that it is true of; most are the others.

    Where it is true of all, none is named.
    """
    labels: dict[str, list[str]] = {}
    for method in methods:
        labels.setdefault(alternatives(map(told, method.runs)), []).append(method.label)
    if len(labels) < 2:
        return "".join(labels)
    named = {words: "; ".join(of) for words, of in sorted(labels.items(), key=lambda one: len(one[1]))}
    last = next(reversed(named))
    if len(labels[last]) > 1 and "" not in labels:
        named[last] = "the others"
    return "; ".join(f"{words} ({of})" for words, of in named.items() if words)
