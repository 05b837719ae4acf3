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

from search_space.files import write_atomically

_MARKED = re.compile(r"(<!-- table: (\S+) -->\n).*?(<!-- end of table -->)", re.DOTALL)
_HEAD = (
    "| | AUC, mean ± SD of folds | seeds (SD) | pooled AUC (95 % interval) | accuracy (95 % interval) | TPR "
    "| TNR | precision | accuracy at 0.5 | parameters | multiply-adds | seconds |"
)


def renewed(readme: str, root: Path) -> str:
    """Return the text with every marked table made anew from its CSV below `root`.

    Raises ValueError for a CSV that is not there or holds no rows, and for a marker without its end.
    """
    if readme.count("<!-- table: ") != len(_MARKED.findall(readme)):
        raise ValueError("a marker '<!-- table: PATH -->' has no line '<!-- end of table -->' after it")
    return _MARKED.sub(lambda found: found[1] + tables(root / found[2]) + found[3], readme)


def tables(path: Path) -> str:
    """Return a `results.csv` as Markdown: a table for each pair of training and test data, best AUC first.

    Contestants that saw other data come last, marked by an asterisk. Raises ValueError for a file that is not
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
    if first["trained_on"] == first["data"]:
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
    lines = [about, "", _HEAD, "| --- |" + " --- |" * 11, *map(_line, rows)]
    return "\n".join(lines) + "\n"


def _line(row: Mapping[str, str]) -> str:
    mark = " \\*" if row["saw_other_data"] == "yes" else ""
    headline = _decimal(row["auc"]) + (f" ± {_decimal(row['auc_sd'])}" if row["auc_sd"] else "")
    cells = [
        row["label"].replace("|", "\\|") + mark,
        headline if row["folds"] else "",
        str(len(row["seeds"].split()))
        + (f" ({_decimal(row['auc_sd_seeds'])})" if row["auc_sd_seeds"] else ""),
        f"{_decimal(row['pooled_auc'])} ({_decimal(row['low'])} to {_decimal(row['high'])})",
        f"{_decimal(row['accuracy'])} ({_decimal(row['accuracy_low'])} to {_decimal(row['accuracy_high'])})",
        *(_decimal(row[name]) for name in ("tpr", "tnr", "precision", "accuracy_at_half")),
        *(f"{int(row[name]):,}" if row[name] else "" for name in ("parameters", "multiply_adds")),
        f"{float(row['seconds']):,.0f}" if row["seconds"] else "",
    ]
    return "| " + " | ".join(cells) + " |"


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
