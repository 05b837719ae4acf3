"""What stands in the code blocks of README and docs."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from string import Template

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(
        rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )


def commands(page: Path) -> Iterator[list[str]]:
    """The words of every command in a page's shell blocks; of a loop those of its first round."""
    for block in blocks(page, "bash[a-z ]*"):
        names: dict[str, str] = {}
        for line in block.replace("\\\n", " ").splitlines():
            if loop := re.fullmatch(r"for (\w+) in (\S+).*; do", line):
                names[loop[1]] = loop[2]
            elif words := command_words(Template(line).safe_substitute(names)):
                yield words


def command_words(line: str) -> list[str]:
    """The words of a line, without the variables before its command; none of a loop's end."""
    words = shlex.split(line, comments=True)
    while words and re.match(r"\w+=", words[0]):
        words.pop(0)
    return [] if words == ["done"] else words
