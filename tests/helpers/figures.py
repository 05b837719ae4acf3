"""Blank figures in place of those of a report, which take longer than all its tables."""

from __future__ import annotations

from typing import Any, BinaryIO

import pytest
from matplotlib.figure import Figure

_BLANK = b'<svg xmlns="http://www.w3.org/2000/svg"></svg>'


def leave_blank(patch: pytest.MonkeyPatch, *kinds: str) -> None:
    """Leave the files of these kinds blank, of `svg` and `pdf`, as long as the patch holds."""
    save = Figure.savefig

    def saved(figure: Figure, out: BinaryIO, **how: Any) -> None:
        kind = how.get("format")
        if kind not in kinds:
            save(figure, out, **how)
        elif kind == "svg":
            out.write(_BLANK)

    patch.setattr(Figure, "savefig", saved)
