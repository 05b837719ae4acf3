"""The figures of the report: curves, confusion matrices, histories; and pictures of images."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from io import BytesIO
from itertools import zip_longest
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from sklearn.calibration import calibration_curve
from sklearn.metrics import auc as trapezoid
from sklearn.metrics import roc_curve

from trials.report.class_summaries import ClassSummary
from trials.report.drawing import INK, Drawing, drawn
from trials.report.search_quality import SearchQuality
from trials.report.summaries import Summary, forecast
from trials.runs.collection import BinaryPredictions

_COLOURS = ("#1f77b4", "#d9780f", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#c2479f", "#138d9b", "#8a8a00")
_DASHES = ("-", "--", ":", "-.")
_STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.parse_math": False,  # labels are text, whatever signs they hold
}
_BINS = 8
_PANELS = 3  # in a row
_NUMBERED, _NAMED = 10, 60  # up to so many classes a confusion matrix has numbers, and names
_LONGEST = 24  # letters of a class's name


@mpl.rc_context(_STYLE)
def roc_figure(summaries: Sequence[Summary[BinaryPredictions]], name: str = "roc-curves") -> Drawing:
    """Draw the ROC curves of all methods, each of its images pooled; `name` is unique in the report.

    Of several seeds it is the curve of their mean probability, with the area below that.
    """
    figure, axes = _square("1 - specificity", "sensitivity")
    for index, summary in enumerate(summaries):
        part = summary.predictions
        false, true, _ = roc_curve(part.positive, part.log_odds)
        area = trapezoid(false, true)
        axes.plot(false, true, label=f"{summary.method.label} ({area:.3f})", **_look(index))
    axes.plot([0, 1], [0, 1], color=INK, linewidth=0.6, alpha=0.5)
    return _finished(figure, axes, name, "ROC curves")


@mpl.rc_context(_STYLE)
def class_roc_figure(summaries: Sequence[ClassSummary], classes: Sequence[str], name: str) -> Drawing:
    """Draw for each of these classes the ROC curves of all methods, the class against all others.

    As `roc_figure` of several seeds and of `name`; the areas stand in the tables.
    """
    rows = -(-len(classes) // _PANELS)
    figure = Figure(figsize=(3.3 * min(len(classes), _PANELS), 3.4 * rows + 1.2), layout="constrained")
    panels = figure.subplots(rows, min(len(classes), _PANELS), squeeze=False).ravel()
    for axes, of in zip_longest(panels, classes):
        if of is None:
            axes.set_axis_off()
            continue
        axes.set(xlabel="1 - specificity", ylabel="sensitivity", aspect="equal", title=_short(of))
        axes.plot([0, 1], [0, 1], color=INK, linewidth=0.6, alpha=0.5)
        for index, summary in enumerate(summaries):
            part = summary.predictions.against(of)
            false, true, _ = roc_curve(part.positive, part.log_odds)
            label = summary.method.label if axes is panels[0] else None
            axes.plot(false, true, label=label, **_look(index))
    return _finished(figure, panels[0], name, "ROC curves of each class")


@mpl.rc_context(_STYLE)
def confusion_figure(summary: ClassSummary, name: str) -> Drawing:
    """Draw the confusion matrix: the deeper a cell, the larger its share of the row.

    With a few classes, each cell has its share and its images; of many it is a picture alone.
    """
    k, few = len(summary.images), len(summary.images) <= _NUMBERED
    side = 1.5 + (0.8 * k if few else 5.5)
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.add_subplot()
    colours = np.zeros((k, k, 4))
    colours[..., :3] = mpl.colors.to_rgb(_COLOURS[0])
    colours[..., 3] = 0.65 * np.nan_to_num(summary.shares)
    axes.pcolormesh(colours, rasterized=not few)
    for truth, called in np.ndindex(k, k) if few else ():
        share, count = summary.shares[truth, called], summary.confusion[truth, called]
        said = f"{share:.2f}\n{count:.1f}".removesuffix(".0") if np.isfinite(share) else "–"
        axes.text(called + 0.5, truth + 0.5, said, ha="center", va="center", fontsize=8)
    names = [_short(of) for of in summary.images] if k <= _NAMED else []
    size = 9 if few else 6
    axes.set_xticks(np.arange(len(names)) + 0.5, names, rotation=90 if k > 3 else 0, fontsize=size)
    axes.set_yticks(np.arange(len(names)) + 0.5, names, fontsize=size)
    axes.set(xlabel="called", ylabel="truth", aspect="equal", ylim=(k, 0))
    return _finished(figure, None, name, f"Confusion matrix of {summary.method.label}")


@mpl.rc_context(_STYLE)
def calibration_figure(summaries: Sequence[Summary[Any]], name: str = "calibration") -> Drawing:
    """Draw how often what was said came true over its mean probability, in bins of equal counts.

    It is of the positive class, or of all classes of the likeliest one; scaled if it can be.
    """
    binary = isinstance(summaries[0].predictions, BinaryPredictions)
    figure, axes = _square("mean probability", "share of positives" if binary else "share of these classes")
    for index, summary in enumerate(summaries):
        part = summary.predictions
        given = part.probabilities if part.calibrated is None else part.calibrated
        came_true, given = forecast(part, given)
        observed, said = calibration_curve(came_true, given, n_bins=_BINS, strategy="quantile")
        axes.plot(said, observed, marker="o", markersize=3, label=summary.method.label, **_look(index))
    axes.plot([0, 1], [0, 1], color=INK, linewidth=0.6, alpha=0.5)
    return _finished(figure, axes, name, "Calibration curves")


@mpl.rc_context(_STYLE)
def risk_coverage_figure(summaries: Sequence[Summary[Any]], name: str = "accuracy-over-undecided") -> Drawing:
    """Draw the accuracy over the share of images that are left undecided, the least certain first."""
    figure = Figure(figsize=(4.8, 5.6), layout="constrained")
    axes = figure.add_subplot()
    for index, summary in enumerate(summaries):
        part = summary.predictions
        surest_first = np.argsort(-part.certainty, kind="stable")
        right = part.right[surest_first]
        decided = np.arange(len(right), 0, -1)  # fewer images say nothing
        decided = decided[decided >= max(1, len(right) // 10)]
        accuracy = right.cumsum()[decided - 1] / decided
        axes.plot(1 - decided / len(right), accuracy, label=summary.method.label, **_look(index))
    axes.set(xlabel="share left undecided", ylabel="accuracy of the others", xlim=(-0.01, 0.91))
    return _finished(figure, axes, name, "Accuracy over the share left undecided")


@mpl.rc_context(_STYLE)
def fold_figure(summaries: Sequence[Summary[Any]], name: str = "auc-of-folds", of: str = "AUC") -> Drawing:
    """Draw each fold's AUC as a dot, and their mean as a line, a row a method; `of` says which AUC."""
    figure = Figure(figsize=(7.2, 0.9 + 0.32 * len(summaries)), layout="constrained")
    axes = figure.add_subplot()
    for row, summary in enumerate(summaries):
        areas = list(summary.fold_aucs.values())
        axes.plot(areas, [row] * len(areas), "o", color=_COLOURS[0], alpha=0.6, markersize=5)
        axes.plot([summary.auc] * 2, [row - 0.3, row + 0.3], color=_COLOURS[3], linewidth=2)
    axes.set_yticks(range(len(summaries)), [summary.method.label for summary in summaries])
    axes.set_ylim(len(summaries) - 0.5, -0.5)
    axes.set_xlabel(f"{of} of each test fold; red: their mean")
    axes.grid(axis="x", color=INK, alpha=0.15)
    return _finished(figure, None, name, f"{of} of each fold")


