"""Check the labels: two classes at least, those that the settings name among them, no misspelt names.

Names that differ only by case, spaces or marks are one name. A rare name that resembles a commoner one is
misspelt if a word of five letters or more has up to two wrong letters; otherwise it may be a true name, such
as a grade, and a note says so. Rules of ours.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from trials.data.tables.cells import is_blank, plain, same_key

RARE = 4  # images; a name this rare, or ten times rarer than one it resembles, may be misspelt
SIMILAR = 0.8  # difflib's ratio of names that resemble each other
WRONG_LETTERS, LONG_ENOUGH = 2, 5
ACCEPT = "labels"  # in `accept`: the names are correct
POSITIVE = "malignant"  # the positive class where none is named; the paper's

_PREFIXES = ("a", "an", "un", "in", "im", "ir", "non", "pre", "post", "anti", "sub", "epi", "de")
_OPPOSITES = (("hypo", "hyper"), ("inter", "intra"), ("micro", "macro"), ("endo", "exo"), ("mono", "poly"))


def positive_class(labels: Iterable[str], asked: str | None) -> str | None:
    """Return the name of the positive class: the one asked for, `POSITIVE` if it is there, else none."""
    return asked if asked is not None else next((label for label in labels if label == POSITIVE), None)


def label_problems(
    labels: Sequence[str],
    positive: str | None,
    accept: Sequence[str] = (),
    ordered: Sequence[str] | None = None,
    known: Sequence[str] | None = None,
) -> Iterator[str]:
    """Yield a line for each problem; with `ACCEPT` in `accept` no name is misspelt or stands for no label.

    `ordered` are all classes, and only they; of the classes `known` to a model some may be missing.
    """
    counts = Counter(labels)
    if not counts:
        yield "no labelled image was found"
        return
    if len(counts) < 2:
        yield f"only {_listed(counts)} was found; two classes at least are needed"
    yield from _one_name(counts)
    if ACCEPT not in accept:
        yield from _for_nothing(counts)
        for label, other in _pairs(counts):
            if label != positive and _is_misspelt(label, other):
                yield (
                    f"label {label!r} ({counts[label]} images) looks like {other!r} misspelt; correct it, "
                    f"or, if it is a class of its own: --accept {ACCEPT}"
                )
    for label in sorted(counts):
        if len(label.splitlines()) > 1:
            yield f"label {label!r} holds the end of a line, which breaks every text that names it; rename it"
    if known is None:
        wanted = POSITIVE if positive is None and len(counts) == 2 else positive
        yield from misnamed(labels, wanted, ordered)
    else:
        yield from _unknown(counts, known)


def misnamed(
    labels: Sequence[str], positive: str | None, ordered: Sequence[str] | None = None
) -> Iterator[str]:
    """Yield a line where the classes that are named are not those that are there.

    `positive` is one of them, `ordered` are all of them; None: not named.
    """
    counts = Counter(labels)
    if positive is not None and positive not in counts:
        near = difflib.get_close_matches(positive, counts, 1)
        hint = f"; did you mean {near[0]!r}?" if near else "; name the positive one: --positive"
        yield f"no class is named {positive!r}, only {_listed(counts)}{hint}"
    if ordered is not None and set(ordered) != set(counts):
        yield (
            f"data.ordered names {', '.join(ordered)}, but the classes are {_listed(counts)}; name all of "
            "them, from the least to the most"
        )


def _unknown(counts: Counter[str], known: Sequence[str]) -> Iterator[str]:
    """Yield a line where there is a class that a model does not know."""
    for unknown in sorted(set(counts) - set(known))[:1]:
        yield f"holds {unknown!r}, not one of {', '.join(known)}; name it so, or leave its images out"


def label_notes(labels: Sequence[str], accept: Sequence[str] = ()) -> Iterator[str]:
    """Yield a line for each rare class whose name resembles another's but is not clearly misspelt."""
    counts = Counter(labels)
    for label, other in () if ACCEPT in accept else _pairs(counts):
        if not _is_misspelt(label, other):
            yield (
                f"class {label!r} ({counts[label]} images) resembles {other!r} ({counts[other]} images) "
                f"and is taken for another class; correct it if it is misspelt, else --accept {ACCEPT}"
            )


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{label!r} ({count} images)" for label, count in sorted(counts.items()))


