"""A figure of the report: inside the page, and as SVG and PDF files of vector text for an article.

Text stays text in the SVG and TrueType in the PDF, as journals ask, so that it can be searched and edited.
The same figure gives the same bytes with one release of matplotlib: no dates are written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.backends.backend_pdf import PdfPages
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

    `printed` is the PDF file, of several figures perhaps, and then which of its pages; `pdf` is None where
    another of them has its content. In a template a drawing is the SVG itself, whose lines and text take the
    page's colour, light or dark.
    """

    name: str
    title: str
    svg: bytes
    pdf: bytes | None
    printed: str

    @property
    def files(self) -> Iterator[tuple[str, bytes]]:
        """Its files, by their names below the report's folder."""
        yield f"{FIGURES}/{self.name}.svg", self.svg
        if self.pdf is not None:
            yield f"{FIGURES}/{self.printed.partition('#')[0]}", self.pdf

    @property
    def links(self) -> Markup:
        """Links to its files."""
        files = {"SVG": f"{self.name}.svg", "PDF": self.printed}
        links = [f'<a href="{FIGURES}/{file}">{kind}</a>' for kind, file in files.items()]
        return Markup(f'<span class="files">{" ".join(links)}</span>')

    def __html__(self) -> str:
        text = self.svg.decode()
        text = text[text.index("<svg") :].replace(INK, "currentColor")
        text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{self.name}-", text)  # several stand in one page
        text = text.replace("<svg ", f'<svg role="img" aria-label="{escape(self.title)}" ', 1)
        return f"{text}{self.links}"


def drawn(figure: Figure, name: str, title: str) -> Drawing:
    """Write a figure; `name` becomes that of files, so that other signs than letters, digits and .-_ go."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-")
    with mpl.rc_context(_STYLE):
        return Drawing(plain, title, _saved(figure, "svg"), _saved(figure, "pdf"), f"{plain}.pdf")


def drawn_together(figures: Sequence[Figure], name: str, title: str) -> list[Drawing]:
    """Write figures as SVG files, NAME-1 and so on, and as the pages of one PDF file.

    The fonts of a PDF file take far longer than a page.
    """
    content = BytesIO()
    with mpl.rc_context(_STYLE):
        with PdfPages(content, metadata=_UNSAID["pdf"]) as pages:
            for figure in figures:
                pages.savefig(figure, transparent=True)
        return [
            Drawing(
                f"{name}-{page}",
                title,
                _saved(figure, "svg"),
                content.getvalue() if page == 1 else None,
                f"{name}.pdf#page={page}",
            )
            for page, figure in enumerate(figures, start=1)
        ]


def _saved(figure: Figure, kind: str) -> bytes:
    content = BytesIO()
    figure.savefig(content, format=kind, transparent=True, metadata=_UNSAID[kind])
    return content.getvalue()