@mpl.rc_context(_STYLE)
def history_figure(histories: Mapping[str, Sequence[Mapping[str, Any]]]) -> Drawing:
    """Draw rewards (an epoch's mean, best so far) and the controller's entropy, a colour a search."""
    figure = Figure(figsize=(9.6, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for index, (name, history) in enumerate(histories.items()):
        epochs = [entry["epoch"] + 1 for entry in history]
        colour = _COLOURS[index % len(_COLOURS)]
        left.plot(epochs, [entry.get("reward", np.nan) for entry in history], color=colour, label=name)
        best = np.maximum.accumulate([entry.get("reward_best", -np.inf) for entry in history])
        left.plot(epochs, np.where(np.isfinite(best), best, np.nan), color=colour, linestyle=":")
        entropy = [entry.get("entropy", np.nan) for entry in history]
        right.plot(epochs, entropy, color=colour)
    left.set(xlabel="epoch", ylabel="reward: mean; dotted: best so far")
    right.set(xlabel="epoch", ylabel="entropy of the controller, nats")
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    return _finished(figure, None, "search-history", "History of the searches")


@mpl.rc_context(_STYLE)
def ranking_figure(qualities: Sequence[SearchQuality]) -> Drawing:
    """Draw the AUC after separate training over the score with shared weights; a line is ENAS's."""
    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    axes = figure.add_subplot()
    for index, one in enumerate(qualities):
        colour = _COLOURS[index % len(_COLOURS)]
        axes.plot(one.scores, one.alone, "o", color=colour, alpha=0.8, label=one.name)
        if one.found is not None:
            axes.axhline(one.found, color=colour, linestyle="--", linewidth=1.2)
    axes.set(xlabel="score with shared weights", ylabel="AUC after separate training; dashed: ENAS's")
    return _finished(figure, axes, "search-quality", "Search quality")


def thumbnail(pixels: np.ndarray, side: int = 112) -> str:
    """Return an image [h, w] or [h, w, 3] of bytes as a data URI, its longer side at most `side` pixels."""
    image = Image.fromarray(pixels).convert("L" if pixels.ndim == 2 else "RGB")
    image.thumbnail((side, side))
    content = BytesIO()
    image.save(content, format="JPEG", quality=80)
    return data_uri(content.getvalue(), "image/jpeg")


def data_uri(content: bytes, kind: str) -> str:
    """Return bytes as an address that holds them."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _square(x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(4.8, 5.6), layout="constrained")
    axes = figure.add_subplot()
    axes.set(xlabel=x, ylabel=y, xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    return figure, axes


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


def _look(index: int) -> dict[str, Any]:
    dash = _DASHES[(index // len(_COLOURS)) % len(_DASHES)]
    return {"color": _COLOURS[index % len(_COLOURS)], "linestyle": dash, "linewidth": 1.4}


def _finished(figure: Figure, legend_of: Axes | None, name: str, title: str) -> Drawing:
    if legend_of is not None:
        _set_legend(figure, legend_of)
    return drawn(figure, name, title)


def _set_legend(figure: Figure, legend_of: Axes) -> None:
    """Name the lines of some axes below a figure: in two columns, or where these are too wide in one."""
    options: dict[str, Any] = {"loc": "outside lower center", "frameon": False, "fontsize": 7.5}
    legend = figure.legend(ncols=2, **options)
    if legend.get_window_extent().width > figure.bbox.width:
        legend.remove()
        figure.legend(ncols=1, **options)
        width, height = figure.get_size_inches()
        figure.set_size_inches(width, height + 0.07 * len(legend_of.get_lines()))  # half of the rows more
