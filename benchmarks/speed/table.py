"""The table of speed in the documentation, from `results/bench-*.json`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[2] / "results"
ORDER = ("search", "weight-sharing", "machine-limit", "retraining", "growth", "whole-job", "cuda")
ELSEWHERE = ("whole-job", "cuda")  # need images that are not ours, or a CUDA device
VERDICT = {True: "met", False: "missed", None: ""}


def table() -> Iterator[str]:
    """Yield the lines of the table, as Markdown."""
    yield "| | median (smallest to largest, n) | to reach | |"
    yield "| --- | --- | --- | --- |"
    for name in ORDER:
        path = RESULTS / f"bench-{name}.json"
        if name in ELSEWHERE and not path.exists():
            continue
        yield from map(line, json.loads(path.read_text())["rows"])


def line(row: Mapping[str, Any]) -> str:
    """Return a row of the table, as Markdown."""
    unit = f" {row['unit']}" if row["unit"] else ""
    figures = f"{row['median']:.3g}{unit} ({row['min']:.3g} to {row['max']:.3g}, {row['n']})"
    return f"| {row['question']} | {figures} | {row['target']} | {VERDICT[row['met']]} |"


if __name__ == "__main__":
    print("\n".join(table()))
