"""The tables of results in README.md and docs/results.md, made from `results/*/results.csv`.

    python -m trials.report.results_page README.md docs/results.md

A page has all tables of a file of results between `<!-- table: PATH -->` and `<!-- end of table -->`, and a
short one of its main methods between `<!-- summary: PATH -->` and `<!-- end of summary -->`. PATH is relative
to the page, such as `results/busi/results.csv` in README.md; of several, each method's row is the first one's
that has it. A test asserts that both pages are up to date.

Of more than two classes the AUC is the macro AUC; of a few, `class_measures.csv` and `confusion.csv` beside
the file give each class's figures and the confusion matrix of the best method.
"""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from trials.files import write_atomically
from trials.report.class_summaries import MACRO_AUC
from trials.runs.layout import CLASS_MEASURES_TABLE, CONFUSION_TABLE

SUMMARY = (
    "ensemble",
    "cells7_hog_geometry",
    "hog_geometry",
    "efficientnet_lite0",
    "cells7",
    "enas7",
)
MOST_CLASSES = 10  # of which each has a column
_MARKED = re.compile(r"(<!-- (table|summary): ([^>\n]+) -->\n).*?(<!-- end of \2 -->)", re.DOTALL)

Row = Mapping[str, str]
Columns = Mapping[str, Callable[[Row], str]]


def renewed(page: str, folder: Path) -> str:
    """Return the text of a page in `folder` with every marked table made anew.

    Raises ValueError for a CSV that is not there or holds no rows, and for a marker without its end.
    """
    if len(re.findall(r"<!-- (?:table|summary): ", page)) != len(_MARKED.findall(page)):
        raise ValueError("a marker '<!-- table: PATH -->' has no line '<!-- end of table -->' after it")

    def made(found: re.Match[str]) -> str:
        first, *others = (folder / name for name in found[3].split())
        rows = _read(first)
        text = summary(rows, *map(_read, others)) if found[2] == "summary" else tables(rows, first.parent)
        return found[1] + text + found[4]

    return _MARKED.sub(made, page)


def _read(path: Path) -> list[Row]:
    """Read a `results.csv`; best AUC first, methods that saw other data last, other test data behind.

    Of more than two classes a row's `auc` is the macro AUC.
    """
    try:
        rows: list[Row] = [
            {name.replace(MACRO_AUC, "auc"): cell for name, cell in row.items()} for row in _csv(path)
        ]
    except FileNotFoundError:
        raise ValueError(f"{path}: no such table; lesion-nas report writes it as results.csv") from None
    if not rows or not {"auc", "trained_on", "saw_other_data"} <= rows[0].keys():
        raise ValueError(f"{path}: expected the rows of a report's results.csv, found {list(rows[:1])}")
    return sorted(rows, key=_place)


def _place(row: Row) -> tuple[bool, str, str, bool, float]:
    return (
        _elsewhere(row),
        row["trained_on"],
        row["data"],
        row["saw_other_data"] == "yes",
        -float(row["auc"] or 0),
    )


def _elsewhere(row: Row) -> bool:
    return row["trained_on"] != row["data"]


def tables(rows: Sequence[Row], folder: Path) -> str:
    """Return Markdown: of each test data the figures and the decisions, of all the cost once.

    `folder` holds the tables of each class, where there are more than two.
    """
    parts = []
    for _, group in groupby(rows, key=lambda row: (row["trained_on"], row["data"])):
        same_data = list(group)
        parts += [_about(same_data), _markdown(same_data, _figures(same_data[0]))]
        if same_data[0].get("classes"):
            parts += [_OF_CALLS, _markdown(same_data, _calls(same_data))]
            parts += _each_class(same_data, folder)
        else:
            parts += [_OF_DECISIONS, _markdown(same_data, _DECISIONS)]
    trained = [row for row in rows if row["data"] == rows[0]["data"]]
    return "\n\n".join([*parts, "Cost, mean of the runs:", _markdown(trained, _COST)]) + "\n"


