"""The README's table of speed, out of `results/bench-*.json`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

RESULTS = Path(__file__).parent.parent / "results"
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
        for row in json.loads(path.read_text())["rows"]:
            unit = f" {row['unit']}" if row["unit"] else ""
            figures = f"{row['median']:.3g}{unit} ({row['min']:.3g} to {row['max']:.3g}, {row['n']})"
            yield f"| {row['question']} | {figures} | {row['target']} | {VERDICT[row['met']]} |"


if __name__ == "__main__":
    print("\n".join(table()))
