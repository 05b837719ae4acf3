"""Find the columns of a manifest that say which images belong together, by headings and, in doubt, by values.

Headings are matched without case, spaces, marks and endings such as `id` or `number`. Of several columns the
coarsest kind counts: patients before visits, visits before specimens (a slide, an eye, a video), specimens
before plain groups and lesions. Columns of one kind are joined, and groups of duplicates join any others.
Lesions and duplicates have one label each; the others may hold images of several labels. Rules of ours.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from trials.data.tables.cells import is_blank, plain, same_key

NONE, FOLDER = "none", "folder"  # instead of a heading: no groups; the folder of an image
DUPLICATES, PATIENT, VISIT, SPECIMEN, GROUP, LESION = (
    "duplicates",
    "patients",
    "visits",
    "specimens",
    "groups",
    "lesions",
)
_COARSEST_FIRST = (PATIENT, VISIT, SPECIMEN, GROUP, LESION)
ONE_LABEL = (DUPLICATES, LESION)
_OURS = ("duplicate_group", "patient", "group")  # the documented headings, which need no note


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_WORDS = {
    DUPLICATES: "duplicategroup duplicate dup dupgroup nearduplicate nearduplicategroup copygroup",
    PATIENT: "patient pat pt pid person subject subj participant individual proband donor client mrn animal "
    "dog cat mouse volunteer paciente paziente",
    VISIT: "case study studie exam examination accession visit session series encounter admission scan fall",
    SPECIMEN: "slide wsi eye breast specimen sample biopsy biopsie block core section video clip cine stack",
    GROUP: "group grp family cluster",
    LESION: "lesion nodule mole tumour tumor polyp mass finding abnormality roi wound ulcer cyst nevus",
}
_KIND_OF = {
    word + plural: kind for kind, all_ in _WORDS.items() for word in _set(all_) for plural in ("", "s")
}
_NEED_AN_ENDING = _set("tumour tumor polyp mass finding abnormality roi wound ulcer cyst nevus")
_ENDINGS = sorted(
    _set(
        "identifier identification identity instance number folder pseudonym index code name uuid guid hash "
        "key idx num uid ids ref id no nr #"
    ),
    key=len,
    reverse=True,
)
_BARE = _set("id ids uid uuid guid identifier identity pseudonym code key name hash ref")
_BEGINNINGS = sorted(
    _set(
        "anonymized anonymised deidentified pseudonymized pseudonymised original hospital internal unique "
        "source dicom anon orig image img the"
    )
)
_OF_A_PROPERTY = _set(
    "age sex gender date time birth dob birthday type kind class label diagnosis dx size area "
    "diameter volume location site localization localisation position side laterality history weight "
    "height race ethnicity skin status count counts total n nb num has is visible description desc "
    "comment comments note notes quality score grade stage shape color colour margin margins width "
    "length depth view x y z bbox mask path file url country city consent split set fold level mean "
    "std ratio orientation phototype smoker modality thickness report control scanner device vendor "
    "manufacturer stain"
)
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


def kind_of(heading: str) -> str | None:
    """Return what a column of this heading identifies, such as `patients`; None: no groups."""
    core = _core(heading)
    return None if core in _NEED_AN_ENDING and core == _letters(heading) else _KIND_OF.get(core)


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


def _letters(heading: str) -> str:
    return "".join(letter for letter in plain(heading) if letter.isalnum() or letter == "#")


def _core(heading: str) -> str:
    """Return the heading's letters without the beginnings and endings that say nothing."""
    text = _letters(heading)
    while text not in _KIND_OF:
        rest = next((text.removesuffix(word) for word in _ENDINGS if text.endswith(word)), text)
        if rest == text:
            rest = next((text.removeprefix(word) for word in _BEGINNINGS if text.startswith(word)), text)
        if rest == text:
            break
        text = rest
    return text


def _words(heading: str) -> list[str]:
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", heading)
    return [word for word in re.split(r"[\W_]+", plain(apart)) if word]


def _known(cells: Sequence[str]) -> Counter[str]:
    return Counter(same_key(cell) for cell in cells if not is_blank(cell))


def _count(cells: Sequence[str]) -> int:
    return len(_known(cells))


def _usable(kind: str, heading: str, cells: Sequence[str]) -> bool:
    """Return whether a column's values identify; for patients and plain groups any known value will do."""
    known = _known(cells)
    if not known or kind in (PATIENT, GROUP) or _letters(heading) == "duplicategroup":
        return bool(known)
    named = _core(heading) != _letters(heading) and len(known) > 1
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
        if name not in kinds and _may_name(name) and repeats and _identifies(known):
            yield (
                f"column {name} looks as if it named patients or lesions, but {used} is taken to say which "
                f"images belong together; choose: --group-column {name}, or, if it names none, "
                f"--group-column {together[0] if together else NONE}"
            )


def _may_name(heading: str) -> bool:
    words = _words(heading)
    rest = "".join(words).replace("patient", "").replace("lesion", "")
    if not words or _OF_A_PROPERTY & {*words, rest}:
        return False
    mentioned = rest != "".join(words) or any(word in _KIND_OF for word in words)
    return mentioned or set(words) <= _BARE
