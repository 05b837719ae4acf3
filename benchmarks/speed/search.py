"""Search against NNI's own ENAS: time, memory, and one sampled architecture; `make bench` runs it.

NNI's strategy needs older packages, so each search is a process, in turns between two environments; see
`one_search.py`. Each has its own allocator, ours mimalloc. Of an epoch of 64 images both sides make 8
training steps and 8 rewards. The first epoch of a process, in which memory is taken for the first time, does
not count.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from benchmarks.measure import ROOT, median_and_range, row, save
from benchmarks.speed.one_search import hub_space
from strategies.random_sampling import Uniform
from trials.nni_host.allocator import with_mimalloc

EPOCHS, PER_EPOCH = 3, 16


def search(python: str, side: str, *arguments: str) -> dict[str, Any]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "2"}
    if side == "ours":
        environment |= with_mimalloc()  # as every trial of ours, and none of NNI's
    script = [python, "-m", "benchmarks.speed.one_search", side, "--epochs", str(EPOCHS), *arguments]
    done = subprocess.run(script, env=environment, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith('{"epochs"')]
    if not lines:
        said = f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        raise RuntimeError(f"{' '.join(script)} ended with {done.returncode}, without a result:\n{said}")
    result: dict[str, Any] = json.loads(lines[0])
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--nni", default=str(ROOT / ".venv-nni/bin/python"), help="python of NNI's own environment"
    )
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    drawn = Uniform(hub_space().simplify(), 1).draw(
        PER_EPOCH * (EPOCHS + 1), torch.Generator().manual_seed(0)
    )
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder) / "architectures.json"
        listed.write_text(json.dumps(drawn))
        runs: dict[str, dict[str, list[Any]]] = {}
        for mode, arguments in (("fixed", ["--architectures", str(listed)]), ("own", [])):
            runs[mode] = {"nni": [], "ours": []}
            for _ in range(options.rounds):
                for side, python in (("nni", options.nni), ("ours", sys.executable)):
                    runs[mode][side].append(search(python, side, *arguments))
    save("search", list(rows(runs)), "make bench", runs=runs)


def rows(runs: dict[str, dict[str, list[Any]]]) -> Any:
    titles = {"fixed": "the same architectures", "own": "each its own controller"}
    for mode, sides in runs.items():
        pairs = list(zip(sides["nni"], sides["ours"], strict=True))
        epochs = [
            a / b for nni, ours in pairs for a, b in zip(nni["epochs"][1:], ours["epochs"][1:], strict=True)
        ]
        faster = median_and_range(epochs)
        met = faster["median"] >= 4
        seconds = {side: [t for run in each for t in run["epochs"][1:]] for side, each in sides.items()}
        yield row(
            f"a search epoch, {titles[mode]}: NNI / ours", faster, "times", ">= 4", met, seconds=seconds
        )
        memory = median_and_range(ours["peak_mb"] / nni["peak_mb"] for nni, ours in pairs)
        met = memory["median"] <= 1
        yield row(f"peak memory, {titles[mode]}: ours / NNI", memory, "times", "<= 1", met)
    pairs = list(zip(runs["own"]["nni"], runs["own"]["ours"], strict=True))
    for name, title in (
        ("draw_alone", "drawn alone"),
        ("draw_in_update", "drawn ten at a time, as an update does"),
        ("draw_in_training", "drawn 64 at a time, as training does"),
    ):
        ratios = median_and_range(
            a / b
            for nni, ours in pairs
            for a, b in zip(sorted(nni["draw_alone"]), sorted(ours[name]), strict=True)
        )
        yield row(f"one architecture, {title}: NNI / ours", ratios, "times", ">= 30", ratios["median"] >= 30)


if __name__ == "__main__":
    main()
