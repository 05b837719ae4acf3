"""A figure of the report: inside the page, and as SVG and PDF files of vector text for an article.

Text stays text in the SVG and TrueType in the PDF, as journals ask, so that it can be searched and edited.
The same figure gives the same bytes with one release of matplotlib: no dates are written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.figure import Figure

from trials.runs.layout import FIGURES

INK = "#121314"  # of lines and text: nearly black in files, the page's own colour in the page
_STYLE: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "report", "pdf.fonttype": 42}
_UNSAID = {
    "svg": dict.fromkeys(("Date", "Creator", "Format", "Type")),
    "pdf": {"CreationDate": None, "Creator": None},
}


@dataclass(frozen=True)
class Drawing:
    """A figure as the content of an SVG and of a PDF file; `name` is that of its files, unique in a report.

    In a template it is the SVG itself, whose lines and text take the page's colour, light or dark.
    """

    name: str
    title: str
    svg: bytes
    pdf: bytes

    @property
    def files(self) -> Iterator[tuple[str, bytes]]:
        """Its files, by their names below the report's folder."""
        yield f"{FIGURES}/{self.name}.svg", self.svg
        yield f"{FIGURES}/{self.name}.pdf", self.pdf

    @property
    def links(self) -> Markup:
        """Links to its files."""
        links = [f'<a href="{file}">{file.rpartition(".")[2].upper()}</a>' for file, _ in self.files]
        return Markup(f'<span class="files">{" ".join(links)}</span>')

    def __html__(self) -> str:
        text = self.svg.decode()
        text = text[text.index("<svg") :].replace(INK, "currentColor")
        text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{self.name}-", text)  # several stand in one page
        text = text.replace("<svg ", f'<svg role="img" aria-label="{escape(self.title)}" ', 1)
        return f"{text}{self.links}"


def drawn(figure: Figure, name: str, title: str) -> Drawing:
    """Write a figure; `name` becomes that of files, so that other signs than letters, digits and .-_ go."""
    content = {kind: BytesIO() for kind in _UNSAID}
    with mpl.rc_context(_STYLE):
        for kind, unsaid in _UNSAID.items():
            figure.savefig(content[kind], format=kind, transparent=True, metadata=unsaid)
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-")
    return Drawing(plain, title, content["svg"].getvalue(), content["pdf"].getvalue())
