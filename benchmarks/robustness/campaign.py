"""Does the demo hold on any processor and from any seed: python -m benchmarks.robustness.campaign --out RUNS

Runs the demo's stages (search, both layouts retrained, evaluation; 240 synthetic lesions, profile `quick`)
for many seeds, and for some with the instructions of other processors, which round otherwise and so find
other cells: `ONEDNN_MAX_CPU_ISA` and `ATEN_CPU_CAPABILITY` limit what oneDNN and PyTorch use. Each stage is a
process of its own, as NNI starts it. Counted are stages that fail and numbers that are not finite in what
they leave. Resumes in RUNS; writes `results/robustness.csv`, a row for each demo.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from benchmarks.measure import ROOT

TABLE = "robustness.csv"
# What oneDNN may use, and PyTorch's own kernels; the names are theirs. "own": all that this processor has.
INSTRUCTIONS = {
    "own": {},
    "avx512_core": {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE", "ATEN_CPU_CAPABILITY": "avx512"},
    "avx2": {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"},
    "avx2, default": {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "default"},
    "sse41, default": {"ONEDNN_MAX_CPU_ISA": "SSE41", "ATEN_CPU_CAPABILITY": "default"},
}
LAYOUTS = ("enas7", "enas17")
PLACE = {"folds": 3, "fold": 0}


def stages(seed: int) -> Iterator[dict[str, Any]]:
    """Yield the parameters of a demo's trials, in order."""
    yield {"stage": "search", **PLACE, "seed": seed}
    for layout in LAYOUTS:
        yield {"stage": "retrain", "layout": layout, **PLACE, "seed": seed}
    yield {"stage": "evaluate", "layouts": list(LAYOUTS), "failed": [], "folds": 3, "seed": seed}


def run_stage(
    parameters: dict[str, Any],
    out: Path,
    variables: dict[str, str],
    images: int,
    settings: Mapping[str, object],
) -> bool:
    """Run one stage as a process; return whether it came to its end. Its words go to `log.txt`."""
    code = (
        "import json, sys; from pathlib import Path; from trials.stage import run_stage; "
        "from trials.data.phantoms import make_phantoms; out = Path(sys.argv[2]); "
        "data = out / 'synthetic_phantoms'; data.exists() or make_phantoms(data, int(sys.argv[3])); "
        "run_stage(json.loads(sys.argv[1]), data, out, 'quick', of_data=json.loads(sys.argv[4]))"
    )
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-c",
        code,
        json.dumps(parameters, allow_nan=False),
        str(out),
        str(images),
        json.dumps(dict(settings), allow_nan=False),
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | variables
    with (out / "log.txt").open("a") as log:
        return subprocess.run(command, stdout=log, stderr=log, cwd=ROOT, env=environment).returncode == 0


def not_finite(folder: Path) -> int:
    """Count the numbers in the JSON and CSV files below a folder that are not finite."""
    count = 0
    for path in folder.rglob("*.json"):
        count += sum(not math.isfinite(value) for value in _numbers(json.loads(path.read_text())))
    for path in folder.rglob("*.csv"):
        with path.open(newline="") as lines:
            cells = [cell for row in csv.reader(lines) for cell in row]
        count += sum(cell.strip().lower() in ("nan", "inf", "-inf") for cell in cells)
    return count


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _numbers(one)
    elif isinstance(value, float):
        yield value


def demo(
    name: str,
    seed: int,
    out: Path,
    images: int = 240,
    settings: Mapping[str, object] = MappingProxyType({}),
) -> dict[str, Any]:
    """Run one demo, or go on with it, with `settings` that differ from the profile's; return its row."""
    out.mkdir(parents=True, exist_ok=True)
    came = [run_stage(one, out, INSTRUCTIONS[name], images, settings) for one in stages(seed)]
    root = out / (f"seed{seed}" if seed else "")
    read = {layout: root / "fold0" / layout / "metrics.json" for layout in LAYOUTS}
    metrics = {layout: json.loads(path.read_text()) for layout, path in read.items() if path.exists()}
    row: dict[str, Any] = {
        "instructions": name,
        "seed": seed,
        "stages": len(came),
        "failed": came.count(False),
        "not_finite": not_finite(out),
        "made_again": len(list(out.rglob("*-diverged.json"))),
    }
    for layout in LAYOUTS:
        found = metrics.get(layout, {"test": {}})
        auc = found["test"].get("auc")
        row[f"{layout}_auc"] = None if auc is None else round(auc, 4)
        row[f"{layout}_warnings"] = len(found.get("warnings", []))
    search = root / "fold0" / "search" / "search.json"
    cells = json.loads((search.parent / "candidates.json").read_text())[0] if search.exists() else {}
    row["cells"] = json.dumps(sorted(cells.get("architecture", {}).items()), allow_nan=False)
    return row


def numbered(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows with a number for the cells that a search found, in order of first appearance."""
    known: dict[str, int] = {}
    return [{**row, "cells": known.setdefault(row["cells"], len(known) + 1)} for row in rows]


def verdict(rows: Sequence[dict[str, Any]]) -> tuple[str, bool]:
    """Return how many stages failed and numbers are not finite in all demos, and whether none are."""
    failed, lost = (sum(row[key] for row in rows) for key in ("failed", "not_finite"))
    return f"{len(rows)} demos: {failed} stages failed, {lost} numbers not finite", not (failed or lost)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, metavar="RUNS")
    parser.add_argument("--seeds", type=int, default=12, help="with all instructions of this processor")
    parser.add_argument("--other-seeds", type=int, default=3, help="with those of each other")
    arguments = parser.parse_args()
    rows = []
    for name in INSTRUCTIONS:
        for seed in range(arguments.seeds if name == "own" else arguments.other_seeds):
            folder = arguments.out.absolute() / f"{name.replace(', ', '-')}-{seed}"
            rows.append(demo(name, seed, folder))
            print({key: value for key, value in rows[-1].items() if key != "cells"}, flush=True)
            with (ROOT / "results" / TABLE).open("w", encoding="utf-8", newline="") as stream:
                writer = csv.DictWriter(stream, list(rows[0]))
                writer.writeheader()
                writer.writerows(numbered(rows))
    text, held = verdict(rows)
    print(text)
    sys.exit(not held)


if __name__ == "__main__":
    main()