def _calls(rows: Sequence[Row]) -> Columns:
    return {**_CALLS, **(_GRADES if rows[0]["mean_absolute_error"] else {})}


def _each_class(rows: Sequence[Row], folder: Path) -> list[str]:
    """Return Markdown of each class's AUC and sensitivity, and of the best method's confusion matrix."""
    if int(rows[0]["classes"]) > MOST_CLASSES or not (folder / CLASS_MEASURES_TABLE).is_file():
        return []
    found = {
        (row["method"], row["class"], row["measure"]): row
        for row in _csv(folder / CLASS_MEASURES_TABLE)
        if row["data"] == rows[0]["data"]
    }
    names = list(dict.fromkeys(of for _, of, _ in found))

    def column(of: str, measure: str) -> Callable[[Row], str]:
        return lambda row: _estimate(found[row["method"], of, measure])

    parts = []
    for measure, said in (("auc", "AUC"), ("sensitivity", "Sensitivity")):
        columns = {_escaped(of): column(of, measure) for of in names}
        parts += [f"{said} of each class against the rest (95 % interval):", _markdown(rows, columns)]
    best = max(rows, key=lambda row: float(row["auc"] or 0))
    return [*parts, *_confusion(best, names, folder)]


def _confusion(best: Row, names: Sequence[str], folder: Path) -> list[str]:
    cells = {
        (row["truth"], row["called"]): row["n"]
        for row in _csv(folder / CONFUSION_TABLE)
        if (row["method"], row["data"]) == (best["method"], best["data"])
    }
    lines = [["truth", *(f"called {_escaped(name)}" for name in names)], ["---"] * (1 + len(names))]
    lines += [
        [_escaped(truth), *(f"{float(cells[truth, called]):.4g}" for called in names)] for truth in names
    ]
    return [f"Images by truth and call of {best['label']}:", _lines(lines)]


def _csv(path: Path) -> list[Row]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def _escaped(name: str) -> str:
    return name.replace("|", "\\|")


def _estimate(row: Row) -> str:
    return _interval(row, _decimal(row["estimate"])) if row["low"] else _decimal(row["estimate"])


def summary(*files: Sequence[Row]) -> str:
    """Return Markdown: the main methods on held-out folds and on other data, in six rows at most.

    Each method's rows are those of the first file that has them.
    """
    homes = {row["method"]: rows for rows in reversed(files) for row in rows}
    rows = [row for one in files for row in one if homes[row["method"]] is one]
    elsewhere = {row["method"]: row for row in rows if _elsewhere(row)}
    chosen = [row for row in rows if row["method"] in SUMMARY and not _elsewhere(row)]
    columns: Columns = {
        "AUC on held-out folds": lambda row: _with_sd(row, "auc", "auc_sd"),
        "AUC on another hospital": lambda row: _decimal(elsewhere[row["method"]]["auc"]),
        "parameters": _COST["parameters"],
        "seconds": _COST["seconds"],
    }
    return _markdown(sorted(chosen, key=lambda row: -float(row["auc"])), columns, marked=False) + "\n"


def _about(rows: Sequence[Row]) -> str:
    most = max(rows, key=lambda row: int(row["n"]))
    if _elsewhere(most):
        about = f"Trained on {most['trained_on']}, tested on {most['data']}: {most['n']} images"
        about += f" in {most['groups']} groups."
    elif most["folds"]:
        about = f"{most['data']}: {most['n']} images in {most['groups']} groups, {most['folds']} outer folds."
    else:
        about = f"{most['data']}: {most['n']} test images of its own split."
    if any(row["auc_sd_seeds"] for row in rows):
        about += " Of several seeds all figures are means over the seeds."
    if any(row["saw_other_data"] == "yes" for row in rows):
        about += " \\* has seen other data."
    return about


def _figures(row: Row) -> Columns:
    columns = _ELSEWHERE if _elsewhere(row) else _IN_FOLDS if row["folds"] else _OWN_SPLIT
    if not row.get("classes"):
        return columns
    return {name.replace("AUC", "macro AUC"): cell for name, cell in columns.items()}


