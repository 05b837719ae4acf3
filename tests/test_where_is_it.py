"""CONTRIBUTING's list "Where is it?" names files that hold what it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SECTION = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## Where is it?")[2]
ROWS = re.findall(r"^\| (.+?) \| `(.+?)` \| `(.+?)` \|$", SECTION, re.MULTILINE)


def test_the_list_answers_the_usual_questions() -> None:
    words = (
        "augmentation",
        "operation",
        "baseline",
        "DICOM",
        "run's file",
        "p value",
        "web UI",
        "ONNX",
        "profile",
        "leak",
    )
    for word in words:
        assert any(word in question for question, _, _ in ROWS), word


@pytest.mark.parametrize(("question", "file", "text"), ROWS, ids=[question for question, _, _ in ROWS])
def test_the_file_holds_it(question: str, file: str, text: str) -> None:
    assert text in (ROOT / file).read_text(encoding="utf-8"), question


@pytest.mark.parametrize("name", ["QUICK", "SLOW"])
def test_the_makefiles_lists_of_tests_name_tests(name: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    [named] = re.findall(rf"^{name} = (.+)$", makefile, re.MULTILINE)
    assert [path for path in named.split() if not (ROOT / path).exists()] == []
