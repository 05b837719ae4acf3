"""Compare the cells of tables: which stand for nothing, and which are one value written in two ways."""

from __future__ import annotations

import re
import unicodedata

_FOR_NOTHING = """
    unknown unk unspecified undefined undetermined missing none null nil nan na n/a n.a. n.a #n/a nat
    anonymous anonymized anonymised notavailable notknown notgiven nodata notapplicable
"""
_WHOLE_NUMBER = re.compile(r"[+-]?\d+(?:[.,]0*)?")


def is_blank(cell: str) -> bool:
    """Return whether a cell is blank: empty, dashes, question marks, or a word such as `NA`."""
    text = "".join(plain(cell).strip("()[]<>{}\"'").split())
    return text in _FOR_NOTHING.split() or not any(map(str.isalnum, text))


def plain(text: str) -> str:
    """Return the text casefolded, without invisible marks, with one code for each letter (NFKC)."""
    seen = "".join(letter for letter in text if unicodedata.category(letter) != "Cf")
    return unicodedata.normalize("NFKC", seen).casefold().strip()


def same_key(cell: str) -> str:
    """Return one key for cells that differ only by case, spaces, or as 3 and 3.0 do."""
    text = "".join(plain(cell).split())
    return str(int(re.split("[.,]", text)[0])) if _WHOLE_NUMBER.fullmatch(text) else text