def _one_name(counts: Counter[str]) -> Iterator[str]:
    alike: dict[str, list[str]] = defaultdict(list)
    for label in sorted(counts):
        alike[_essence(label)].append(label)
    for names in alike.values():
        if len(names) > 1:
            found = " and ".join(f"{name!r} ({counts[name]} images)" for name in names)
            yield f"labels {found} differ only by case, spaces or marks; write them alike"


def _essence(label: str) -> str:
    """Return the name without case, spaces, and marks that stand for spaces or end it."""
    text = re.sub(r"(?<=\w)[_\s-]+(?=[^\W\d])|(?<=[^\W\d])[_\s-]+(?=\w)", "", plain(label).replace("_", " "))
    return same_key(text.strip(" .,;:'\"_") or label)


def _for_nothing(counts: Counter[str]) -> Iterator[str]:
    for label in sorted(filter(is_blank, counts)):
        yield (
            f"label {label!r} ({counts[label]} images) stands for no label; give these images one or take "
            f"them out, or, if it is a class: --accept {ACCEPT}"
        )


def _pairs(counts: Counter[str]) -> Iterator[tuple[str, str]]:
    """Yield each rare name with the commonest other that it resembles; numbers do not count."""
    for label in sorted(counts):
        for other, count in counts.most_common():
            few = counts[label] <= RARE or 10 * counts[label] <= count
            if count > counts[label] and few and _resemble(label, other):
                yield label, other
                break


def _resemble(label: str, other: str) -> bool:
    if _letters(label) == _letters(other) or _essence(label) == _essence(other):
        return False
    return difflib.SequenceMatcher(None, label.casefold(), other.casefold()).ratio() >= SIMILAR


def _letters(label: str) -> str:
    return "".join(filter(str.isalpha, label)).casefold()


def _is_misspelt(label: str, other: str) -> bool:
    """Return whether each word that differs has a wrong letter or two; short words must agree."""
    words, others = _words(label), _words(other)
    if len(words) != len(others):
        return _word_is_misspelt("".join(words), "".join(others))
    return all(
        _word_is_misspelt(word, known) for word, known in zip(words, others, strict=True) if word != known
    )


def _words(label: str) -> list[str]:
    apart = re.sub(r"(?<=[a-z])(?=[A-Z0-9])", " ", label)
    return [word for word in re.split(r"[\W_]+", plain(apart)) if word]


def _word_is_misspelt(word: str, known: str) -> bool:
    long_enough = min(len(word), len(known)) >= LONG_ENOUGH and word.isalpha() and known.isalpha()
    return long_enough and not _opposed(word, known) and _wrong_letters(word, known) <= WRONG_LETTERS


def _opposed(word: str, known: str) -> bool:
    """Return whether two words differ by a numeral or a prefix that changes their meaning."""
    stems = {re.sub("[ivx]+$", "", text) for text in (word, known)}
    numbered = len(stems) == 1 and all(text not in stems for text in (word, known))
    prefixed = any(prefix + one == two for prefix in _PREFIXES for one, two in ((word, known), (known, word)))
    return (
        numbered
        or prefixed
        or any(
            {word.removeprefix(one), word.removeprefix(two)}
            & {known.removeprefix(one), known.removeprefix(two)}
            and word.startswith((one, two))
            and known.startswith((one, two))
            for one, two in _OPPOSITES
        )
    )


def _wrong_letters(word: str, known: str) -> int:
    steps = difflib.SequenceMatcher(None, word, known).get_opcodes()
    return sum(max(i2 - i1, j2 - j1) for kind, i1, i2, j1, j2 in steps if kind != "equal")
