"""What the cells of a table mean: words that stand for nothing, and one value that is written in two ways."""

from __future__ import annotations

import re
import unicodedata

_FOR_NOTHING = """
    unknown unk unspecified undefined undetermined missing none null nil nan na n/a n.a. n.a #n/a nat
    anonymous anonymized anonymised notavailable notknown notgiven nodata notapplicable
"""
_WHOLE_NUMBER = re.compile(r"[+-]?\d+(?:[.,]0*)?")


def is_blank(cell: str) -> bool:
    """Whether a cell says that nothing is known: empty, dashes, question marks, or a word such as `NA`."""
    text = "".join(plain(cell).strip("()[]<>{}\"'").split())
    return text in _FOR_NOTHING.split() or not any(map(str.isalnum, text))


def plain(text: str) -> str:
    """Return the text without case, marks that are not seen and two codes of one letter."""
    seen = "".join(letter for letter in text if unicodedata.category(letter) != "Cf")
    return unicodedata.normalize("NFKC", seen).casefold().strip()


def same_key(cell: str) -> str:
    """Return what cells have in common that differ by case, spaces, or as the number 3 does from 3.0."""
    text = "".join(plain(cell).split())
    return str(int(re.split("[.,]", text)[0])) if _WHOLE_NUMBER.fullmatch(text) else text
