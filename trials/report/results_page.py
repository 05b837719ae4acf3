"""The tables of results in README.md and docs/results.md, made from `results/*/results.csv`.

    python -m trials.report.results_page README.md docs/results.md

A page has all tables of a file of results between `<!-- table: PATH -->` and `<!-- end of table -->`, and a
short one of its main methods between `<!-- summary: PATH -->` and `<!-- end of summary -->`. PATH is relative
to the page, such as `results/busi/results.csv` in README.md. A test asserts that both pages are up to date.
"""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from trials.files import write_atomically

SUMMARY = (
    "cells7_hog_geometry",
    "enas7_hog_geometry",
    "hog_geometry",
    "efficientnet_lite0",
    "cells7",
    "enas7",
)
_MARKED = re.compile(r"(<!-- (table|summary): (\S+) -->\n).*?(<!-- end of \2 -->)", re.DOTALL)

Row = Mapping[str, str]
Columns = Mapping[str, Callable[[Row], str]]


def renewed(page: str, folder: Path) -> str:
    """Return the text of a page in `folder` with every marked table made anew.

    Raises ValueError for a CSV that is not there or holds no rows, and for a marker without its end.
    """
    if len(re.findall(r"<!-- (?:table|summary): ", page)) != len(_MARKED.findall(page)):
        raise ValueError("a marker '<!-- table: PATH -->' has no line '<!-- end of table -->' after it")
    made = {"table": tables, "summary": summary}
    return _MARKED.sub(lambda found: found[1] + made[found[2]](_read(folder / found[3])) + found[4], page)


def _read(path: Path) -> list[Row]:
    """Read a `results.csv`; best AUC first, methods that saw other data last, other test data behind."""
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows: list[Row] = list(csv.DictReader(stream))
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


def tables(rows: Sequence[Row]) -> str:
    """Return Markdown: of each test data the figures and the decisions, of all the cost once."""
    parts = []
    for _, group in groupby(rows, key=lambda row: (row["trained_on"], row["data"])):
        same_data = list(group)
        parts += [_about(same_data), _markdown(same_data, _figures(same_data[0]))]
        parts += ["At the frozen thresholds, and at a probability of 0.5:", _markdown(same_data, _DECISIONS)]
    trained = [row for row in rows if row["data"] == rows[0]["data"]]
    return "\n\n".join([*parts, "Cost, mean of the runs:", _markdown(trained, _COST)]) + "\n"


def summary(rows: Sequence[Row]) -> str:
    """Return Markdown: the main methods on held-out folds and on other data, in six rows at most."""
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
    if _elsewhere(row):
        return _ELSEWHERE
    return _IN_FOLDS if row["folds"] else _OWN_SPLIT


def _markdown(rows: Sequence[Row], columns: Columns, *, marked: bool = True) -> str:
    lines = [["method", *columns], ["---"] * (1 + len(columns))]
    lines += [[_name(row, marked), *(cell(row) for cell in columns.values())] for row in rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _name(row: Row, marked: bool) -> str:
    return row["label"].replace("|", "\\|") + (" \\*" if marked and row["saw_other_data"] == "yes" else "")


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
