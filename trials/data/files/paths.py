"""Paths that results cannot name, links that lead out of a data set, and lists of names in messages."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

SHOWN = 5  # names in a message


def some(names: Sequence[str], shown: int = SHOWN) -> str:
    """Return the first few of many names."""
    return ", ".join(names[:shown]) + (", ..." if len(names) > shown else "")


def printable(path: Path | str) -> str:
    r"""Return the path with bytes that are not UTF-8 written as `\xe9`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def is_printable(path: Path | str) -> bool:
    """Return whether the path is UTF-8."""
    return printable(path) == str(path)


def leads_out(path: Path, root: Path) -> bool:
    """Return whether links on the way from `root` to `path` lead to a place outside `root`."""
    return not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root))


def outside_problem(root: Path, files: Sequence[str]) -> str:
    """Return the problem with files whose links lead out of `root`."""
    return (
        f"{root}: {len(files)} links lead out of the folder ({some(files)}); put the files themselves there "
        "(cp -rL copies them), or remove the links"
    )
