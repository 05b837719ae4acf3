"""The table of speed in the documentation, from `results/bench-*.json`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[2] / "results"
ORDER = (
    *("start", "search", "weight-sharing", "machine-limit", "layers", "allocator", "svm", "retraining"),
    *("growth", "verify", "patches", "whole-job", "cuda"),
)
VERDICT = {True: "met", False: "missed", None: ""}


def table() -> Iterator[str]:
    """Yield the lines of the table, as Markdown; say on standard error what is not measured."""
    yield "| | median (smallest to largest, n) | to reach | |"
    yield "| --- | --- | --- | --- |"
    for name in ORDER:
        path = RESULTS / f"bench-{name}.json"
        if path.exists():
            yield from map(line, json.loads(path.read_text())["rows"])
        else:
            print(f"not in the table, for want of {path}", file=sys.stderr)


def line(row: Mapping[str, Any]) -> str:
    """Return a row of the table, as Markdown."""
    unit = f" {row['unit']}" if row["unit"] else ""
    figures = f"{row['median']:.3g}{unit} ({row['min']:.3g} to {row['max']:.3g}, {row['n']})"
    return f"| {row['question']} | {figures} | {row['target']} | {VERDICT[row['met']]} |"


if __name__ == "__main__":
    print("\n".join(table()))
