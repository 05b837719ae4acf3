"""The README's tables of results, made from `results/*.csv`: python -m trials.report.readme README.md

In the README a table stands between `<!-- table: results/busi.csv -->` and `<!-- end of table -->`; the path
is relative to the README. Whoever changes the CSV renews the README by this command; a test says if not.
"""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path

from trials.files import write_atomically

_MARKED = re.compile(r"(<!-- table: (\S+) -->\n).*?(<!-- end of table -->)", re.DOTALL)
_IN_FOLDS = "AUC, mean ± SD of folds | seeds (SD) | pooled AUC (95 % interval) | accuracy (95 % interval)"
_OWN_SPLIT = "AUC, mean ± SD of seeds (95 % interval) | seeds | accuracy, mean ± SD of seeds (95 % interval)"
_REST = "TPR | TNR | precision | accuracy at 0.5 | parameters | multiply-adds | seconds | on"


def renewed(readme: str, root: Path) -> str:
    """Return the text with every marked table made anew from its CSV below `root`.

    Raises ValueError for a CSV that is not there or holds no rows, and for a marker without its end.
    """
    if readme.count("<!-- table: ") != len(_MARKED.findall(readme)):
        raise ValueError("a marker '<!-- table: PATH -->' has no line '<!-- end of table -->' after it")
    return _MARKED.sub(lambda found: found[1] + tables(root / found[2]) + found[3], readme)


def tables(path: Path) -> str:
    """Return a `results.csv` as Markdown: a table for each pair of training and test data, best AUC first.

    Methods that saw other data come last, marked by an asterisk. Raises ValueError for a file that is not
    there, has other columns or no rows.
    """
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
    except FileNotFoundError:
        raise ValueError(f"{path}: no such table; lesion-nas report writes it as results.csv") from None
    if not rows or not {"auc", "trained_on", "saw_other_data"} <= rows[0].keys():
        raise ValueError(f"{path}: expected the rows of a report's results.csv, found {list(rows[:1])}")
    rows.sort(key=_place)
    parts = [
        _table(list(part)) for _, part in groupby(rows, key=lambda row: (row["trained_on"], row["data"]))
    ]
    return "\n".join(parts)


def _place(row: Mapping[str, str]) -> tuple[bool, str, str, bool, float]:
    external = row["trained_on"] != row["data"]
    return external, row["trained_on"], row["data"], row["saw_other_data"] == "yes", -float(row["auc"] or 0)


def _table(rows: Sequence[Mapping[str, str]]) -> str:
    first = rows[0]
    own_split = first["trained_on"] == first["data"] and not first["folds"]
    if own_split:
        about = f"{first['data']}: {first['n']} test images of its own split."
    elif first["trained_on"] == first["data"]:
        most = max(rows, key=lambda row: int(row["n"]))
        about = (
            f"{first['data']}: {most['n']} images in {most['groups']} groups, {most['folds']} outer folds."
        )
    else:
        about = f"Trained on {first['trained_on']}, tested on {first['data']}: {first['n']} images"
        about += f" in {first['groups']} groups."
    if any(row["auc_sd_seeds"] for row in rows):
        about += " Of several seeds all figures are means over the seeds."
    if any(row["saw_other_data"] == "yes" for row in rows):
        about += " \\* has seen other data."
    head = f"| | {_OWN_SPLIT if own_split else _IN_FOLDS} | {_REST} |"
    lines = [about, "", head, "|" + " --- |" * (head.count("|") - 1)]
    return "\n".join([*lines, *(_line(row, own_split) for row in rows)]) + "\n"


def _line(row: Mapping[str, str], own_split: bool) -> str:
    mark = " \\*" if row["saw_other_data"] == "yes" else ""
    seeds, area, accuracy = str(len(row["seeds"].split())), _decimal(row["auc"]), _decimal(row["accuracy"])
    limits = f"({_decimal(row['low'])} to {_decimal(row['high'])})"
    accuracy_limits = f"({_decimal(row['accuracy_low'])} to {_decimal(row['accuracy_high'])})"
    if own_split:
        area += _spread(row["auc_sd_seeds"])
        first = [
            f"{area} {limits}",
            seeds,
            f"{accuracy}{_spread(row['accuracy_sd_seeds'])} {accuracy_limits}",
        ]
    else:
        first = [
            area + _spread(row["auc_sd"]) if row["folds"] else "",
            seeds + (f" ({_decimal(row['auc_sd_seeds'])})" if row["auc_sd_seeds"] else ""),
            f"{_decimal(row['pooled_auc'])} {limits}",
            f"{accuracy} {accuracy_limits}",
        ]
    cells = [
        row["label"].replace("|", "\\|") + mark,
        *first,
        *(_decimal(row[name]) for name in ("tpr", "tnr", "precision", "accuracy_at_half")),
        *(f"{int(row[name]):,}" if row[name] else "" for name in ("parameters", "macs")),
        f"{float(row['seconds']):,.0f}" if row["seconds"] else "",
        row["device"],
    ]
    return "| " + " | ".join(cells) + " |"


def _spread(value: str) -> str:
    return f" ± {_decimal(value)}" if value else ""


def _decimal(value: str) -> str:
    return f"{float(value):.3f}" if value else "–"


def main(arguments: Sequence[str]) -> int:
    """Renew the tables of the README that is named; return the exit status."""
    (name,) = arguments
    path = Path(name)
    write_atomically(path, renewed(path.read_text(encoding="utf-8"), path.parent).encode())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
