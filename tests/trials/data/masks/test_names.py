"""The words of a name that mean a mask."""

from __future__ import annotations

from trials.data.masks.names import words


def test_words_end_at_signs_digits_and_capitals() -> None:
    assert words("benign (1)_Mask_2") == ["benign", "1", "mask", "2"]
    assert words("lesionMask12") == ["lesion", "mask", "12"]
    assert words("ISIC_7_Ground-Truth") == ["isic", "7", "groundtruth"]
    assert words("damask01") == ["damask", "01"] and words("caseGT") == ["case", "gt"]
