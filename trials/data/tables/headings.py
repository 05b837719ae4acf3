"""Say what the heading of a column identifies: patients, visits, specimens, groups, lesions or duplicates.

Headings are matched without case, spaces, marks and endings such as `id` or `number`. Rules of ours.
"""

from __future__ import annotations

import re

from trials.data.tables.cells import plain

DUPLICATES, PATIENT, VISIT, SPECIMEN, GROUP, LESION = (
    "duplicates",
    "patients",
    "visits",
    "specimens",
    "groups",
    "lesions",
)


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


def kind_of(heading: str) -> str | None:
    """Return what a column of this heading identifies, such as `patients`; None: no groups."""
    core = _core(heading)
    return None if core in _NEED_AN_ENDING and core == letters(heading) else _KIND_OF.get(core)


def is_wrapped(heading: str) -> bool:
    """Return whether a heading has a beginning or an ending around what it identifies: `lesion_id`."""
    return _core(heading) != letters(heading)


def letters(heading: str) -> str:
    """Return a heading's letters and digits, and `#`, casefolded."""
    return "".join(letter for letter in plain(heading) if letter.isalnum() or letter == "#")


def _core(heading: str) -> str:
    """Return the heading's letters without the beginnings and endings that say nothing."""
    text = letters(heading)
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


def may_name(heading: str) -> bool:
    """Return whether a heading may name patients or lesions in words that are not known here."""
    words = _words(heading)
    rest = "".join(words).replace("patient", "").replace("lesion", "")
    if not words or _OF_A_PROPERTY & {*words, rest}:
        return False
    mentioned = rest != "".join(words) or any(word in _KIND_OF for word in words)
    return mentioned or set(words) <= _BARE
