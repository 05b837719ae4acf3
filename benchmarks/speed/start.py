"""How quickly the command starts: python -m benchmarks.speed.start [--before CHECKOUT]

CPU seconds and peak memory of whole verbs on ten small images, against `import torch`, or, where PyTorch is
not needed, against `import sklearn, matplotlib`, all taking turns. With --before also against the same verbs
of an older checkout of this repository, in the same environment, and the report of the published results on
BUSI that this checkout has.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.measure import ROOT, median_and_range, ratio, row, save
from trials.data.phantoms import make_phantoms

ROUNDS, REPORTS = 7, 5
PUBLISHED = "report of BUSI"
TORCH, CHEAP = "import torch", "import sklearn, matplotlib"
TRAIN = "train --data ten --profile quick --folds 2 --fold 0"
MODEL = "set/cnn3"
LIGHT = {  # against an older checkout alone
    "verify": "verify ten --folds 2",
    "evaluate": f"evaluate {MODEL} --out OUT",
    "publish": "publish set --out OUT",
    "a refused name": f"{TRAIN} --method hogg --out OUT",
    "--help": "--help",
}
AGAINST = {
    "predict": (f"predict {MODEL} ten", TORCH),
    "explain": (f"explain {MODEL} IMAGE --out OUT", TORCH),
    "export": (f"export {MODEL} --out OUT", TORCH),
    "hog": (f"{TRAIN} --method hog --out OUT/hog", CHEAP),
    "report": ("report set --out OUT", CHEAP),
}


# Between the command and this process, which has PyTorch: what a process starts counts its own memory first.
START = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
print(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1000)
"""


def used(command: Sequence[str], folder: Path, code: Path) -> tuple[float, float]:
    """Run a command in a folder with the code of a checkout; return its CPU seconds and peak memory in MB."""
    environment = os.environ | {"PYTHONPATH": str(code), "OMP_NUM_THREADS": "1"}
    told = subprocess.run(
        [sys.executable, "-I", "-S", "-c", START, *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    seconds, memory = map(float, told.stdout.split())
    return seconds, memory


def verb(words: str, folder: Path, code: Path) -> tuple[float, float]:
    """Run a verb whose results go to a new folder."""
    with tempfile.TemporaryDirectory() as new:
        image = next((folder / "ten").glob("*.png"))
        filled = words.replace("OUT", f"{new}/out").replace("IMAGE", str(image)).split()
        return used([sys.executable, "-m", "trials.cli", *filled], folder, code)


def measured(folder: Path, before: Path | None) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Return CPU seconds and MB of every candidate in each round."""
    words = LIGHT | {name: text for name, (text, _) in AGAINST.items()}
    seconds: dict[str, list[float]] = {}
    memory: dict[str, list[float]] = {}

    def keep(name: str, found: tuple[float, float]) -> None:
        seconds.setdefault(name, []).append(found[0])
        memory.setdefault(name, []).append(found[1])

    for turn in range(ROUNDS):
        for imported in (TORCH, CHEAP):
            keep(imported, used([sys.executable, "-c", imported], folder, ROOT))
        for name, text in words.items():
            keep(name, verb(text, folder, ROOT))
            if before and name in LIGHT:
                keep(f"{name}, before", verb(text, folder, before))
        if before and turn < REPORTS:
            for name, code in ((PUBLISHED, ROOT), (f"{PUBLISHED}, before", before)):
                keep(name, verb(f"report {before / 'results' / 'busi'} --out OUT", folder, code))
    return seconds, memory


def rows(seconds: Mapping[str, list[float]], memory: Mapping[str, list[float]]) -> list[dict[str, Any]]:
    """Return the ratios of CPU seconds, and the memory of what needs no PyTorch."""
    found = []
    for name in LIGHT:
        if f"{name}, before" in seconds:
            gain = ratio(seconds, f"{name}, before", name)
            found.append(row(f"start of {name}: before / now", gain, "times", ">= 6", gain["median"] >= 6))
        size = median_and_range(memory[name])
        found.append(row(f"start of {name}: memory", size, "MB", "<= 250", size["median"] <= 250))
    if f"{PUBLISHED}, before" in seconds:
        gain = ratio(seconds, f"{PUBLISHED}, before", PUBLISHED)
        found.append(row(f"{PUBLISHED}: before / now", gain, "times", ">= 5", gain["median"] >= 5))
    for name, (_, other) in AGAINST.items():
        cost = ratio(seconds, name, other)
        found.append(row(f"{name} / {other}", cost, "times", "<= 1.5", cost["median"] <= 1.5))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--before", type=Path, metavar="CHECKOUT", help="an older checkout to compare with")
    before = parser.parse_args().before
    commit = None
    if before:
        asked = ["git", "-C", str(before), "rev-parse", "--short=12", "HEAD"]
        commit = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_phantoms(folder / "ten", count=10, side=32)
        verb(f"{TRAIN} --method cnn3 --out {MODEL}", folder, ROOT)
        seconds, memory = measured(folder, before and before.absolute())
    command = "python -m benchmarks.speed.start --before CHECKOUT"
    save("start", rows(seconds, memory), command, before=commit, timings=seconds, memory=memory)


if __name__ == "__main__":
    main()
