"""Find the columns of a manifest that say which images belong together, by headings and, in doubt, by values.

`headings.py` says what a column identifies. Of several columns the coarsest kind counts: patients before
visits, visits before specimens (a slide, an eye, a video), specimens before plain groups and lesions. Columns
of one kind are joined, and groups of duplicates join any others. Lesions and duplicates have one label each;
the others may hold images of several labels. Rules of ours.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from trials.data.tables.cells import is_blank, same_key
from trials.data.tables.headings import (
    DUPLICATES,
    GROUP,
    LESION,
    PATIENT,
    SPECIMEN,
    VISIT,
    is_wrapped,
    kind_of,
    letters,
    may_name,
)

NONE, FOLDER = "none", "folder"  # instead of a heading: no groups; the folder of an image
_COARSEST_FIRST = (PATIENT, VISIT, SPECIMEN, GROUP, LESION)
ONE_LABEL = (DUPLICATES, LESION)
_OURS = ("duplicate_group", "patient", "group")  # the documented headings, which need no note
_FEW, _MANY_EACH = 5, 20  # an identifier has at least so many values, and at most so many images for each


@dataclass(frozen=True)
class GroupColumns:
    """Headings by what equal values in their columns mean.

    `together`: the images stay together. `finer`: they do where `together` is blank. `lesion`: they show one
    lesion, if they are of one group.
    """

    together: tuple[str, ...] = ()
    finer: tuple[str, ...] = ()
    lesion: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def find(columns: Mapping[str, Sequence[str]], asked: str | None = None) -> GroupColumns:
    """Choose among columns, given with their cells. `asked` is one of their headings, `NONE` or `FOLDER`."""
    if asked in (NONE, FOLDER) and asked not in columns:
        return GroupColumns()
    kinds = {name: kind for name in columns if (kind := kind_of(name))}
    usable = {name: kind for name, kind in kinds.items() if _usable(kind, name, columns[name])}
    lesion = tuple(name for name, kind in usable.items() if kind in ONE_LABEL)
    if asked is not None:
        also = (asked,) if kinds.get(asked) in ONE_LABEL and asked not in lesion else ()
        return GroupColumns((asked,), lesion=lesion + also)
    coarsest = next((kind for kind in _COARSEST_FIRST if kind in usable.values()), None)
    chosen = [name for name, kind in usable.items() if kind == coarsest]
    chosen = [name for name in chosen if len(chosen) == 1 or _count(columns[name]) > 1]
    together = (*(name for name, kind in usable.items() if kind == DUPLICATES), *chosen)
    finer = tuple(name for kind in _COARSEST_FIRST for name in usable if usable[name] == kind)
    finer = tuple(name for name in finer if name not in together)
    unused = {name: columns[name] for name in kinds if name not in together}
    return GroupColumns(
        together,
        finer,
        lesion,
        tuple(_notes(together, finer, lesion, unused)),
        () if coarsest == PATIENT else tuple(_doubts(columns, kinds, together)),
    )


def _known(cells: Sequence[str]) -> Counter[str]:
    return Counter(same_key(cell) for cell in cells if not is_blank(cell))


def _count(cells: Sequence[str]) -> int:
    return len(_known(cells))


def _usable(kind: str, heading: str, cells: Sequence[str]) -> bool:
    """Return whether a column's values identify; for patients and plain groups any known value will do."""
    known = _known(cells)
    if not known or kind in (PATIENT, GROUP) or letters(heading) == "duplicategroup":
        return bool(known)
    named = is_wrapped(heading) and len(known) > 1
    return _identifies(known) or (named and known.total() <= _MANY_EACH * len(known))


def _identifies(known: Counter[str]) -> bool:
    if len(known) < _FEW or any(re.fullmatch(r"[+-]?\d*[.,]\d*[1-9]\d*", key) for key in known):
        return False
    numbered = sum(any(map(str.isdigit, key)) for key in known)
    return known.total() <= _MANY_EACH * len(known) or numbered >= 0.9 * len(known)


def _notes(
    together: Sequence[str], finer: Sequence[str], lesion: Sequence[str], unused: Mapping[str, Sequence[str]]
) -> Iterator[str]:
    if loosely := [name for name in together if name not in _OURS]:
        yield f"column {' and '.join(loosely)} is taken to say which images belong together"
    for name, cells in unused.items():
        if name in finer:
            why = f"{' and '.join(together)} is coarser"
            why += ", but images of one of its values must have one label" if name in lesion else ""
        else:
            known = _count(cells)
            why = f"its values ({known}) identify nothing" if known else "it is blank throughout"
        yield f"column {name} does not keep images together: {why}; --group-column {name} if it should"


def _doubts(
    columns: Mapping[str, Sequence[str]], kinds: Mapping[str, str], together: Sequence[str]
) -> Iterator[str]:
    """Yield a problem for each column that may name patients, by heading and values, and is not used."""
    used = f"column {' and '.join(together)}" if together else "no column"
    for name, cells in columns.items():
        known = _known(cells)
        repeats = known.total() > len(known) and known.total() <= _MANY_EACH * len(known)
        if name not in kinds and may_name(name) and repeats and _identifies(known):
            yield (
                f"column {name} looks as if it named patients or lesions, but {used} is taken to say which "
                f"images belong together; choose: --group-column {name}, or, if it names none, "
                f"--group-column {together[0] if together else NONE}"
            )
