"""The model card of an export: what the model is for, what it was made of, how good it is, what is not known.

Of the data it tells the name, digest, counts and the names of the classes; no file, group or path.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import jinja2

from trials.evaluation.bootstrap import ALL_AGREE, Interval
from trials.export.claim import claim
from trials.export.contents import Contents
from trials.export.origin import OF_A_CLASS, Figures, Origin, measures_in
from trials.files import write_atomically
from trials.runs.layout import CARD
from trials.runs.predictions import in_words


def write_card(
    folder: Path,
    about: Contents,
    origin: Origin,
    measured: Figures,
    differences: Mapping[str, float],
    to_expect: Sequence[str],
) -> None:
    """Write `README.md`; `to_expect` are figures, in words, of a model without a test of its own."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,  # names are the data's
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["interval"] = _interval
    card = about.card
    page = environment.get_template("card.md.j2").render(
        about=about,
        card=card,
        metrics=origin.metrics,
        data=origin.data,
        frames=origin.frames,
        measured=measured,
        to_expect=to_expect,
        measures=measures_in(measured),
        of_a_class=OF_A_CLASS,
        rule=in_words(card.frozen.decision, card.known),
        differences=differences,
        claim=claim(about, origin, measured),
    )
    write_atomically(folder / CARD, page.encode())


def _interval(value: Interval) -> str:
    limits = f" ({value.low:.3f} to {value.high:.3f})" if value.known and value.low == value.low else ""
    if value.all_agree:
        limits = f" ({ALL_AGREE})"
    return f"{value.estimate:.3f}{limits}" if value.known else "not defined"