def _markdown(rows: Sequence[Row], columns: Columns, *, marked: bool = True) -> str:
    cells = [[_name(row, marked), *(cell(row) for cell in columns.values())] for row in rows]
    return _lines([["method", *columns], ["---"] * (1 + len(columns)), *cells])


def _lines(lines: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _name(row: Row, marked: bool) -> str:
    return _escaped(row["label"]) + (" \\*" if marked and row["saw_other_data"] == "yes" else "")


def _seeds(row: Row) -> str:
    sd = row["auc_sd_seeds"]
    return str(len(row["seeds"].split())) + (f" ({_decimal(sd)})" if sd else "")


def _interval(row: Row, value: str, prefix: str = "") -> str:
    low, high = (_decimal(row[f"{prefix}{end}"]) for end in ("low", "high"))
    return f"{value} ({low} to {high})"


def _with_sd(row: Row, name: str, sd: str) -> str:
    return _decimal(row[name]) + (f" ± {_decimal(row[sd])}" if row[sd] else "")


def _decimal(value: str) -> str:
    return f"{float(value):.3f}" if value else "–"


def _whole(value: str) -> str:
    return f"{float(value):,.0f}" if value else ""


_IN_FOLDS: Columns = {
    "AUC, mean ± SD of folds": lambda row: _with_sd(row, "auc", "auc_sd") if row["folds"] else "",
    "seeds (SD of AUC)": _seeds,
    "pooled AUC (95 % interval)": lambda row: _interval(row, _decimal(row["pooled_auc"])),
    "accuracy (95 % interval)": lambda row: _interval(row, _decimal(row["accuracy"]), "accuracy_"),
}
_ELSEWHERE: Columns = {
    "AUC (95 % interval)": _IN_FOLDS["pooled AUC (95 % interval)"],
    **{name: _IN_FOLDS[name] for name in ("seeds (SD of AUC)", "accuracy (95 % interval)")},
}
_OWN_SPLIT: Columns = {
    "AUC, mean ± SD of seeds (95 % interval)": lambda row: _interval(
        row, _with_sd(row, "auc", "auc_sd_seeds")
    ),
    "seeds": lambda row: str(len(row["seeds"].split())),
    "accuracy, mean ± SD of seeds (95 % interval)": lambda row: _interval(
        row, _with_sd(row, "accuracy", "accuracy_sd_seeds"), "accuracy_"
    ),
}
_DECISIONS: Columns = {
    "TPR": lambda row: _decimal(row["tpr"]),
    "TNR": lambda row: _decimal(row["tnr"]),
    "precision": lambda row: _decimal(row["precision"]),
    "accuracy at 0.5": lambda row: _decimal(row["accuracy_at_half"]),
}
_OF_DECISIONS = "At the frozen thresholds, and at a probability of 0.5:"
_CALLS: Columns = {
    "balanced accuracy": lambda row: _decimal(row["balanced_accuracy"]),
    "Cohen's kappa": lambda row: _decimal(row["kappa"]),
    "macro F1": lambda row: _decimal(row["macro_f1"]),
    "Brier score": lambda row: _decimal(row["brier"]),
    "ECE, before / after scaling": lambda row: " / ".join(
        _decimal(row[name]) for name in ("calibration_error", "calibration_error_scaled")
    ),
}
_GRADES: Columns = {
    "quadratic weighted kappa": lambda row: _decimal(row["quadratic_kappa"]),
    "mean absolute error": lambda row: _decimal(row["mean_absolute_error"]),
}
_OF_CALLS = "By the frozen decision, and calibration of the likeliest class's probability:"
_COST: Columns = {
    "parameters": lambda row: _whole(row["parameters"]),
    "multiply-adds": lambda row: _whole(row["macs"]),
    "seconds": lambda row: _whole(row["seconds"]),
    "on": lambda row: row["device"],
}


def main(pages: Sequence[str]) -> int:
    """Renew the tables of the pages that are named; return the exit status."""
    for path in map(Path, pages):
        write_atomically(path, renewed(path.read_text(encoding="utf-8"), path.parent).encode())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
